"""Pictures that callers hand in: which entries they show, before the model is asked.

What a picture shows the model may know by itself, so a picture of an entry asks for it: the request is treated. Where the
entry says `supplied_context: redact` or `refuse`, that is done instead. The other detectors read texts; this one stands
beside the cascade. What must not pass unseen is a 400 that says the same whatever is registered. It does not know
embedders. Limits in pictures.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from guardrail.decision import NO_PASSAGE, Admits, Detection, Evidence, EvidenceKind
from guardrail.detectors.cascade import DetectorFailure
from guardrail.errors import ApiError
from guardrail.openai_wire.picture_inputs import PictureInput
from retrieval.entry import RegisteredEntry, SuppliedContext
from retrieval.errors import RetrievalError
from retrieval.picture_files import LIMITS, PictureRefused, content_of, open_picture

NAME: Final = "image"
MOST_PICTURES: Final = 32
"""Of one request."""


class Hit(Protocol):
    """An entry that a picture may show, as `retrieval.pictures` gives it."""

    @property
    def entry_id(self) -> str: ...

    @property
    def score(self) -> float: ...

    @property
    def is_match(self) -> bool: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureInputs:
    """See the module. `search`: encoded pictures -> for each the entries that it may show. `is_on` is False where there is
    nothing to look with; then nothing is looked at and nothing refused."""

    search: Callable[[Sequence[bytes]], Awaitable[Sequence[Sequence[Hit]]]]
    is_on: Callable[[], bool]
    by_address: Literal["pass", "refuse"]
    timeout_s: float

    async def find(self, pictures: Sequence[PictureInput], admits: Admits, *, strict: bool) -> list[Detection]:
        """One detection an entry, nearest first. `strict`: raise `ApiError` (400) for what cannot be looked at, instead of
        leaving it out. Raises `DetectorFailure`."""
        if not pictures or not self.is_on():
            return []
        if strict:
            self._refuse(pictures)
        inline = [one for one in pictures if one.is_inline][:MOST_PICTURES]
        try:
            async with asyncio.timeout(self.timeout_s):
                contents = await asyncio.to_thread(_opened, inline, strict)
                found = await self.search([content for _, content in contents])
        except PictureRefused as error:
            raise _bad(str(error)) from None
        except (RetrievalError, TimeoutError, ValueError, RuntimeError, OSError) as error:
            raise DetectorFailure(NAME, type(error).__name__, ()) from error
        return _detections([one for one, _ in contents], found, admits)

    def _refuse(self, pictures: Sequence[PictureInput]) -> None:
        if len(pictures) > MOST_PICTURES:
            raise _bad(f"are more than {MOST_PICTURES}; send fewer.", whose="The pictures of this request")
        if self.by_address == "refuse" and not all(one.is_inline for one in pictures):
            raise _bad("must be a data URL such as data:image/png;base64,...")


def _opened(pictures: Sequence[PictureInput], strict: bool) -> list[tuple[PictureInput, bytes]]:
    """Those that can be opened; raises `PictureRefused` for the others if they must be."""
    opened: list[tuple[PictureInput, bytes]] = []
    for one in pictures:
        try:
            content = content_of(one.url, LIMITS)
            open_picture(content)
        except PictureRefused:
            if strict:
                raise
        else:
            opened.append((one, content))
    return opened


def _detections(pictures: Sequence[PictureInput], found: Sequence[Sequence[Hit]], admits: Admits) -> list[Detection]:
    entries: dict[str, RegisteredEntry] = {}
    evidence: dict[str, list[Evidence]] = {}
    for picture, hits in zip(pictures, found, strict=True):
        for hit in hits:
            entry = admits(hit.entry_id) if hit.is_match else None
            if entry is None:
                continue
            item = Evidence(
                detector=NAME,
                kind=EvidenceKind.PICTURE,
                score=hit.score,
                passage=NO_PASSAGE,
                start=0,
                end=0,
                part=picture.part,
                supplied=entry.entry.supplied_context is not SuppliedContext.ALLOW,
            )
            entries[hit.entry_id] = entry
            evidence.setdefault(hit.entry_id, []).append(item)
    made = [
        Detection(entry=entries[key], score=max(item.score for item in items), evidence=tuple(items))
        for key, items in evidence.items()
    ]
    return sorted(made, key=lambda one: (-one.score, one.entry.id))


def _bad(why: str, *, whose: str = "A picture of this request") -> ApiError:
    return ApiError(f"{whose} {why}", param="image_url", code="invalid_image", should_retry=False)
