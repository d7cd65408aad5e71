"""The results of a session: where they are, and how they are read."""
