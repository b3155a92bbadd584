"""The picture demo says so when its story does not hold, and counts no more than came out."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from guardrail.demo.pictures_cast import COLUMNS, ENTRIES, SEEDS, Act, Fate
from guardrail.demo.pictures_told import Told, how_met, lines_of, notes_of

ACT: Act = {column.prompt: tuple(f"{column.prompt} {seed}".encode() for seed in range(SEEDS)) for column in COLUMNS}
MEANT = [column.prompt for column in COLUMNS if column.means is not None]
OTHER = tuple(b"other %d" % seed for seed in range(SEEDS))


def prompt_of(fate: Fate) -> str:
    return next(column.prompt for column in COLUMNS if column.fate == fate)


def story(**changed: Any) -> Told:
    """One that holds, but for what is changed."""
    held = Told(
        bare=ACT,
        before=ACT,
        forgotten={column.prompt: ACT[column.prompt] if column.fate == "neighbour" else OTHER for column in COLUMNS},
        revoked=ACT,
        treatments={column.prompt: "prototype+sld" if column.fate == "named" else None for column in COLUMNS},
        left={column.prompt: None for column in COLUMNS},
        redrawn={column.prompt: SEEDS if column.fate == "unnamed" else 0 for column in COLUMNS},
        enforced_ms={"strypov": 231.6, "star": 52.4},
        seen_before=dict.fromkeys(MEANT, SEEDS),
        seen_forgotten=dict.fromkeys(MEANT, 0),
    )
    return dataclasses.replace(held, **changed)


def one_same(prompt: str) -> tuple[bytes, ...]:
    return (ACT[prompt][0], *OTHER[1:])


def test_a_story_that_holds_has_no_faults() -> None:
    assert story().faults() == []


@pytest.mark.parametrize(
    ("fate", "part", "value", "said"),
    [
        ("named", "bare", OTHER, "the model alone draws something else"),
        ("neighbour", "revoked", OTHER, "not drawn as before after the revocation"),
        ("named", "left", "sld", "still done about it after the revocation"),
        ("named", "treatments", None, "it names an entry, and nothing is done"),
        ("neighbour", "treatments", "sld", "it is treated although it is a neighbour"),
        ("neighbour", "forgotten", OTHER, f"{SEEDS} of {SEEDS} pictures are drawn differently although"),
        ("named", "seen_before", 1, f"seen in only 1 of {SEEDS} pictures before"),
        ("named", "seen_forgotten", 2, f"still seen in 2 of {SEEDS} pictures while"),
        ("unnamed", "redrawn", SEEDS - 1, f"only {SEEDS - 1} of {SEEDS} drawings were found to show one"),
    ],
)
def test_each_broken_promise_is_told_with_its_prompt_and_alone(fate: Fate, part: str, value: object, said: str) -> None:
    prompt = prompt_of(fate)
    faults = story(**{part: {**getattr(story(), part), prompt: value}}).faults()
    assert len(faults) == 1
    assert faults[0].startswith(f"'{prompt}': ")
    assert said in faults[0]


@pytest.mark.parametrize("fate", ["named", "unnamed"])
def test_one_picture_that_stayed_the_same_is_a_fault(fate: Fate) -> None:
    prompt = prompt_of(fate)
    (fault,) = story(forgotten={**story().forgotten, prompt: one_same(prompt)}).faults()
    assert f"1 of {SEEDS} pictures are the same as before" in fault


def test_an_unnamed_entry_that_is_met_in_the_words_needs_no_second_drawing() -> None:
    prompt = prompt_of("unnamed")
    told = story(treatments={**story().treatments, prompt: "sld"}, redrawn=dict.fromkeys(ACT, 0))
    assert not [fault for fault in told.faults() if prompt in fault]


def test_counts_follow_what_came_out() -> None:
    near = prompt_of("neighbour")
    held = "\n".join(lines_of(story()))
    less = "\n".join(lines_of(story(forgotten={**story().forgotten, near: one_same(near)})))
    neighbours = SEEDS * sum(column.fate == "neighbour" for column in COLUMNS)
    assert f"Neighbours: {neighbours} of {neighbours} pictures" in held
    assert f"Neighbours: {neighbours - SEEDS + 1} of {neighbours} pictures" in less
    assert "'strypov' 232 ms, 'star' 52 ms" in held
    assert f"made anew: {SEEDS * sum(column.fate == 'unnamed' for column in COLUMNS)}." in held


def test_a_model_without_a_judge_is_told_without_one() -> None:
    blind = story(seen_before={}, seen_forgotten={})
    assert blind.faults() == []
    assert not [text for text in (*lines_of(blind), *notes_of(blind).values()) if "judge" in text]
    near, named = prompt_of("neighbour"), prompt_of("named")
    assert f"sees the entry in {len(MEANT) * SEEDS} of {len(MEANT) * SEEDS} before, 0 while" in "\n".join(
        lines_of(story())
    )
    assert "judge" not in notes_of(story())[near]
    assert f"The judge sees it in {SEEDS} before, in 0 while forgotten." in notes_of(story())[named]


def test_every_prompt_that_touches_an_entry_names_it_and_no_neighbour_does() -> None:
    names = {entry.name for entry in ENTRIES}
    assert all((column.means in names) != (column.fate == "neighbour") for column in COLUMNS)


def test_a_prompt_is_noted_with_where_its_entry_was_met() -> None:
    named, unnamed, near = (prompt_of(fate) for fate in ("named", "unnamed", "neighbour"))
    told = story()
    assert how_met(told, named) == "in its words: prototype + sld"
    assert how_met(told, unnamed) == f"in its pictures: {SEEDS} drawings made anew"
    assert how_met(story(redrawn={**told.redrawn, near: 1}), near) == "in its pictures: 1 drawing made anew"
    assert notes_of(told)[near].startswith("Entry met nowhere.")
    assert f"{SEEDS} of {SEEDS} while forgotten" in notes_of(told)[near]
    assert f"0 of {SEEDS} while forgotten" in notes_of(told)[named]
