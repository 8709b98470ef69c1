"""resource_k8s: kinds of the group `resource.k8s.io`."""
