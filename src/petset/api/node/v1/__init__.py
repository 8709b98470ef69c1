"""node.k8s.io/v1: validation and columns of its kinds, one file each."""
