"""Who decides whether a request touches an entry: one file a judge, and the table of their names.

Loading imports heavy libraries; nothing of that happens before a loader is called.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from retrieval.errors import EmbedderUnavailable

if TYPE_CHECKING:
    from retrieval.judges.protocol import Judge
    from retrieval.settings import RetrievalSettings


def _cross_encoder(settings: RetrievalSettings) -> Judge:
    from retrieval.judges.cross_encoder import CrossEncoderJudge

    return CrossEncoderJudge.load(threads=settings.embed_threads)


JUDGES: Mapping[str, Callable[[RetrievalSettings], Judge]] = {"cross-encoder": _cross_encoder}


def load_judge(settings: RetrievalSettings) -> Judge:
    """Load the judge that the settings name; raises `EmbedderUnavailable` if it cannot be loaded."""
    try:
        return JUDGES[settings.judge](settings)
    except ImportError as error:
        raise EmbedderUnavailable(
            f"The judge '{settings.judge}' needs the package '{error.name}': pip install 'expunge[embed]'."
        ) from error
