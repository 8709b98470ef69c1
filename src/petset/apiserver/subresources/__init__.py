"""subresources: status, scale, binding, eviction, log, exec and their like."""
