"""drivers: where revisions are kept. Every driver passes the same suite."""
