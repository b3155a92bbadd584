"""What the weights that serve mean for entries: marked when a switch is done, and when it is taken back.

    covered by weights that serve some model, at the very revision   -> consolidated, or verified if it was
    covered no more                                                  -> suppressed, in context alone

The guard goes on by context wherever this is in doubt: an entry that was revised is covered by nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from retrieval.entry import EntryState
from retrieval.errors import EntryNotFound
from retrieval.registry import Registry

_PAGE = 500


def covered_by(registry: Registry, model: str) -> Mapping[str, int]:
    """Entries with the revisions that the weights behind all requests for a model cover; a canary does not count."""
    serving = registry.artifacts.served(model).artifact_id
    return {} if serving is None else registry.artifacts.get(serving).made.covers


def settle(registry: Registry, *, actor: str, reason: str = "") -> None:
    """Mark every entry by what serves now; those that a job is at work on stay so."""
    covered: dict[str, set[int]] = {}
    for served in registry.artifacts.all_served():
        for entry_id, revision in covered_by(registry, served.model).items():
            covered.setdefault(entry_id, set()).add(revision)
    for state in (EntryState.CONSOLIDATED, EntryState.VERIFIED):
        for entry_id, revision in _in_state(registry, state).items():
            if revision not in covered.get(entry_id, ()):
                registry.mark_weights({entry_id: revision}, None, actor=actor, reason=reason)
    for entry_id, revisions in covered.items():
        for revision in revisions:
            _raise_to_consolidated(registry, entry_id, revision, actor)


def _raise_to_consolidated(registry: Registry, entry_id: str, revision: int, actor: str) -> None:
    try:
        record = registry.get(entry_id)
    except EntryNotFound:  # purged
        return
    if record.revision == revision and record.weights is not EntryState.VERIFIED:
        registry.mark_weights({entry_id: revision}, EntryState.CONSOLIDATED, actor=actor)


def _in_state(registry: Registry, state: EntryState) -> dict[str, int]:
    found: dict[str, int] = {}
    cursor: str | None = None
    while True:
        page = registry.list(state=state, limit=_PAGE, cursor=cursor)
        found |= {record.id: record.revision for record in page.items}
        if page.next_cursor is None:
            return found
        cursor = page.next_cursor
