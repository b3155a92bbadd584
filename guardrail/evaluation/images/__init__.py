"""Judges how well a running proxy forgets in pictures: `run` read first."""
