"""A snapshot file: named blobs with the embedder's fingerprint, the registry's `seq` and a checksum.

A snapshot saves time at start and nothing else: one that does not fit is refused and everything is built from the
registry. It does not know what the blobs hold. Format: one JSON line, then the blobs in its order.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

_FORMAT = 3
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What was saved. `seq` is the registry's number of the last change that the blobs know."""

    seq: int
    blobs: Mapping[str, bytes]


def write_snapshot(path: Path, snapshot: Snapshot, *, fingerprint: str) -> None:
    """Replace the file at once, readable by its owner only; raises `OSError`."""
    header = {
        "format": _FORMAT,
        "fingerprint": fingerprint,
        "seq": snapshot.seq,
        "sha256": _checksum(snapshot.blobs),
        "sizes": {name: len(blob) for name, blob in snapshot.blobs.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(orjson.dumps(header) + b"\n")
        for blob in snapshot.blobs.values():
            file.write(blob)
        file.flush()
        os.fsync(file.fileno())
    beside.replace(path)


class _Refused(Exception):
    """Why a file cannot serve."""


def read_snapshot(path: Path, *, fingerprint: str, registry_seq: int) -> Snapshot | None:
    """The snapshot, or None where there is none or it does not fit: other embedder, newer than the registry, damaged.

    Why it was refused goes to the log.
    """
    try:
        return _parse(path.read_bytes(), fingerprint, registry_seq)
    except FileNotFoundError:
        return None
    except OSError as error:
        why = f"it cannot be read ({type(error).__name__})"
    except _Refused as error:
        why = str(error)
    _LOG.warning("The index snapshot is not used, %s; the index is built from the registry.", why)
    return None


def _parse(data: bytes, fingerprint: str, registry_seq: int) -> Snapshot:
    line, _, rest = data.partition(b"\n")
    try:
        header = orjson.loads(line)
    except orjson.JSONDecodeError:
        raise _Refused("its header is damaged") from None
    if not isinstance(header, dict) or header.get("format") != _FORMAT:
        raise _Refused("its format is another")
    if header["fingerprint"] != fingerprint:
        raise _Refused("it was made by another embedder")
    if header["seq"] > registry_seq:
        raise _Refused("it is newer than the registry")
    blobs: dict[str, bytes] = {}
    at = 0
    for name, size in header["sizes"].items():
        blobs[name] = rest[at : at + size]
        at += size
    if at != len(rest) or _checksum(blobs) != header["sha256"]:
        raise _Refused("its checksum is wrong")
    return Snapshot(seq=header["seq"], blobs=blobs)


def _checksum(blobs: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    for name, blob in blobs.items():
        total.update(f"{name} {len(blob)}\n".encode())
        total.update(blob)
    return total.hexdigest()
