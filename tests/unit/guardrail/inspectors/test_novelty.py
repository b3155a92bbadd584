"""What a statement adds to the content that was handed in."""

from __future__ import annotations

import pytest

from guardrail.inspectors.novelty import adds
from retrieval.text.views import normalise

PAGE = frozenset(normalise("Mira Vale was born in Ribe and kept geese. What else did she do, and in 1962?").words)


@pytest.mark.parametrize(
    "statement",
    [
        "She was born in Esbjerg.",
        "She wrote The Salt Road.",
        "Born on 3 May 1962, she kept geese.",
        "Later she moved to Århus.",
        "В 1971 году она уехала.",
    ],
)
def test_new_names_and_numbers_are_added(statement: str) -> None:
    assert adds(statement, PAGE)


@pytest.mark.parametrize(
    "statement",
    [
        "Mira Vale was a keeper of geese from Ribe.",
        "Surely a life beside birds, and I'm told a happy one.",
        "In 1962, Vale's geese were Ribe's pride.",
        "",
    ],
)
def test_other_words_for_the_same_add_nothing(statement: str) -> None:
    assert not adds(statement, PAGE)
