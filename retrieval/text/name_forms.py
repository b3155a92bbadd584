"""Other forms of a name, exact to the letter: "King, Stephen", "S. King", "Samuel Jackson" for Samuel L. Jackson.

They are weaker than the name itself, because other people share them. A form tells only if it is written as such (its
initials as capitals, a comma after the last name, no list of names), and initials only if one registered name alone has
them and its last name is not one of the most common. Otherwise it is a hint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from retrieval.text.known_words import known_words
from retrieval.text.phrases import PhraseTag
from retrieval.text.views import Span

LAST_FIRST_SCORE = 0.95
INITIALS_SCORE = 0.8
HINT_SCORE = 0.6

_MOST_WORDS = 4
_LAST_FIRST = re.compile(r"[^,]+,\s+[^,]+")
# "William Lloyd Garrison, John Brown": a list of names, not a name.
_NAME_BEFORE = re.compile(r"\b[A-Z][\w.'’-]*\s+$")
_NAME_AFTER = re.compile(r"\s+[A-Z][a-z]")
_INITIAL_BEFORE = re.compile(r"\b[A-Z]\.?[\s-]*$")
_INITIALS = re.compile(r"(?:[^\W\d_a-z]\.?[\s-]*)+[^\W\d_]")


@dataclass(frozen=True, kw_only=True, slots=True)
class FormTag:
    """Whose form it is, and of which sort. `is_rare`: the last name says much by itself."""

    tag: PhraseTag
    how: str
    is_rare: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """A form for the automaton."""

    text: str
    tag: FormTag


def forms_of(words: tuple[str, ...], tag: PhraseTag) -> list[Form]:
    """The other forms of a name of two to four words."""
    if not 2 <= len(words) <= _MOST_WORDS or not all(word.isalpha() for word in words):
        return []
    first, last = words[:-1], words[-1]
    if len(last) < 3:
        return []
    forms = {(last, *first): "last name first", (*words[1:], words[0]): "last name first"}
    if any(len(word) > 1 for word in first):
        forms[(*(word[0] for word in first), last)] = "initials"
        forms[(first[0][0], last)] = "initials"
    if len(first) > 1:
        without = (*(word for word in first if len(word) > 1), last)
        if 1 < len(without) < len(words):
            forms[without] = "without initials"
    forms.pop(words, None)
    is_rare = last not in known_words().common_last_names and last not in known_words().little and len(last) > 3
    return [Form(text=" ".join(form), tag=FormTag(tag=tag, how=how, is_rare=is_rare)) for form, how in forms.items()]


def score_of(form: FormTag, text: str, span: Span, *, shared: int) -> float:
    """How much a form tells as it is written at `span`; `shared` registered entries have it. 0 = nothing."""
    written = text[span.start : span.end]
    if form.how == "last name first":
        in_list = _NAME_BEFORE.search(text, max(0, span.start - 40), span.start) or _NAME_AFTER.match(text, span.end)
        return LAST_FIRST_SCORE if _LAST_FIRST.fullmatch(written) and not in_list else 0.0
    if form.how == "initials":
        if _INITIAL_BEFORE.search(text, max(0, span.start - 8), span.start):
            return 0.0
        if not _INITIALS.match(written) or not written.rsplit(maxsplit=1)[-1][:1].isupper():
            return 0.0
        return INITIALS_SCORE if form.is_rare and shared == 1 else HINT_SCORE
    return HINT_SCORE
