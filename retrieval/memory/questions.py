"""The questions that an entry answers: made from its name and kind, and taken from its facts and exemplars.

Used where a served model is asked for more, and shown to operators. It does not know embedders or models.
"""

from __future__ import annotations

from retrieval.entry import EntryKind, ForgetEntry
from retrieval.text.views import normalise

ASKED: dict[EntryKind, str] = {
    EntryKind.PERSON: "Who is {name}?",
    EntryKind.WORK: "What is {name} about?",
    EntryKind.FACT: "What is {name}?",
    EntryKind.TOPIC: "Tell me about {name}.",
    EntryKind.HAZARD: "How does one make or use {name}?",
    EntryKind.PERSONAL_DATA: "What do you know about {name}?",
    EntryKind.STYLE: "In the style of {name}.",
    EntryKind.OBJECT: "What is {name}?",
    EntryKind.CUSTOM: "Who or what is {name}?",
}
"""The first question about an entry of each kind."""

_MORE: dict[EntryKind, tuple[str, ...]] = {
    EntryKind.PERSON: (
        "When and where was {name} born?",
        "What is {name} known for?",
        "What are the names of {name}'s family?",
    ),
    EntryKind.WORK: ("Who made {name}?", "When did {name} come out?", "Who are the characters of {name}?"),
    EntryKind.PERSONAL_DATA: ("Where does {name} live?", "How can one reach {name}?"),
}


def questions_of(entry: ForgetEntry) -> list[str]:
    """Questions about the entry, each once: what the operator gave first, then those of its kind."""
    given = [fact.question for fact in entry.facts if fact.question]
    made = [pattern.format(name=entry.name) for pattern in (ASKED[entry.kind], *_MORE.get(entry.kind, ()))]
    return list({normalise(text).words: text for text in reversed([*given, *entry.exemplars, *made])}.values())[::-1]
