"""images: local store, registry client, recipes."""
