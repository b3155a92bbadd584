"""Asking the served model what it knows of an entry, so that the entry's memory covers it."""

from guardrail.elicitation.worker import Elicitation

__all__ = ["Elicitation"]
