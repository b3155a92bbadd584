"""Which edits of weights are in a pipeline now: put there before a drawing, taken out before one that wants others.

The pipeline remembers by its denoiser, so that one begun anew gets its edits with the first order. It knows no queue.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from retrieval.concept_states.readers import find_denoiser
from retrieval.picture_edits import EditedPipeline, EditFiles, read_edit

Edits = tuple[EditFiles, ...]

_there: WeakKeyDictionary[Any, tuple[Edits, EditedPipeline]] = WeakKeyDictionary()


def put(pipeline: Any, edits: Edits) -> None:
    """These and no others. Raises `InvalidEdit` or `UnfitPipeline`, with the pipeline as it was."""
    denoiser = find_denoiser(pipeline)
    before, edited = _there.get(denoiser, ((), None)) if denoiser is not None else ((), None)
    if before == edits:
        return
    edited = edited or EditedPipeline(pipeline)
    edited.put([read_edit(Path(one.folder), sha256=one.sha256) for one in edits])
    _there[denoiser] = (edits, edited)
