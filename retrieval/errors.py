"""The error tree of `retrieval`: every error says what was wrong, the value, and how to mend it.

Messages never carry entry text (names, facts, documents): they may travel to logs and to clients.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class RetrievalError(Exception):
    """Base of every error that this package raises on purpose."""


class InvalidEntry(RetrievalError):
    """A forget entry that cannot be accepted.

    `param` is the field's path ("facts.0.answer"), `mend` says what to send instead.
    """

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.param = param


class EntryConflict(RetrievalError):
    """The same id with another body, or a revision that is no longer the newest."""


class EntryNotFound(RetrievalError):
    """No entry has this id."""


class EntryRevoked(RetrievalError):
    """The entry was revoked; a revoked entry cannot be revised."""


class InvalidEdit(RetrievalError):
    """Files that should hold an edit of weights, and do not."""


class UnfitPipeline(RetrievalError):
    """Something cannot work in this diffusion pipeline, or not under these arguments; says what is missing."""


class JobNotFound(RetrievalError):
    """No consolidation has this id."""


class JobConflict(RetrievalError):
    """A job, or the weights it made, is not in the state that this needs."""


class JobCancelled(JobConflict):
    """A job that somebody cancelled while a worker had it."""


class ArtifactNotFound(RetrievalError):
    """No weights have this id."""


class WeightsChanged(RetrievalError):
    """Files of weights that are missing, or not as they were approved."""


class LeaseLost(RetrievalError):
    """A job that another worker has taken over, as this one was not heard of for too long."""


class StoreUnavailable(RetrievalError):
    """The registry's database cannot be read or written."""


class StoreCorrupt(RetrievalError):
    """The registry's database or its audit chain does not fit together."""


class EmbedderUnavailable(RetrievalError):
    """The embedder's libraries or model files are missing."""


class TextTooLong(RetrievalError):
    """A text is longer than is read for hidden names; the message gives both lengths' setting."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """ " Did you mean 'x'?", to stand behind a sentence, for the known name that is nearest; empty if none is near."""
    near = get_close_matches(name, list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
