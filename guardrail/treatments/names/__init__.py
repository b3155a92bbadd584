"""Invented names that stand in for those of what is forgotten, and the way back."""
