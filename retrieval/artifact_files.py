"""Are the files of an artifact still those that were approved? Its manifest by hash, and every file by the manifest.

    RUN/manifest.json    SHA-256 as in the artifact's row;  "files": {path: {"sha256", "size_bytes"}}
    RUN/<form>/...       the weights

It knows the manifest's list of files, nothing else of it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import orjson

from retrieval.artifacts import Made
from retrieval.errors import WeightsChanged

MANIFEST = "manifest.json"


def check_files(made: Made) -> None:
    """Raises `WeightsChanged` naming what is missing or is not as it was approved."""
    run = made.folder.parent
    raw = _read(run / MANIFEST)
    if hashlib.sha256(raw).hexdigest() != made.manifest_sha256:
        raise WeightsChanged(f"{run / MANIFEST} is not the manifest that was approved")
    listed = {str(name): one["sha256"] for name, one in orjson.loads(raw)["files"].items()}
    found = {one.relative_to(run).as_posix() for one in made.folder.rglob("*") if one.is_file()}
    added = sorted(found - listed.keys())
    if added:
        raise WeightsChanged(f"{run / added[0]} was added after the weights were approved")
    for name, sha256 in listed.items():
        if _sha256(run / name) != sha256:
            raise WeightsChanged(f"{run / name} is not as it was approved")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise WeightsChanged(f"{path} cannot be read ({error.strerror})") from None


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsChanged(f"{path} cannot be read ({error.strerror})") from None
