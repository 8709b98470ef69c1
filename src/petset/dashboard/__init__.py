"""dashboard: pages over the API. Empty for now; its room is kept."""
