"""admission: what the server itself adds to or refuses in objects on their way in."""
