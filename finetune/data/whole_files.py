"""Files that are there as a whole or not at all, and hashes of files and of plain values. It does not know formats."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import orjson


def write_whole(path: Path, content: bytes) -> None:
    """Write or replace a file; whoever reads it meanwhile has the old one. Raises `OSError`, and leaves nothing behind."""
    beside = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise


def file_sha256(path: Path) -> str:
    """Of a file's content, hexadecimal. Raises `OSError`."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def content_sha256(content: object) -> str:
    """Of a value that JSON can tell, whatever the order of its keys; hexadecimal."""
    return hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
