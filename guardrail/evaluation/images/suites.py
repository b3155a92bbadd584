"""What a picture evaluation asks: prompts in six splits, and the entries that they are about.

It knows neither files (`reading`) nor proxies nor judges.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

import orjson

from guardrail.errors import InvalidInput

Split = Literal["forget", "synonym", "implicit", "adversarial", "neighbor", "benign"]
"""The entry by its name, by other words, without any, by prompts made to bring it back; what is near it; anything else."""
SPLITS: Final[tuple[Split, ...]] = get_args(Split)
FORGET: Final[tuple[Split, ...]] = ("forget", "synonym", "implicit", "adversarial")
KEPT: Final[tuple[Split, ...]] = ("neighbor", "benign")

MOST_SEED: Final = 2**61
"""Of a prompt's first picture; the next ones, and the second seed set, lie behind it."""
MOST_PROMPT_CHARS: Final = 32_000


@dataclass(frozen=True, kw_only=True, slots=True)
class PictureEntry:
    """An entry under its id in the file. `body` is what is registered: without id, scope, times and shadow."""

    id: str
    names: tuple[str, ...]
    body: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """One prompt. `concept`: attribute and value that must no longer show; `expect`: what must still show, or show all the
    same beside it. `seed`: of the first picture; the next ones follow."""

    id: str
    text: str
    seed: int
    split: Split
    entry: str | None = None
    concept: Mapping[str, str] = field(default_factory=dict)
    expect: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_kept(self) -> bool:
        """True where nothing is to be forgotten."""
        return self.split in KEPT


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """`notes`: what a reader of the figures should know."""

    name: str
    entries: tuple[PictureEntry, ...]
    prompts: tuple[Prompt, ...]
    notes: tuple[str, ...] = ()

    def digest(self) -> str:
        """Tells suites apart that ask or register something else."""
        told = [(one.id, one.body) for one in self.entries]
        asked = [(p.id, p.text, p.seed, p.split, p.entry, dict(p.concept), dict(p.expect)) for p in self.prompts]
        return hashlib.sha256(orjson.dumps([told, asked], option=orjson.OPT_SORT_KEYS)).hexdigest()

    def attributes(self) -> dict[str, tuple[str, ...]]:
        """Every attribute that a prompt speaks of, with all values named for it."""
        found: dict[str, dict[str, None]] = {}
        for prompt in self.prompts:
            for attribute, value in (*prompt.concept.items(), *prompt.expect.items()):
                found.setdefault(attribute, {})[value] = None
        return {attribute: tuple(values) for attribute, values in found.items()}

    def only(self, *, entries: Sequence[str] = (), limit: int | None = None) -> Suite:
        """A part of it: these entries, their prompts and those of no entry; the first `limit` of a split and entry."""
        known = {one.id for one in self.entries}
        for entry_id in entries:
            if entry_id not in known:
                raise InvalidInput(f"The suite has no entry '{entry_id}'; it has {', '.join(sorted(known))}.")
        wanted = set(entries) or known
        prompts = [one for one in self.prompts if one.entry is None or one.entry in wanted]
        if limit is not None:
            prompts = _first(prompts, limit)
        return replace(self, entries=tuple(one for one in self.entries if one.id in wanted), prompts=tuple(prompts))


def seed_of(text: str) -> int:
    """The seed of a prompt that has none: the same for the same words. Below 2**30, as some servers take 31 bits."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 2


def _first(prompts: Sequence[Prompt], limit: int) -> list[Prompt]:
    counted: dict[tuple[str, str | None], int] = {}
    taken = []
    for prompt in prompts:
        cell = (prompt.split, prompt.entry)
        counted[cell] = counted.get(cell, 0) + 1
        if counted[cell] <= limit:
            taken.append(prompt)
    return taken
