"""flowcontrol.apiserver.k8s.io/v1: columns of its kinds."""
