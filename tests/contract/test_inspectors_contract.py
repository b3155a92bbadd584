"""What every inspector promises, over the whole table."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.inspectors import (
    INSPECTORS,
    ClaimLeak,
    IgnoranceWatch,
    Inspector,
    JsonIgnoranceWatch,
    StructuredLeak,
    TextLeak,
)
from guardrail.inspectors.protocol import Progress
from tests.fakes.forgotten import AUTOMATON, RECORDS, forbidden
from tests.fakes.knowing import GEESE, jury_of

WORDS = st.sampled_from(
    [
        "Stephen",
        "King",
        "Stephen King",
        GEESE,
        "I don't know.",
        "He is",
        "\n",
        '"',
        "\\",
        "\\u0053",
        "\\ud83d",
        "村上春樹",
        "a",
        ".",
    ]
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)
SIZES = st.lists(st.integers(1, 20), min_size=1, max_size=4)


def _text() -> TextLeak:
    return TextLeak(AUTOMATON, forbidden())


class Judged(ClaimLeak):
    """With a jury that deliberates at once, as whoever relays the text would have it do."""

    def __init__(self) -> None:
        self.jury = jury_of()
        super().__init__(_text(), self.jury, "Who kept geese?")

    def push(self, text: str, *, final: bool = False) -> Progress:
        progress = super().push(text, final=final)
        while progress.awaits_verdict:
            asyncio.run(self.jury.deliberate())
            progress = super().push("", final=final)
        return progress


MAKERS: dict[str, Callable[[], Inspector]] = {
    "text_leak": _text,
    "structured_leak": lambda: StructuredLeak(_text()),
    "ignorance": lambda: IgnoranceWatch(_text(), RECORDS["e0"]),
    "json_ignorance": lambda: JsonIgnoranceWatch(StructuredLeak(_text()), RECORDS["e0"]),
    "claim_leak": Judged,
}
SAYS_NOTHING = {"json_ignorance": '{"a": "'}
"""What may stand before a name; an admission in words unless told."""


def pieces_of(text: str, sizes: list[int]) -> list[str]:
    pieces, at, turn = [], 0, 0
    while at < len(text):
        pieces.append(text[at : at + sizes[turn % len(sizes)]])
        at, turn = at + len(pieces[-1]), turn + 1
    return pieces


def test_every_inspector_of_the_table_is_under_contract() -> None:
    assert set(MAKERS) == set(INSPECTORS)
    assert all(isinstance(make(), INSPECTORS[name]) for name, make in MAKERS.items())


@pytest.mark.parametrize("name", sorted(INSPECTORS))
@given(text=TEXTS, sizes=SIZES)
@settings(deadline=None, max_examples=150)
def test_every_leak_lies_ahead_and_in_the_end_all_is_cleared_or_repaired(
    name: str, text: str, sizes: list[int]
) -> None:
    inspector = MAKERS[name]()
    seen = repaired = cleared = 0
    for piece, final in [*((piece, False) for piece in pieces_of(text, sizes)), ("", True)]:
        seen += len(piece)
        progress = inspector.push(piece, final=final)
        while progress.leak is not None:
            assert repaired <= progress.leak.start < progress.leak.end <= seen
            assert progress.cleared <= progress.leak.start
            repaired = progress.leak.end
            inspector.resume(repaired)
            progress = inspector.push("", final=final)
        assert max(cleared, progress.cleared) <= seen
        cleared = max(cleared, progress.cleared, repaired)
    assert cleared == len(text)


@pytest.mark.parametrize("name", sorted(INSPECTORS))
@pytest.mark.parametrize("spoken", ["Stephen King", "Richard Bachman", "J. K. Rowling", "村上春樹", "5550199123"])
def test_nothing_of_a_name_is_cleared_before_it_is_told(name: str, spoken: str) -> None:
    inspector = MAKERS[name]()
    admission = SAYS_NOTHING.get(name, "I don't know. ")
    for place, char in enumerate(f"{admission}{spoken} "):
        progress = inspector.push(char)
        assert progress.cleared <= len(admission) or place < len(admission)
        if progress.leak is not None:
            assert len(admission) + len(spoken) <= progress.leak.end <= place + 1
            return
    pytest.fail("the name was never told")


@pytest.mark.parametrize("name", sorted(INSPECTORS))
def test_an_empty_text_is_no_leak(name: str) -> None:
    progress = MAKERS[name]().push("", final=True)
    assert (progress.cleared, progress.leak) == (0, None)
