"""plugins: pure filters and scores, one file each."""
