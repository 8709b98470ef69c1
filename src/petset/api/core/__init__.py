"""core: kinds of the group whose name is empty."""
