"""Judges the product itself: the detectors and inspectors that serve, over files of entries and probes."""
