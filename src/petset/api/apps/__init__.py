"""apps: kinds of the group `apps`."""
