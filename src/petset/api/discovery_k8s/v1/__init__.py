"""discovery_k8s/v1: defaults, validation, fields and columns of its kinds, one file each."""
