"""The error tree of `finetune`: each message says what was wrong, the value, and how to mend it; never entry text."""

from __future__ import annotations

from collections.abc import Iterable

from retrieval.errors import did_you_mean


class FinetuneError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidData(FinetuneError):
    """A suite, an entry or a data set cannot be used as it is. Exit code 2."""


class InvalidPlan(FinetuneError):
    """Hyper-parameters, a method or a metric that do not exist or do not go together. Exit code 2."""


class ModelUnsuitable(FinetuneError):
    """A model that lacks what the work needs (a chat template, the named modules, log-probabilities). Exit code 2."""


class NotEnoughMemory(FinetuneError):
    """The work will not fit; says how much it needs and what would make it fit. Exit code 2."""


class CheckpointBroken(FinetuneError):
    """A checkpoint that cannot be read or belongs to other work. Exit code 2."""


class TrainingDiverged(FinetuneError):
    """The loss is no number any more. Exit code 1."""


class LaunchFailed(FinetuneError):
    """A job's process that cannot be started where it should run. Exit code 1."""


class EndpointFailed(FinetuneError):
    """A served model that cannot be reached or does not answer as it should. Exit code 1."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> InvalidPlan:
    """An error for a name that is in no table: lists the known ones and suggests the nearest."""
    names = sorted(known)
    hint = did_you_mean(name, names)
    return InvalidPlan(f"Unknown {what} '{name}'.{hint} Known: {', '.join(names)}.")
