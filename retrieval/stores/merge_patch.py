"""JSON merge patch (RFC 7386) on a forget entry: what a PATCH makes of it.

Null removes a field, so that its default applies; an object is merged into an object; anything else, lists too, takes
the old value's place. The result is checked like a new entry. Nothing here knows where entries are kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from retrieval.entry import ForgetEntry, parse_entry
from retrieval.errors import InvalidEntry

_DEEPEST = 32


def merged(entry: ForgetEntry, changes: Mapping[str, Any]) -> ForgetEntry:
    """The entry with the changes; raises `InvalidEntry` naming the field. The id cannot change."""
    if not isinstance(changes, Mapping):
        raise InvalidEntry("A revision must be a JSON object with the fields to change.")
    if "id" in changes and changes["id"] != entry.id:
        raise InvalidEntry("An entry's id cannot change; revoke it and create another one.", param="id")
    body = entry.model_dump(mode="json")
    patched = _merge(body, changes, 0)
    # A null for an unknown field would vanish unnoticed; it is put back so that the check can name the field.
    patched.update({key: None for key in changes if key not in ForgetEntry.model_fields})
    return parse_entry(patched)


def _merge(target: Any, patch: Mapping[str, Any], depth: int) -> dict[str, Any]:
    if depth > _DEEPEST:
        raise InvalidEntry(f"The revision is nested more than {_DEEPEST} deep.")
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = _merge(result.get(key), value, depth + 1)
        else:
            result[key] = value
    return result
