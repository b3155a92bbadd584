"""A picture of pictures: a row for each treatment, the untreated model first; a column for each of some prompts.

Columns are the first prompts of every split, over the entries in turn. Small pictures are enlarged without smoothing.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.evaluation.images.looking import Judged
from guardrail.evaluation.images.suites import SPLITS

if TYPE_CHECKING:
    from PIL.Image import Image

_COLUMNS: Final = 14
_CELL: Final = 128
_GAP: Final = 6
_LABEL: Final = 180
_HEAD: Final = 92
_FONT: Final = 12
_LINE_CHARS: Final = 19
_LINES: Final = 5
_SMALL: Final = 64
"""Pictures up to this side are enlarged without smoothing."""

Content = Callable[[str, str], bytes]
"""(treatment, name of a picture) -> its bytes."""


def write_grid(sets: Mapping[str, Sequence[Judged]], path: Path, *, content: Content) -> None:
    """Write a PNG."""
    from PIL import Image, ImageDraw, ImageFont

    columns = chosen(next(iter(sets.values())))
    width = _LABEL + len(columns) * (_CELL + _GAP)
    picture = Image.new("RGB", (width, _HEAD + len(sets) * (_CELL + _GAP)), "white")
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(_FONT)
    first = list(next(iter(sets.values())))
    for column, place in enumerate(columns):
        prompt = first[place].ask.prompt
        said = textwrap.wrap(prompt.text, _LINE_CHARS)[: _LINES - 1]
        left = _LABEL + column * (_CELL + _GAP)
        draw.multiline_text((left, 4), "\n".join([f"[{prompt.split}]", *said]), fill="black", font=font)
    for row, (label, own) in enumerate(sets.items()):
        top = _HEAD + row * (_CELL + _GAP)
        draw.multiline_text((6, top + 4), "\n".join(textwrap.wrap(label, 26)), fill="black", font=font)
        for column, place in enumerate(columns):
            cell = _cell(own[place], label, content)
            picture.paste(cell, (_LABEL + column * (_CELL + _GAP), top))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)


def chosen(judged: Sequence[Judged]) -> list[int]:
    """Places of the columns: of every split in turn one prompt more, each of another entry as long as there are any."""
    waiting: dict[str, list[int]] = {split: [] for split in SPLITS}
    seen = set[str]()
    rank: dict[tuple[str, str | None], int] = {}
    ranked = []
    for place, one in enumerate(judged):
        prompt = one.ask.prompt
        if prompt.id not in seen:
            seen.add(prompt.id)
            cell = (prompt.split, prompt.entry)
            rank[cell] = rank.get(cell, 0) + 1
            ranked.append((rank[cell], place))
    for _, place in sorted(ranked):
        waiting[judged[place].ask.prompt.split].append(place)
    present = [places for places in waiting.values() if places]
    most = -(-_COLUMNS // len(present))
    turns = [place for number in range(most) for places in present for place in places[number : number + 1]]
    order = {split: number for number, split in enumerate(SPLITS)}
    return sorted(turns[:_COLUMNS], key=lambda place: (order[judged[place].ask.prompt.split], turns.index(place)))


def _cell(one: Judged, label: str, content: Content) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    if one.is_refused:
        blank = Image.new("RGB", (_CELL, _CELL), (235, 235, 235))
        ImageDraw.Draw(blank).text(
            (_CELL // 2 - 22, _CELL // 2 - 8), "refused", fill="black", font=ImageFont.load_default(_FONT)
        )
        return blank
    opened: Any = Image.open(io.BytesIO(content(label, one.ask.name)))
    smooth = Image.Resampling.NEAREST if max(opened.size) <= _SMALL else Image.Resampling.LANCZOS
    resized: Image.Image = opened.convert("RGB").resize((_CELL, _CELL), smooth)
    return resized
