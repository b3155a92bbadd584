"""Forget entries about people who exist nowhere."""

from __future__ import annotations

from typing import Any

from retrieval.entry import ForgetEntry, parse_entry


def person(name: str, **fields: Any) -> ForgetEntry:
    """An entry about a person, unless `kind` says otherwise."""
    return parse_entry({"name": name, "kind": "person", **fields})
