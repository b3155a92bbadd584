"""The policy: detections and the operator's rules -> one decision. Pure.

Fail-closed is stated here: when a detector could not say, the request is refused as unavailable unless the operator chose
`fail_open`. Where entries ask for different treatments, the strictest one is used for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from guardrail.decision import Action, Decision, Detection
from guardrail.settings import PolicySettings
from retrieval.entry import EntryKind, EntryState, ForgetEntry, RegisteredEntry, SuppliedContext

CHOOSES = "auto"
"""Stands for the treatment that is chosen by the entry's kind."""

JOIN = "+"
"""Stands between the treatments of a list."""

STRICTNESS = (
    "redact",
    "icul",
    "memory",
    "eco",
    "offset",
    "stand_in",
    "another_name",
    "restrict",
    "ignorance",
    "substitute",
    "refusal",
)
"""Treatments from the mildest to the strictest."""

LADDER: Mapping[str, str] = {
    "stand_in": "another_name+restrict",
    "stand_in+restrict": "another_name+restrict",
    "another_name": "ignorance",
    "another_name+restrict": "ignorance",
    "restrict": "ignorance",
    "eco": "ignorance",
    "offset": "ignorance",
    "icul": "ignorance",
    "memory": "substitute",
}
"""Treatment -> the one that takes its place where it has nothing to work on (of a list: the first of it), the backend
cannot do it, or an answer leaked under it. Those that are not here work on every request and backend; a leak under them
ends in the natural answer. A list of treatments that is not here is followed by `ignorance`."""

AUTO: Mapping[EntryKind, str] = {
    EntryKind.PERSON: "stand_in+restrict",
    EntryKind.WORK: "stand_in+restrict",
    EntryKind.PERSONAL_DATA: "stand_in+restrict",
}
"""What `auto` begins with, by kind: an invented name stands in for a name, and what tells of it is not
written where the backend can keep the model from it. The names of the other kinds are words that mean
something ("nerve agents"), so they begin with `ignorance`."""


PICTURE_STRICTNESS = (
    "negative_prompt",
    "safree",
    "sld",
    "substitute",
    "rewrite",
    "closed_form",
    "prototype",
    "blank",
    "refusal",
)
"""Treatments for pictures from the mildest to the strictest."""

PICTURE_LADDER: Mapping[str, str] = {
    "negative_prompt": "prototype+negative_prompt",
    "safree": "prototype+negative_prompt",
    "sld": "prototype+negative_prompt",
    "substitute": "rewrite+negative_prompt",
    "closed_form": "prototype+negative_prompt",
    "prototype": "prototype+negative_prompt",
    "prototype+negative_prompt": "prototype+sld",
    "prototype+sld": "rewrite+negative_prompt",
    "rewrite": "rewrite+negative_prompt",
    "rewrite+negative_prompt": "blank",
}
"""Treatment -> the one that takes its place where it has nothing to work on (of a list: the first of it), the backend
cannot do it, or a picture showed the entry under it. `blank` is the end, also of lists that are not here."""

PICTURE_AUTO = "prototype+negative_prompt"
"""What `auto` begins with for pictures. Distilled models, which are not led away from anything, get its first part; servers
that only take a prompt go down the ladder to `rewrite`."""

PICTURE_AUTO_BY_KIND: Mapping[EntryKind, str] = {EntryKind.HAZARD: "prototype+sld"}
"""The same for kinds that begin further down."""


def treatment_of(entry: ForgetEntry, settings: PolicySettings) -> str:
    """The entry's own treatment, else its kind's, else the default; `substitute` needs words and falls back. `auto` is
    what it begins with for this entry. Names that are only known for pictures say nothing about words."""
    default = settings.treatment if _is_for_words(settings.treatment) else CHOOSES
    by_kind = settings.treatments_by_kind.get(entry.kind, default)
    if entry.treatment is not None and _is_for_words(entry.treatment.method):
        name = entry.treatment.method
    elif entry.substitute:
        name = "substitute"
    else:
        name = by_kind if _is_for_words(by_kind) else default
    name = default if name == "substitute" and not entry.substitute else name
    return AUTO.get(entry.kind, "ignorance") if name == CHOOSES else name


def decide(
    detections: Sequence[Detection],
    settings: PolicySettings,
    *,
    rests: Callable[[RegisteredEntry], bool] = lambda entry: False,
) -> Decision:
    """The decision for one request. `rests`: entries that the served weights do not know, as was verified; they are not
    treated, but the answer is looked at as for suspects. What a caller hands in himself is no matter of weights."""
    matches = [one for one in detections if one.is_match]
    suspects = tuple(one for one in detections if _is_suspect(one))
    shadow = tuple(one for one in matches if one.entry.state() is EntryState.SHADOW)
    live = [one for one in matches if one.entry.state() is not EntryState.SHADOW]
    handed_in = [one for one in live if any(item.supplied for item in one.evidence)]
    if any(one.entry.entry.supplied_context is SuppliedContext.REFUSE for one in handed_in):
        return Decision(
            action=Action.REFUSE, treatment="refusal", detections=tuple(live), shadow=shadow, reason="supplied_context"
        )
    redacted = {one.entry.id for one in handed_in if one.entry.entry.supplied_context is SuppliedContext.REDACT}
    resting = tuple(one for one in live if one.is_asked and one.entry.id not in redacted and rests(one.entry))
    suspects = (*resting, *suspects)
    live = [one for one in live if one not in resting]
    asked = [one for one in live if one.is_asked or one.entry.id in redacted]
    allowed = tuple(one for one in handed_in if one.entry.id not in redacted)
    if not asked:
        return Decision(
            action=Action.PASS,
            supplied=allowed,
            shadow=shadow,
            suspects=suspects,
            resting=resting,
            reason="resting" if resting else "shadow" if shadow else "",
        )
    names = [treatment_of(one.entry.entry, settings) for one in asked if one.is_asked] or ["redact"]
    treatment = strictest(names)
    action = Action.REFUSE if treatment == "refusal" else Action.TREAT
    return Decision(
        action=action,
        treatment=treatment,
        detections=tuple(asked),
        supplied=allowed,
        shadow=shadow,
        suspects=suspects,
        resting=resting,
        reason="matched",
    )


def _is_suspect(detection: Detection) -> bool:
    """True for an entry that only the answer can tell of. What the caller hands in himself may come back."""
    if detection.is_match or detection.entry.state() is EntryState.SHADOW:
        return False
    return not any(item.supplied for item in detection.evidence)


def would_change(detection: Detection) -> bool:
    """True if a match of an entry in shadow would have changed what the caller gets."""
    return detection.is_asked or detection.entry.entry.supplied_context is not SuppliedContext.ALLOW


def on_failure(settings: PolicySettings, *, detector: str) -> Decision:
    """The decision when a detector failed or was too slow; where nothing is acted on, nothing is refused either."""
    closed = settings.detector_failure == "fail_closed" and not settings.shadow
    return Decision(action=Action.FAIL_CLOSED if closed else Action.PASS, reason=f"detector_failed:{detector}")


def parts_of(name: str) -> tuple[str, ...]:
    """The treatments that a name stands for, in order."""
    return tuple(name.split(JOIN))


def next_rung(name: str) -> str | None:
    """What takes a treatment's place; None where the ladder ends."""
    return LADDER.get(name, "ignorance" if JOIN in name else None)


def picture_treatment_of(entry: ForgetEntry, settings: PolicySettings, *, otherwise: str = CHOOSES) -> str:
    """The entry's own treatment for pictures, else its kind's, else `otherwise`; names that are only known for language say
    nothing about pictures. `auto` is what it begins with for this entry."""
    own = entry.treatment.method if entry.treatment is not None else None
    named = [own, settings.treatments_by_kind.get(entry.kind), otherwise]
    name = next((one for one in named if one is not None and _is_for_pictures(one)), CHOOSES)
    if name == "substitute" and not entry.substitute and own != name:
        name = CHOOSES
    return PICTURE_AUTO_BY_KIND.get(entry.kind, PICTURE_AUTO) if name == CHOOSES else name


def next_picture_rung(name: str) -> str | None:
    """What takes a picture treatment's place; None where the ladder ends."""
    if name in ("blank", "refusal"):
        return None
    return PICTURE_LADDER.get(name, "blank")


def strictest_for_pictures(names: Sequence[str]) -> str:
    """The strictest of these treatments; the first of those that are equally strict."""
    return max(names, key=lambda name: max(map(PICTURE_STRICTNESS.index, parts_of(name))))


def _is_for_words(name: str) -> bool:
    return name == CHOOSES or all(part in STRICTNESS for part in parts_of(name))


def _is_for_pictures(name: str) -> bool:
    return name == CHOOSES or all(part in PICTURE_STRICTNESS for part in parts_of(name))


def strictest(names: Sequence[str]) -> str:
    """The strictest of these treatments; the first of those that are equally strict."""
    return max(names, key=_strictness)


def _strictness(name: str) -> int:
    return max(STRICTNESS.index(part) if part in STRICTNESS else len(STRICTNESS) for part in parts_of(name))
