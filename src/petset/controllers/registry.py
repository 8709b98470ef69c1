"""The ordered list of controllers that the server runs."""
