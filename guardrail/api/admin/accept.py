"""Is this an entry that this proxy can serve? The checks beyond the entry's own: its treatment and its images.

Shared by the HTTP routes and the offline commands. Knows no store. Raises `InvalidEntry` naming the field and the mend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from guardrail.policy import CHOOSES, parts_of
from retrieval.entry import ForgetEntry, TreatmentChoice, parse_entry
from retrieval.errors import InvalidEntry, did_you_mean
from retrieval.picture_files import PictureRefused, content_of, open_picture

MOST_IMAGES: Final = 128
"""Reference pictures of one entry: each is opened and embedded before the entry can be enforced."""
_CONTENT_ID_HEX: Final = 32
_NO_PATHS: Final = " File paths are only accepted by `expunge forget import`, which sends their content."


def _unknown(what: str, value: str, known: Iterable[str]) -> str:
    names = sorted(known)
    hint = did_you_mean(value, names)
    return f"Unknown {what} '{value}'.{hint} Known: {', '.join(names) or 'none'}."


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatmentRules:
    """What entries may say about their treatment: known names, known parameters, and a check of their values."""

    known: Mapping[str, frozenset[str]]
    check_values: Callable[[TreatmentChoice], None]


def check_treatment(choice: TreatmentChoice | None, rules: TreatmentRules) -> None:
    """The treatment, its parameters and their values must be known."""
    if choice is None:
        return
    parameters: set[str] = set()
    parts = parts_of(choice.method)
    for part in parts:
        if part not in rules.known:
            raise InvalidEntry(_unknown("treatment", part, rules.known), param="treatment")
        parameters |= rules.known[part]
    if len(set(parts)) < len(parts) or (len(parts) > 1 and CHOOSES in parts):
        raise InvalidEntry(
            f"Field 'treatment': '{choice.method}' names a treatment twice, or '{CHOOSES}' among others; name each once.",
            param="treatment",
        )
    for name in choice.parameters:
        if name not in parameters:
            what = f"parameter of treatment '{choice.method}'"
            raise InvalidEntry(_unknown(what, name, parameters), param=f"treatment.{name}")
    rules.check_values(choice)


def check_images(images: Sequence[str]) -> None:
    """Images must be data URLs that hold a whole picture of a common format. A path would make the server read its own disk
    for a caller."""
    if len(images) > MOST_IMAGES:
        raise InvalidEntry(
            f"Field 'images': holds {len(images)} pictures, more than {MOST_IMAGES}; choose the most telling.",
            param="images",
        )
    for number, image in enumerate(images):
        try:
            open_picture(content_of(image))
        except PictureRefused as error:
            mend = "" if image.startswith("data:") else _NO_PATHS
            raise InvalidEntry(f"Field 'images.{number}': {error}{mend}", param=f"images.{number}") from None


def accept_entry(body: object, rules: TreatmentRules) -> ForgetEntry:
    """The entry of a decoded body, checked in full."""
    entry = parse_entry(body)
    check_treatment(entry.treatment, rules)
    check_images(entry.images)
    return entry


def accept_changes(changes: Mapping[str, Any], merged: ForgetEntry, rules: TreatmentRules) -> None:
    """Check what a revision touches; what was accepted before stays accepted."""
    if "treatment" in changes:
        check_treatment(merged.treatment, rules)
    if "images" in changes:
        check_images(merged.images)


def with_content_id(entry: ForgetEntry) -> ForgetEntry:
    """The entry with an id; one without gets an id made of its content, so that importing it again changes nothing."""
    if entry.id is not None:
        return entry
    return entry.model_copy(update={"id": f"fe_{entry.fingerprint()[:_CONTENT_ID_HEX]}"})
