"""Measurements of Expunge: what the proxy costs, what it finds, what forgetting does to a model."""
