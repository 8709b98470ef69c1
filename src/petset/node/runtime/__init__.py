"""runtime: containers and pod sandboxes, by an OCI runtime and conmon."""
