"""Results of a session: file layout and readers."""
