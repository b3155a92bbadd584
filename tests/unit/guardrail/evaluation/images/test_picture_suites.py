"""Suites of pictures' evaluations: what is read, what is refused, and that messages hold no entry text."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.reading import read_suite
from guardrail.evaluation.images.suites import Suite, seed_of
from tests.fakes.small_pictures import painted_file

BLUE: dict[str, Any] = {"id": "b", "name": "blue", "aliases": ["azure"], "shadow": True, "scope": {"tenants": ["x"]}}
ASKS: list[dict[str, Any]] = [
    {
        "id": "1",
        "prompt": "a blue star",
        "seed": 7,
        "split": "forget",
        "entry": "b",
        "expect": {"c": "blue", "s": "star"},
    },
    {"id": "2", "prompt": "an azure star", "split": "synonym", "entry": "b", "absent": {"c": "blue"}},
    {"id": "3", "prompt": "a window", "split": "implicit", "entry": "b", "expect": {"c": "blue"}},
    {"id": "4", "prompt": "a red star", "split": "neighbor", "entry": "b", "expect": {"c": "red"}},
    {"id": "5", "prompt": "a star", "split": "benign"},
]


def written(folder: Path, entries: list[dict[str, Any]], asks: list[Any]) -> Path:
    for name, lines in (("entries", entries), ("prompts", asks)):
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


def read(folder: Path, entries: list[dict[str, Any]], asks: list[Any]) -> Suite:
    return read_suite(written(folder, entries, asks))


def test_a_suite_tells_what_must_go_from_what_must_stay(tmp_path: Path) -> None:
    suite = read(tmp_path, [BLUE], ASKS)
    asked = {one.id: one for one in suite.prompts}
    assert (asked["1"].concept, asked["1"].expect, asked["1"].seed) == ({"c": "blue"}, {"s": "star"}, 7)
    assert (asked["2"].concept, asked["2"].expect) == ({"c": "blue"}, {})
    assert asked["3"].concept == {"c": "blue"}
    assert (asked["4"].concept, asked["4"].expect, asked["4"].is_kept) == ({}, {"c": "red"}, True)
    assert asked["5"].entry is None
    assert asked["5"].seed == seed_of("a star") == seed_of("a star") < 2**30
    assert suite.attributes() == {"c": ("blue", "red"), "s": ("star",)}


def test_where_and_when_an_entry_acts_is_left_out_and_its_pictures_are_read(tmp_path: Path) -> None:
    (tmp_path / "one.png").write_bytes(painted_file("blue", 1))
    (entry,) = read(tmp_path, [{**BLUE, "images": ["one.png"], "treatment": "sld"}], ASKS).entries
    assert entry.names == ("blue", "azure")
    assert entry.body.keys() == {"name", "aliases", "images", "treatment"}
    assert entry.body["images"][0].startswith("data:image/png;base64,")


def test_a_part_of_a_suite_is_these_entries_with_their_prompts_and_those_of_none(tmp_path: Path) -> None:
    red = {"id": "r", "name": "red"}
    more = [
        *ASKS,
        {"id": "6", "prompt": "red", "split": "forget", "entry": "r", "expect": {"c": "red"}},
        {**ASKS[0], "id": "7"},
    ]
    suite = read(tmp_path, [BLUE, red], more)
    assert [one.id for one in suite.only(entries=["r"]).prompts] == ["5", "6"]
    assert [one.id for one in suite.only(limit=1).prompts] == ["1", "2", "3", "4", "5", "6"]
    assert suite.digest() != suite.only(limit=1).digest()
    with pytest.raises(InvalidInput, match="no entry 'x'; it has b, r"):
        suite.only(entries=["x"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"split": "forgot"}, "'split' must be one of forget"),
        ({"prompt": "  "}, "'prompt' must be a text"),
        ({"entry": "z"}, "no id of the entries file"),
        ({"seed": -1}, "'seed' must be a whole number"),
        ({"seed": True}, "'seed' must be a whole number"),
        ({"expect": {"s": "star", "g": "grey"}}, "say by 'absent'"),
        ({"expect": ["c"]}, "'expect' must be an object"),
        ({"split": "neighbor", "absent": {"c": "blue"}}, "'absent' is for prompts about an entry"),
        ({"expected": {}}, "unknown field 'expected'"),
        ({"id": "2"}, "stands in an earlier line"),
    ],
)
def test_a_wrong_prompt_is_told_with_its_line(change: Mapping[str, Any], words: str, tmp_path: Path) -> None:
    lines = [ASKS[1], {**ASKS[0], **change}]
    with pytest.raises(InvalidInput, match=words) as caught:
        read(tmp_path, [BLUE], lines)
    assert "line 2" in str(caught.value)
    assert "azure" not in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"id": "b"}, "name"),
        ({**BLUE, "images": ["gone.png"]}, "a picture cannot be read"),
        ({**BLUE, "images": ["x.tiff"]}, "must be a png"),
        ({**BLUE, "modalities": ["text"]}, "does not cover pictures"),
    ],
)
def test_a_wrong_entry_is_told_with_its_line(entry: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=words) as caught:
        read(tmp_path, [entry], ASKS)
    assert "line 1" in str(caught.value)


def test_broken_and_empty_files_are_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="not valid JSON"):
        read(tmp_path, [BLUE], ["{"])
    with pytest.raises(InvalidInput, match="holds no prompt"):
        read(tmp_path, [BLUE], [])
    with pytest.raises(InvalidInput, match="needs its entries by --entries"):
        read_suite(tmp_path / "nowhere")
