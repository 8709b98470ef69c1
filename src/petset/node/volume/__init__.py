"""volume: makes a pod's volumes and their mounts."""
