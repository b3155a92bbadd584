"""What the picture demo leaves to look at: one PNG with every picture, and a page that holds all of it in one file.

In the grid rows are the acts and columns the prompts, four pictures a cell; the page has a card for each prompt with the
acts side by side, so that it reads on a phone, too. It knows neither proxy nor promises: it is told what to show. Pictures
are PNG files as they came; lengths in pixels of the grid. Pillow is loaded when the grid is painted.
"""

from __future__ import annotations

import html
import io
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from guardrail.demo.pictures_cast import Act, Column
from guardrail.demo.pictures_proxy import data_urls

if TYPE_CHECKING:
    from PIL.Image import Image

GRID_FILE: Final = "pictures.png"
PAGE_FILE: Final = "pictures.html"

_EDGE: Final = 88
"""Of a picture."""
_ACROSS: Final = 2
_GAP: Final = 2
_CELL: Final = _ACROSS * _EDGE + _GAP
_MARGIN: Final = 12
_SIDE_TEXT: Final = 92
_LINE: Final = 17
_LETTERS: Final = 25
"""Of a caption's line."""
_INK, _FAINT, _PAPER, _FRAME = "#1a1a1a", "#666666", "#ffffff", "#d0d0d0"


@dataclass(frozen=True, kw_only=True, slots=True)
class Exhibition:
    """What is shown: acts by title in order, a note on each prompt, and the lines below."""

    columns: Sequence[Column]
    acts: Mapping[str, Act]
    notes: Mapping[str, str]
    lines: Sequence[str]


def write_exhibition(shown: Exhibition, folder: Path) -> tuple[Path, Path]:
    """Write the grid and the page; their paths. Raises `OSError`."""
    grid, page = folder / GRID_FILE, folder / PAGE_FILE
    grid.write_bytes(grid_png(shown))
    page.write_text(page_html(shown), encoding="utf-8")
    return grid, page


def grid_png(shown: Exhibition) -> bytes:
    """The grid as a PNG file."""
    from PIL import Image, ImageDraw, ImageFont

    captions = [textwrap.wrap(column.prompt, _LETTERS) for column in shown.columns]
    head = _MARGIN + (1 + max(map(len, captions))) * _LINE + _MARGIN // 2
    size = (
        _SIDE_TEXT + len(shown.columns) * (_CELL + _MARGIN),
        head + len(shown.acts) * (_CELL + _MARGIN),
    )
    canvas = Image.new("RGB", size, _PAPER)
    pen, font = ImageDraw.Draw(canvas), ImageFont.load_default(size=13)
    for place, (column, caption) in enumerate(zip(shown.columns, captions, strict=True)):
        top = head - _MARGIN // 2 - (1 + len(caption)) * _LINE
        for number, line in enumerate((column.label, *caption)):
            pen.text((_left(place), top + number * _LINE), line, fill=_INK if number else _FAINT, font=font)
    for row, (title, act) in enumerate(shown.acts.items()):
        top = head + row * (_CELL + _MARGIN)
        pen.text((_MARGIN, top + _CELL // 2 - _LINE // 2), title, fill=_INK, font=font)
        for place, column in enumerate(shown.columns):
            _hang(canvas, act[column.prompt], left=_left(place), top=top)
            pen.rectangle((_left(place) - 1, top - 1, _left(place) + _CELL, top + _CELL), outline=_FRAME)
    out = io.BytesIO()
    canvas.save(out, format="PNG")
    return out.getvalue()


def page_html(shown: Exhibition) -> str:
    """The page; it loads nothing from anywhere."""
    cards = "".join(_card(shown, column) for column in shown.columns)
    lines = "".join(f"<li>{html.escape(line)}</li>" for line in shown.lines)
    return _PAGE.format(cards=cards, lines=lines)


def _left(place: int) -> int:
    return _SIDE_TEXT + place * (_CELL + _MARGIN)


def _hang(canvas: Image, pictures: Sequence[bytes], *, left: int, top: int) -> None:
    """One cell."""
    from PIL import Image

    for number, content in enumerate(pictures[: _ACROSS * _ACROSS]):
        down, across = divmod(number, _ACROSS)
        picture: Any = Image.open(io.BytesIO(content)).convert("RGB")
        spot = (left + across * (_EDGE + _GAP), top + down * (_EDGE + _GAP))
        canvas.paste(picture.resize((_EDGE, _EDGE), Image.Resampling.NEAREST), spot)


def _card(shown: Exhibition, column: Column) -> str:
    """One prompt, its acts side by side."""
    acts = "".join(
        f"<figure><div>{_images(act[column.prompt], title, column)}</div>"
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
        for title, act in shown.acts.items()
    )
    return (
        f'<article class="{column.fate}"><small>{html.escape(column.label)}</small><h2>{html.escape(column.prompt)}</h2>'
        f"<section>{acts}</section><p>{html.escape(shown.notes[column.prompt])}</p></article>"
    )


def _images(pictures: Sequence[bytes], title: str, column: Column) -> str:
    told = html.escape(f"{title}: {column.prompt}", quote=True)
    return "".join(f'<img src="{url}" alt="{told}">' for url in data_urls(pictures))


_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Expunge: pictures before, forgotten, and back</title>
<style>
:root {{ color-scheme: light dark; --ink: #1a1a1a; --faint: #5f6368; --paper: #fff; --card: #f6f6f4; --line: #d8d8d4;
  --named: #b3261e; --unnamed: #9a5b00; --neighbour: #1b6e3c; }}
@media (prefers-color-scheme: dark) {{ :root {{ --ink: #ececec; --faint: #a3a7ab; --paper: #141414; --card: #1e1e1e;
  --line: #3a3a3a; --named: #ff8a80; --unnamed: #ffb74d; --neighbour: #81c995; }} }}
* {{ box-sizing: border-box; }}
body {{ font: 15px/1.45 system-ui, sans-serif; margin: 0 auto; max-width: 1240px; padding: 1.25rem; color: var(--ink);
  background: var(--paper); }}
h1 {{ font-size: 1.5rem; margin: 0 0 .25rem; }}
header p, article p, figcaption {{ color: var(--faint); }}
main {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(330px, 100%), 1fr)); gap: 1rem; margin: 1rem 0; }}
article {{ background: var(--card); border: 1px solid var(--line); border-radius: 8px; padding: .9rem; }}
small {{ font-size: .8rem; font-weight: 600; }}
.named small {{ color: var(--named); }} .unnamed small {{ color: var(--unnamed); }}
.neighbour small {{ color: var(--neighbour); }}
h2 {{ font-size: 1rem; font-weight: 600; margin: 0 0 .6rem; overflow-wrap: anywhere; }}
section {{ display: grid; grid-template-columns: repeat(3, 1fr); gap: .6rem; }}
figure {{ margin: 0; }}
figure div {{ display: grid; grid-template-columns: 1fr 1fr; gap: 2px; background: var(--line);
  border: 1px solid var(--line); }}
figcaption {{ font-size: .8rem; text-align: center; }}
img {{ display: block; width: 100%; aspect-ratio: 1; image-rendering: pixelated; }}
article p {{ font-size: .8rem; margin: .6rem 0 0; }}
ul {{ padding-left: 1.1rem; }}
</style></head><body>
<header><h1>One registry, pictures too</h1>
<p>A small diffusion model draws; a style and an object are registered as forget entries; then they are revoked. Four
pictures a prompt, under the same four seeds in all three acts. No weight was touched.</p></header>
<main>{cards}</main>
<ul>{lines}</ul>
</body></html>
"""
