"""An entry's memory item by item, as operators see and edit it.

What the operator gave is listed and changed where it was given; what was derived from it can be switched off; more can be
added, by the operator or by asking the served model. An item's id follows from its kind and words, so that an edit still
holds when the entry is read anew. It does not know stores, HTTP or embeddings.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from retrieval.entry import ForgetEntry, MemoryEdit
from retrieval.errors import InvalidEntry
from retrieval.memory.aliases import aliases_of
from retrieval.memory.claims import claims_of
from retrieval.memory.handles import handles_of
from retrieval.memory.questions import questions_of
from retrieval.text.views import normalise

ItemKind = Literal["name", "alias", "description", "exemplar", "question", "fact", "claim", "handle", "neighbor"]
ItemSource = Literal["given", "derived", "elicited"]
AddedKind = Literal["alias", "exemplar", "question", "claim", "handle", "neighbor"]

ADDED_KINDS: frozenset[str] = frozenset(get_args(AddedKind))
"""Kinds of which items may be added; the others are fields of the entry."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MemoryItem:
    """One thing that is remembered. `is_unmistakable`: found in a text, it decides alone."""

    id: str
    kind: ItemKind
    text: str
    source: ItemSource
    enabled: bool = True
    is_unmistakable: bool = False


def item_id(kind: str, text: str) -> str:
    """The id of an item of this kind whose text compares like this one."""
    words = " ".join(normalise(text).words)
    return f"{kind}-{hashlib.sha256(words.encode()).hexdigest()[:16]}"


def items_of(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[MemoryItem]:
    """Everything that is remembered of an entry, what is switched off too; each id once, the given one first."""
    found: dict[str, MemoryItem] = {}
    off = switched_off(edits)
    for item in (*_given(entry), *_added(edits), *_derived(entry, off)):
        found.setdefault(item.id, item)
    return list(found.values())


def switched_off(edits: Sequence[MemoryEdit]) -> Callable[[str, str], bool]:
    """Tells of a kind and text whether the item is switched off."""
    ids = {edit.item_id for edit in edits if not edit.enabled}
    return lambda kind, text: bool(ids) and item_id(kind, text) in ids


def unmistakable_names(entry: ForgetEntry, edits: Sequence[MemoryEdit] = ()) -> list[str]:
    """Names beyond the entry's own that decide alone: derived ones that are not switched off, and added ones."""
    off = switched_off(edits)
    derived = [alias.text for alias in aliases_of(entry) if alias.is_unmistakable and not off("alias", alias.text)]
    added = [
        edit.text for edit in edits if edit.kind == "alias" and edit.enabled and edit.is_unmistakable and edit.text
    ]
    return list(dict.fromkeys([*derived, *added]))


def added(kind: str, text: str, *, source: Literal["given", "elicited"] = "given", **flags: bool) -> MemoryEdit:
    """An edit that adds an item. Raises `InvalidEntry` for a kind that cannot be added, or a text without words."""
    if kind not in ADDED_KINDS:
        known = ", ".join(sorted(ADDED_KINDS))
        raise InvalidEntry(f"Items of kind '{kind[:32]}' cannot be added; known: {known}. PATCH the entry otherwise.")
    if not normalise(text).words:
        raise InvalidEntry("An item must hold at least one letter or digit.")
    if flags.get("is_unmistakable") and kind != "alias":
        raise InvalidEntry("Only an alias can be unmistakable.", param="is_unmistakable")
    return MemoryEdit(item_id=item_id(kind, text), kind=kind, text=text, source=source, **flags)


def _given(entry: ForgetEntry) -> Iterator[MemoryItem]:
    def item(kind: ItemKind, text: str, *, is_unmistakable: bool = False) -> MemoryItem:
        return MemoryItem(id=item_id(kind, text), kind=kind, text=text, source="given", is_unmistakable=is_unmistakable)

    yield item("name", entry.name, is_unmistakable=True)
    yield from (item("alias", alias, is_unmistakable=True) for alias in entry.aliases)
    if entry.description:
        yield item("description", entry.description)
    yield from (item("exemplar", text) for text in entry.exemplars)
    yield from (item("fact", f"{fact.question} {fact.answer}".strip()) for fact in entry.facts)
    yield from (item("question", fact.question) for fact in entry.facts if fact.question)
    yield from (item("neighbor", text) for text in entry.neighbors)


def _derived(entry: ForgetEntry, off: Callable[[str, str], bool]) -> Iterator[MemoryItem]:
    def item(kind: ItemKind, text: str, *, is_unmistakable: bool = False) -> MemoryItem:
        return MemoryItem(
            id=item_id(kind, text),
            kind=kind,
            text=text,
            source="derived",
            enabled=not off(kind, text),
            is_unmistakable=is_unmistakable,
        )

    aliases = aliases_of(entry)
    names = {normalise(text).words for text in (*entry.names, *(one.text for one in aliases))}
    yield from (item("alias", one.text, is_unmistakable=one.is_unmistakable) for one in aliases)
    given = set(entry.exemplars)
    yield from (item("question", text) for text in questions_of(entry) if text not in given)
    yield from (item("handle", handle.text) for handle in handles_of(entry) if handle.words not in names)
    yield from (item("claim", claim.sentence) for claim in claims_of(entry.name, entry.documents))


def _added(edits: Sequence[MemoryEdit]) -> Iterator[MemoryItem]:
    for edit in edits:
        if edit.text:
            yield MemoryItem(
                id=edit.item_id,
                kind=_kind(edit.kind),
                text=edit.text,
                source=edit.source,
                enabled=edit.enabled,
                is_unmistakable=edit.is_unmistakable,
            )


def _kind(kind: str) -> AddedKind:
    found: dict[str, AddedKind] = {name: name for name in get_args(AddedKind)}
    return found[kind]
