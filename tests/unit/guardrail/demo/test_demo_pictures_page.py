"""What the picture demo leaves to look at: every picture is there, nothing is loaded from elsewhere, nothing breaks out."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from guardrail.demo.pictures_cast import Column
from guardrail.demo.pictures_page import Exhibition, grid_png, page_html, write_exhibition
from tests.fakes.small_pictures import painted_file

HOSTILE = '<script>alert("1")</script> & a {brace}'
TITLES = ("before", "forgotten", "revoked")
COLOURS = {"a red blot": "red", HOSTILE: "blue"}


class Tags(HTMLParser):
    """Collects what the page is made of, and what would load something."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset", "data")]


@pytest.fixture
def shown() -> Exhibition:
    return Exhibition(
        columns=tuple(Column(prompt=prompt, label=f"{prompt}!", fate="named") for prompt in COLOURS),
        acts={
            title: {
                prompt: [painted_file(colour, seed=10 * row + at) for at in range(4)]
                for prompt, colour in COLOURS.items()
            }
            for row, title in enumerate(TITLES)
        },
        notes={prompt: f"note on {prompt}" for prompt in COLOURS},
        lines=("one line & more",),
    )


def test_the_page_holds_every_picture_and_loads_nothing(shown: Exhibition) -> None:
    page = page_html(shown)
    tags = Tags()
    tags.feed(page)
    held = {base64.b64decode(source.partition("base64,")[2]) for source in tags.sources}
    assert all(source.startswith("data:image/png;base64,") for source in tags.sources)
    assert held == {content for act in shown.acts.values() for cell in act.values() for content in cell}
    assert not re.search(r"https?:|url\(|@import", page)


def test_what_a_prompt_says_is_text_and_never_markup(shown: Exhibition) -> None:
    page = page_html(shown)
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names
    assert page.count("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; a {brace}") >= len(TITLES) * 4
    assert "one line &amp; more" in page


def test_the_page_suits_dark_screens_and_small_ones(shown: Exhibition) -> None:
    page = page_html(shown)
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport" content="width=device-width' in page


def test_the_grid_grows_with_prompts_and_acts_and_shows_their_colours(shown: Exhibition) -> None:
    grid = Image.open(io.BytesIO(grid_png(shown)))
    one_act = Exhibition(columns=shown.columns, acts={"before": shown.acts["before"]}, notes={}, lines=())
    one_column = Exhibition(columns=shown.columns[:1], acts=shown.acts, notes={}, lines=())
    lower, narrower = (Image.open(io.BytesIO(grid_png(part))) for part in (one_act, one_column))
    assert lower.width == grid.width
    assert narrower.width < grid.width
    assert grid.height - lower.height == 2 * (grid.width - narrower.width)
    colours: Any = grid.convert("RGB").getcolors(maxcolors=1 << 24)
    blue = sum(number for number, (red, _, blue) in colours if blue > red + 100)
    red = sum(number for number, (red, _, blue) in colours if red > blue + 100)
    assert min(red, blue) > 3 * 4 * 25


def test_a_long_prompt_gets_the_lines_it_needs(shown: Exhibition) -> None:
    long = Column(prompt="word " * 30, label="x", fate="unnamed")
    acts = {"before": {long.prompt: shown.acts["before"]["a red blot"]}}
    tall = Image.open(io.BytesIO(grid_png(Exhibition(columns=(long,), acts=acts, notes={}, lines=()))))
    short = Exhibition(columns=shown.columns[:1], acts={"before": shown.acts["before"]}, notes={}, lines=())
    assert tall.height > Image.open(io.BytesIO(grid_png(short))).height


def test_both_files_are_written_where_they_are_said_to_be(shown: Exhibition, tmp_path: Path) -> None:
    grid, page = write_exhibition(shown, tmp_path)
    assert (grid.parent, page.parent) == (tmp_path, tmp_path)
    assert grid.read_bytes() == grid_png(shown)
    assert page.read_text(encoding="utf-8") == page_html(shown)
