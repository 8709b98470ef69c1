"""policy: kinds of the group `policy`."""
