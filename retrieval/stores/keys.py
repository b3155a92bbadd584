"""API keys: who may call, as which tenant, with which models.

A secret is "xk-<key id>-<43 characters>", the last part 256 random bits. Only its SHA-256 is stored. A slow password
hash would add nothing: it protects secrets that people choose, by making guesses dear, and nobody guesses 256 random
bits however cheap a guess is; it would only make every request slower.

Nothing here knows HTTP or rate windows. A key change moves the registry's change counter, so that workers that cache
keys drop them at their next request.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import Connection, Row, insert, select, update

from retrieval.errors import EntryNotFound, InvalidEntry
from retrieval.stores import counter
from retrieval.stores.audit_chain import AuditRecord, append_in
from retrieval.stores.database import Database
from retrieval.stores.revision_signal import RevisionSignal
from retrieval.stores.tables import keys
from retrieval.stores.timestamps import from_text, now_text

PREFIX = "xk"
LABEL_LIMIT_CHARS = 128
_NO_HASH = hashlib.sha256(b"no such key").hexdigest()


class KeyNotFound(EntryNotFound):
    """No key has this id."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyRecord:
    """A key as the store holds it; `models` holds "*" for all, `rate_limit_per_min` None for no limit."""

    key_id: str
    secret_hash: str = field(repr=False)
    tenant: str
    is_admin: bool
    models: tuple[str, ...]
    rate_limit_per_min: int | None
    label: str
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class NewKey:
    """A key just made, with the only copy of its secret."""

    record: KeyRecord
    secret: str = field(repr=False)


class KeyStore:
    """Create, list, revoke and check keys."""

    def __init__(self, database: Database, signal: RevisionSignal) -> None:
        self._database = database
        self._signal = signal

    def create(
        self,
        *,
        tenant: str,
        is_admin: bool,
        models: Sequence[str] = ("*",),
        rate_limit_per_min: int | None = None,
        label: str = "",
        actor: str = "operator",
    ) -> NewKey:
        """Make a key; raises `InvalidEntry` naming the field that is wrong."""
        _check(tenant=tenant, models=models, rate_limit_per_min=rate_limit_per_min, label=label)
        key_id = secrets.token_hex(6)
        secret = f"{PREFIX}-{key_id}-{secrets.token_urlsafe(32)}"
        row = {
            "key_id": key_id,
            "secret_hash": hash_secret(secret),
            "tenant": tenant,
            "is_admin": is_admin,
            "models": orjson.dumps(list(models)).decode(),
            "rate_limit_per_min": rate_limit_per_min,
            "label": label,
            "created_at": now_text(),
            "revoked_at": None,
        }
        with self._database.write() as connection:
            seq = counter.lock(connection) + 1
            counter.advance_to(connection, seq)
            connection.execute(insert(keys).values(row))
            data = {"tenant": tenant, "is_admin": is_admin, "models": list(models), "seq": seq}
            append_in(connection, [AuditRecord(kind="key.created", actor=actor, subject=key_id, data=data)])
            record = _require(connection, key_id)
        self._signal.publish(seq)
        return NewKey(record=record, secret=secret)

    def list(self) -> tuple[KeyRecord, ...]:
        """Every key, revoked ones too, in the order of creation."""
        statement = select(keys).order_by(keys.c.created_at, keys.c.key_id)
        with self._database.read() as connection:
            return tuple(_record(row) for row in connection.execute(statement))

    def find(self, key_id: str) -> KeyRecord | None:
        """The key with this id, revoked or not."""
        with self._database.read() as connection:
            row = connection.execute(select(keys).where(keys.c.key_id == key_id)).one_or_none()
        return None if row is None else _record(row)

    def revoke(self, key_id: str, *, actor: str = "operator") -> KeyRecord:
        """End a key; again is the same. Raises `KeyNotFound`."""
        with self._database.write() as connection:
            seq = counter.lock(connection)
            record = _require(connection, key_id)
            if record.revoked_at is None:
                seq += 1
                counter.advance_to(connection, seq)
                connection.execute(update(keys).where(keys.c.key_id == key_id).values(revoked_at=now_text()))
                data = {"seq": seq}
                append_in(connection, [AuditRecord(kind="key.revoked", actor=actor, subject=key_id, data=data)])
                record = _require(connection, key_id)
        self._signal.publish(seq)
        return record

    def verify(self, secret: str) -> KeyRecord | None:
        """The key that this secret opens, None if there is none or it is revoked.

        Unknown ids and malformed secrets cost the same look-up, hash and comparison as known ones.
        """
        record = self.find(key_id_of(secret))
        matches = secret_matches(secret, record)
        return record if matches and record is not None and record.revoked_at is None else None


def hash_secret(secret: str) -> str:
    """What is stored of a secret."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def key_id_of(secret: str) -> str:
    """The id inside a secret, "" if it has none."""
    parts = secret.split("-", 2)
    return parts[1] if len(parts) == 3 and parts[0] == PREFIX else ""


def secret_matches(secret: str, record: KeyRecord | None) -> bool:
    """True if the secret is the record's; takes as long without a record. Says nothing about revocation."""
    stored = _NO_HASH if record is None else record.secret_hash
    return hmac.compare_digest(hash_secret(secret), stored) and record is not None


def _check(*, tenant: str, models: Sequence[str], rate_limit_per_min: int | None, label: str) -> None:
    if not tenant or len(tenant) > 128:
        raise InvalidEntry("tenant must have 1 to 128 characters.", param="tenant")
    if isinstance(models, str) or not models or any(not model for model in models):
        raise InvalidEntry('models must be a list that names at least one, or is ["*"] for all.', param="models")
    if rate_limit_per_min is not None and rate_limit_per_min < 1:
        raise InvalidEntry(
            f"rate_limit_per_min is {rate_limit_per_min}; it must be at least 1, or absent.", param="rate_limit_per_min"
        )
    if len(label) > LABEL_LIMIT_CHARS:
        raise InvalidEntry(f"label must have at most {LABEL_LIMIT_CHARS} characters.", param="label")


def _require(connection: Connection, key_id: str) -> KeyRecord:
    row = connection.execute(select(keys).where(keys.c.key_id == key_id)).one_or_none()
    if row is None:
        raise KeyNotFound("No key has this id; `expunge keys list` shows them.")
    return _record(row)


def _record(row: Row[Any]) -> KeyRecord:
    return KeyRecord(
        key_id=row.key_id,
        secret_hash=row.secret_hash,
        tenant=row.tenant,
        is_admin=row.is_admin,
        models=tuple(orjson.loads(row.models)),
        rate_limit_per_min=row.rate_limit_per_min,
        label=row.label,
        created_at=from_text(row.created_at),
        revoked_at=None if row.revoked_at is None else from_text(row.revoked_at),
    )
