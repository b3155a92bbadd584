"""Weight edits."""
