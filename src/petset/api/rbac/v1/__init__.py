"""rbac/v1: defaults, validation, fields and columns of its kinds, one file each."""
