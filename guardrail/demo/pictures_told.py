"""What came out of the picture demo's three acts, what of it was not as promised, and how to say so in words.

Pictures are compared as files, and what a judge saw in them is counted; where the model has no judge, whether one shows
what was forgotten is for the onlooker to see. It speaks to no proxy, draws nothing and looks at nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from guardrail.demo.pictures_cast import COLUMNS, SEEDS, Act, Column

_LEAST_BEFORE: Final = SEEDS // 2
_MOST_FORGOTTEN: Final = SEEDS // 4
"""Pictures of a prompt: the judge errs, too, most of all on shapes that are nothing in particular."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """What was drawn in the three acts and by the bare pipeline, and what the admin listener told, by prompt.

    `treatments`: what the dry run said while the entries were in force; `left`: after they were revoked. `redrawn`:
    drawings that were thrown away because of what they showed. `enforced_ms`: from the request to the answer, by entry.
    `seen_before`, `seen_forgotten`: pictures in which the judge saw the entry that a prompt means; empty without a judge.
    """

    bare: Act
    before: Act
    forgotten: Act
    revoked: Act
    treatments: Mapping[str, str | None]
    left: Mapping[str, str | None]
    redrawn: Mapping[str, int]
    enforced_ms: Mapping[str, float]
    seen_before: Mapping[str, int]
    seen_forgotten: Mapping[str, int]

    def faults(self) -> list[str]:
        """What did not come out as promised; empty if the story held."""
        return [
            f"'{column.prompt}': {fault}"
            for column in COLUMNS
            for fault in (
                *self._faults_of_untouched(column),
                *self._faults_of_forgotten(column),
                *self._faults_of_seen(column),
            )
        ]

    def as_before(self, prompt: str) -> int:
        """How many of its pictures were the same file while the entries were in force."""
        return _same(self.before[prompt], self.forgotten[prompt])

    def back(self, prompt: str) -> int:
        """How many of its pictures were the same file once the entries were revoked."""
        return _same(self.before[prompt], self.revoked[prompt])

    def _faults_of_untouched(self, column: Column) -> Iterable[str]:
        """Of the acts without entries."""
        prompt = column.prompt
        if _same(self.bare[prompt], self.before[prompt]) != SEEDS:
            yield "the model alone draws something else before anything is forgotten"
        if self.back(prompt) != SEEDS:
            yield "it is not drawn as before after the revocation"
        if self.left[prompt] is not None:
            yield "something is still done about it after the revocation"

    def _faults_of_forgotten(self, column: Column) -> Iterable[str]:
        """Of the act under the entries."""
        prompt = column.prompt
        same, redrawn, is_met = self.as_before(prompt), self.redrawn[prompt], self.treatments[prompt] is not None
        if column.fate == "neighbour":
            if same != SEEDS:
                yield f"{SEEDS - same} of {SEEDS} pictures are drawn differently although it is a neighbour"
            if is_met:
                yield "it is treated although it is a neighbour"
            return
        if same:
            yield f"{same} of {SEEDS} pictures are the same as before"
        if column.fate == "named" and not is_met:
            yield "it names an entry, and nothing is done about it"
        if column.fate == "unnamed" and not is_met and redrawn < SEEDS:
            yield f"it names no entry, and only {redrawn} of {SEEDS} drawings were found to show one"

    def _faults_of_seen(self, column: Column) -> Iterable[str]:
        """Of what the judge saw."""
        before, forgotten = (seen.get(column.prompt) for seen in (self.seen_before, self.seen_forgotten))
        if before is not None and before < _LEAST_BEFORE:
            yield f"the entry is seen in only {before} of {SEEDS} pictures before it is forgotten"
        if forgotten is not None and forgotten > _MOST_FORGOTTEN:
            yield f"the entry is still seen in {forgotten} of {SEEDS} pictures while it is forgotten"


def how_met(told: Told, prompt: str) -> str:
    """Where an entry was met in a prompt and what was done, in words."""
    treatment, redrawn = told.treatments[prompt], told.redrawn[prompt]
    found = [f"in its words: {treatment.replace('+', ' + ')}"] if treatment else []
    if redrawn:
        found.append(f"in its pictures: {redrawn} {'drawing' if redrawn == 1 else 'drawings'} made anew")
    return ", ".join(found) or "nowhere"


def notes_of(told: Told) -> dict[str, str]:
    """What became of each prompt, in one line."""
    return {
        column.prompt: f"Entry met {how_met(told, column.prompt)}. As before, to the bit: {told.as_before(column.prompt)} "
        f"of {SEEDS} while forgotten, {told.back(column.prompt)} of {SEEDS} once revoked.{_seen_note(told, column.prompt)}"
        for column in COLUMNS
    }


def lines_of(told: Told) -> list[str]:
    """What was measured over all prompts; counts, so that none says more than what came out."""
    every = [column.prompt for column in COLUMNS]
    neighbours = [column.prompt for column in COLUMNS if column.fate == "neighbour"]
    touched = [prompt for prompt in every if prompt not in neighbours]
    total, near, meant = (SEEDS * len(prompts) for prompts in (every, neighbours, touched))
    alone = sum(_same(told.bare[prompt], told.before[prompt]) for prompt in every)
    kept = sum(told.as_before(prompt) for prompt in neighbours)
    changed = meant - sum(told.as_before(prompt) for prompt in touched)
    back = sum(told.back(prompt) for prompt in every)
    seen = sum(told.seen_before.values()), sum(told.seen_forgotten.values())
    judged = (
        f"The judge, who is not the gate, sees the entry in {seen[0]} of {meant} before, {seen[1]} while forgotten."
    )
    took = ", ".join(f"'{name}' {took_ms:.0f} ms" for name, took_ms in told.enforced_ms.items())
    return [
        f"Before anything was forgotten: {alone} of {total} pictures the same as without Expunge, to the bit.",
        f"Registered with reference pictures and in force: {took}.",
        f"Prompts that touch an entry: {changed} of {meant} pictures are others than before.",
        *([judged] if told.seen_forgotten else []),
        f"Neighbours: {kept} of {near} pictures the same as before, to the bit.",
        f"Drawings that showed an entry and were made anew: {sum(told.redrawn.values())}.",
        f"After the revocation: {back} of {total} pictures the same as before, to the bit.",
    ]


def _seen_note(told: Told, prompt: str) -> str:
    if prompt not in told.seen_forgotten:
        return ""
    return f" The judge sees it in {told.seen_before[prompt]} before, in {told.seen_forgotten[prompt]} while forgotten."


def _same(before: Sequence[bytes], after: Sequence[bytes]) -> int:
    return sum(one == other for one, other in zip(before, after, strict=True))
