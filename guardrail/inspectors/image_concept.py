"""Pictures that leave: which of them show an entry that is in force for the caller.

It looks at finished pictures and only says what it saw; drawing anew is the flow's. It fails closed like the jury over
texts: where nobody can say what a picture shows, `leaks` raises and no picture leaves, unless the policy lets them pass. It
does not know embedders or thresholds. Scores in 0..1, .5 is an entry's own threshold.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from guardrail.decision import Admits
from guardrail.errors import overloaded
from guardrail.pictures import Drawn, PictureLeak
from retrieval.errors import RetrievalError


class Hit(Protocol):
    """An entry that a picture may show, as `retrieval.pictures` gives it."""

    @property
    def entry_id(self) -> str: ...

    @property
    def score(self) -> float: ...

    @property
    def is_match(self) -> bool: ...


Search = Callable[[Sequence[bytes]], Awaitable[Sequence[Sequence[Hit]]]]
"""Encoded pictures -> for each the entries that it may show."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageConcept:
    """See the module. `on_failure` is told that nobody could say what pictures show; `fails_open` lets them pass then.
    `is_on` is False where there is nothing to look with."""

    search: Search
    timeout_s: float
    fails_open: bool
    on_failure: Callable[[], None]
    is_on: Callable[[], bool] = lambda: True

    async def leaks(self, pictures: Sequence[Drawn], admits: Admits) -> list[PictureLeak]:
        """What the pictures show of entries that `admits` lets count, in the order of the pictures, nearest first.

        Entries in shadow are among them: what follows is the caller's to say. Raises `ApiError` (503).
        """
        if not pictures:
            return []
        try:
            async with asyncio.timeout(self.timeout_s):
                found = await self.search([picture.content for picture in pictures])
        except (RetrievalError, TimeoutError, ValueError, RuntimeError, OSError) as error:
            self.on_failure()
            if self.fails_open:
                return []
            raise overloaded("The service cannot give this picture at the moment.", retry_after_s=2.0) from error
        return [
            leak
            for picture, hits in zip(pictures, found, strict=True)
            for leak in sorted(_shown(picture, hits, admits), key=lambda leak: -leak.score)
        ]


def _shown(picture: Drawn, hits: Sequence[Hit], admits: Admits) -> list[PictureLeak]:
    shown: list[PictureLeak] = []
    for hit in hits:
        entry = admits(hit.entry_id) if hit.is_match else None
        if entry is not None:
            shown.append(PictureLeak(entry=entry, index=picture.index, score=hit.score))
    return shown
