"""Which entries are due to be baked into a model's weights, and why; which are not, and why not. Pure.

    revoked, expired, in shadow, another model's         not spoken of
    temporary, limited in time, tenants' own, untrainable  stays in context
    covered by the weights that serve                     stays covered
    persistent, asked for by an operator, auto by rule    due

An entry that the gate refused is due again until the ladder of methods is at its end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from retrieval.entry import EntryState, ForgetEntry, Persistence, RegisteredEntry
from retrieval.plans import PlanItem
from retrieval.schedule import SelectionRule
from retrieval.served_models import ServedModel
from retrieval.usage import Usage

_NOT_SPOKEN_OF = frozenset({EntryState.REVOKED, EntryState.EXPIRED, EntryState.SCHEDULED, EntryState.SHADOW})


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What selection looks at besides the entries. `covered`: entries with their revisions in the weights that serve;
    `refused`: how often the gate refused an entry at its revision; `rungs`: how often it is tried at most."""

    now: datetime
    rule: SelectionRule
    usage: Mapping[str, Usage] = field(default_factory=dict)
    covered: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[tuple[str, int], int] = field(default_factory=dict)
    asked_for: Collection[str] = ()
    rungs: int = 1


def select(
    records: Sequence[RegisteredEntry], served: ServedModel, circumstances: Circumstances
) -> tuple[PlanItem, ...]:
    """An item for every entry that concerns the model, in the order given."""
    return tuple(
        _item(record, served, circumstances) for record in records if _concerns(record, served, circumstances.now)
    )


def _concerns(record: RegisteredEntry, served: ServedModel, now: datetime) -> bool:
    scope = record.entry.scope
    return (
        record.state(now) not in _NOT_SPOKEN_OF
        and ("*" in scope.models or served.model in scope.models)
        and served.modality in record.entry.modalities
    )


def _item(record: RegisteredEntry, served: ServedModel, given: Circumstances) -> PlanItem:
    def item(reason: str, *, is_due: bool = False, is_covered: bool = False, is_allowed: bool = True) -> PlanItem:
        return PlanItem(
            entry=record.id,
            revision=record.revision,
            is_due=is_due,
            is_allowed=is_allowed,
            is_covered=is_covered,
            reason=reason,
        )

    stays = stays_in_context(record.entry, served)
    if stays:
        return item(stays, is_allowed=False)
    if given.covered.get(record.id) == record.revision:
        return item("covered by the weights that serve", is_covered=True)
    times = given.refused.get((record.id, record.revision), 0)
    if times >= given.rungs:
        told = f"refused by the gate {times} times, and no other method is left: stays in context"
        return item(told, is_allowed=False)
    why = _due(record, given)
    return item(why, is_due=True) if why else item("auto: below every limit of the rule")


def stays_in_context(entry: ForgetEntry, served: ServedModel) -> str:
    """Why an entry must not get into this model's weights; empty where it may."""
    if served.refused:
        return f"not_consolidatable: {served.refused}"
    if entry.persistence is Persistence.TEMPORARY:
        return "temporary: stays in context"
    if entry.expires_at is not None:
        return "ends at a set time, which weights would outlive: stays in context"
    if "*" not in entry.scope.tenants:
        return "holds for some tenants, who share the model with others: stays in context"
    if served.modality == "text" and not (entry.facts or entry.description or entry.documents or entry.exemplars):
        return "holds nothing to train on; give it facts, documents or exemplars"
    return ""


def _due(record: RegisteredEntry, given: Circumstances) -> str:
    if record.id in given.asked_for:
        return "asked for by an operator"
    if record.entry.persistence is Persistence.PERSISTENT:
        return "persistent"
    rule, used = given.rule, given.usage.get(record.id, Usage())
    age = given.now - record.created_at
    reached = (
        (rule.leaks is not None and used.leaks >= rule.leaks, f"auto: {used.leaks} leaks were caught"),
        (rule.hits is not None and used.hits >= rule.hits, f"auto: {used.hits} requests touched it"),
        (
            rule.guard_seconds is not None and used.guard_s >= rule.guard_seconds,
            f"auto: the guard spent {used.guard_s:.0f} s on it",
        ),
        (
            rule.age_days is not None and age >= timedelta(days=rule.age_days),
            f"auto: registered {age.days} days ago",
        ),
    )
    return next((why for is_reached, why in reached if is_reached), "")
