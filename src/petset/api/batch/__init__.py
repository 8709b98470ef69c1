"""batch: kinds of the group `batch`."""
