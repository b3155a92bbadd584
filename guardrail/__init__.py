"""Serving: receive -> detect -> decide -> treat -> forward -> stream -> inspect output."""
