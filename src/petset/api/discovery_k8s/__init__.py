"""discovery_k8s: kinds of the group `discovery.k8s.io`."""
