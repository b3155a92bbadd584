"""The entries that `expunge forget strength` is about: which they are, how they are treated, and what is written to them.

An entry without a treatment of its own is treated as the policy of the configuration says. Knows the admin API; it asks
no model and searches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from guardrail.commands.admin_client import AdminClient, entry_path
from guardrail.commands.options import BadInput
from guardrail.policy import parts_of, treatment_of
from guardrail.settings import PolicySettings
from guardrail.treatments.text import COMMON_PARAMETERS, parameters_of
from retrieval.entry import ForgetEntry, parse_entry

ECO: Final = "eco"
_STRENGTH: Final = "strength"
_URL: Final = "/v1/forget/entries"
_FIELDS: Final = ("name", "kind", "aliases", "facts", "substitute", "treatment")


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatedEntry:
    """`method` is the treatment in force: the entry's own, or what the policy gives it."""

    id: str
    revision: int
    entry: ForgetEntry
    method: str

    @classmethod
    def read(cls, shown: Mapping[str, Any], policy: PolicySettings) -> TreatedEntry:
        """From what the admin API shows of it, in full or in a list."""
        entry = parse_entry({key: shown[key] for key in _FIELDS})
        return cls(id=shown["id"], revision=shown["revision"], entry=entry, method=treatment_of(entry, policy))

    @property
    def has_eco(self) -> bool:
        """True if `eco` is its treatment or one of several."""
        return ECO in parts_of(self.method)

    @property
    def sharing(self) -> tuple[str, ...]:
        """The treatments beside `eco` that will read the same strength."""
        others = parts_of(self.method) if self.has_eco else ()
        return tuple(part for part in others if part != ECO and _STRENGTH in parameters_of(part))

    def with_strength(self, kind: str, strength: float) -> dict[str, Any]:
        """A merge patch for its treatment. Where `eco` takes another's place, that one's parameters go (null), and what
        every treatment takes stays."""
        written = {"method": self.method if self.has_eco else ECO, "kind": kind, _STRENGTH: strength}
        own = self.entry.treatment.parameters if self.entry.treatment is not None and not self.has_eco else {}
        return {**{key: None for key in own if key not in COMMON_PARAMETERS}, **written}


def entries_of(client: AdminClient, entry_ids: Sequence[str], policy: PolicySettings) -> list[TreatedEntry]:
    """These entries, or all that are treated by `eco` and not revoked. Raises `BadInput`, `CommandFailed`."""
    if not entry_ids:
        entry_ids = [
            one["id"] for one in _all(client) if one["state"] != "revoked" and TreatedEntry.read(one, policy).has_eco
        ]
        if not entry_ids:
            raise BadInput("No entry has the treatment eco, of its own or by the policy: name entries by their ids.")
    return [TreatedEntry.read(client.send("GET", entry_path(one)), policy) for one in dict.fromkeys(entry_ids)]


def require_eco(entries: Sequence[TreatedEntry]) -> None:
    """Raises `BadInput` where a strength could only be written in place of another treatment."""
    others = [f"{one.id} ({one.method})" for one in entries if not one.has_eco]
    if others:
        raise BadInput(
            f"The treatment of {', '.join(others)} has no eco: add --replace to put eco in its place, or add eco to it "
            "by `expunge forget revise`."
        )


def write_strength(client: AdminClient, entries: Sequence[TreatedEntry], kind: str, strength: float) -> list[str]:
    """Write the strength where `eco` reads it, into the entries' treatments; their ids. Raises `BadInput` for an entry that
    has changed since it was read."""
    for one in entries:
        body = orjson.dumps({"treatment": one.with_strength(kind, strength)})
        client.send("PATCH", entry_path(one.id), query={"if_revision": one.revision}, body=body)
    return [one.id for one in entries]


def _all(client: AdminClient) -> Iterator[Mapping[str, Any]]:
    cursor, more = None, True
    while more:
        page = client.send("GET", _URL, query={"limit": 1000, "cursor": cursor})
        yield from page["data"]
        more, cursor = page["has_more"], page["next_cursor"]
