"""Texts with forbidden, nearly forbidden and plain words, cut into pieces and mixed over fields and choices."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests.fakes.forgotten import LONG_FACT, leaks_in
from tests.fakes.wire_streams import Piece

MANY = settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])

WHOLE = (
    "Stephen King",
    "Richard Bachman",
    "STEPHEN   KING",
    "Ｓｔｅｐｈｅｎ King",
    "Stеphen\u200b King",
    "Steve",
    "JK Rowling",
)
NEAR = (
    "Stephen",
    "King",
    "Stephen Kin",
    "Richard",
    "Bachman Turner",
    "Stevens",
    "J.",
    "K.",
    "村上",
    "春",
    "Haruki",
    "5550199",
)
PLAIN = (
    "the",
    "an author",
    "wrote",
    "in 1974",
    "Überraschung",
    "😀",
    "é",
    "naïve",
    "\n",
    ".",
    ",",
    '"',
    "\\",
    "{",
    "}",
    "u0041",
)
SPACES = st.sampled_from([" ", "", " ", "  ", "\n", "-", ". "])


def texts(*kinds: Sequence[str]) -> st.SearchStrategy[str]:
    """Texts woven of words of these kinds."""
    words = st.sampled_from([word for kind in kinds for word in kind])
    pairs = st.lists(st.tuples(words, SPACES), max_size=8)
    return pairs.map(lambda found: "".join(word + space for word, space in found))


LEAKY = texts(WHOLE, (*WHOLE, LONG_FACT, "村上春樹", "J. K. Rowling", "Zoe Uberschar", "5550199123"), NEAR, PLAIN)
CLEAN = texts(NEAR, PLAIN).filter(lambda text: not leaks_in(text))


def cut(text: str, sizes: Sequence[int]) -> list[str]:
    """The text in pieces of these sizes."""
    pieces, at, turn = [], 0, 0
    while at < len(text):
        size = sizes[turn % len(sizes)]
        pieces.append(text[at : at + size])
        at, turn = at + size, turn + 1
    return pieces


SIZES = st.lists(st.integers(1, 30), min_size=1, max_size=5)
PATIENCE = st.sampled_from([0, 4, 512])  # with little patience, texts are let go before they are decided
BYTE_SIZES = st.lists(st.integers(1, 120), min_size=1, max_size=5)


def escaped(text: str) -> str:
    """A JSON object that holds the text with every letter written as an escape."""
    inside = "".join(f"\\u{unit:04x}" for unit in _utf16(text))
    return f'{{"q": "{inside}"}}'


def _utf16(text: str) -> list[int]:
    raw = text.encode("utf-16-be", "surrogatepass")
    return [int.from_bytes(raw[at : at + 2]) for at in range(0, len(raw), 2)]


@st.composite
def said(draw: st.DrawFn, words: st.SearchStrategy[str], endpoint: str, choices: int = 2) -> list[Piece]:
    """Pieces of several texts of several choices, mixed."""
    fields = ["content"] if endpoint == "completions" else ["content", "reasoning", "refusal", "arguments"]
    queues: list[list[Piece]] = []
    for choice in range(choices):
        for name in draw(st.lists(st.sampled_from(fields), min_size=1, max_size=2, unique=True)):
            text = draw(words)
            if name == "arguments":
                text = draw(st.sampled_from([escaped(text), json.dumps({"q": text}), json.dumps([text, {text: 1}])]))
            others = draw(st.sampled_from([(), (" x",), ("Stephen", " King")])) if name == "content" else ()
            queues.append(
                [Piece(text=p, field=name, choice=choice, alternatives=others) for p in cut(text, draw(SIZES))]
            )
    mixed: list[Piece] = []
    while any(queues):
        queue = draw(st.sampled_from([queue for queue in queues if queue]))
        mixed.append(queue.pop(0))
    return mixed
