"""Treat: in-context unlearning methods, one family per modality."""
