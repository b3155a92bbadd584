"""The folder in which a picture evaluation keeps what was drawn, so that a stopped run goes on.

    key                     what every picture depends on: model, settings, program; another key is another run
    CONDITION/NAME.png      a picture; its name is made of prompt and seed
    CONDITION/drawn.jsonl   one line a picture: name, seconds, digest of the bytes, or that it was refused
    registry/               of a proxy of the evaluation's own

It holds pictures of what is to be forgotten, and entries while it runs; without a folder named by the user it is removed
with the result. It knows no proxy.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from guardrail.errors import EvaluationFailed, InvalidInput

_NAME_HEX: Final = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """One picture that was asked for. `sha256` of its bytes, None where it was refused."""

    name: str
    seconds: float
    sha256: str | None


class WorkFolder:
    """See the module. Raises `InvalidInput` where it cannot be used."""

    def __init__(self, path: Path, key: str, *, is_users: bool) -> None:
        self.path = path
        self._is_users = is_users
        self._drawn: dict[str, dict[str, Drawn]] = {}
        noted = path / "key"
        try:
            known = noted.read_text(encoding="ascii") if noted.exists() else None
            if known != key and is_users and path.exists() and any(path.iterdir()):
                raise InvalidInput(
                    f"{path} holds something else (pictures of another model, configuration or version, or other files); "
                    "name another folder, or remove it."
                )
            if known != key:
                shutil.rmtree(path, ignore_errors=True)
            path.mkdir(parents=True, exist_ok=True)
            noted.write_text(key, encoding="ascii")
        except OSError as error:
            raise InvalidInput(f"{path} cannot be written: {error.strerror}.") from None

    @property
    def registry(self) -> Path:
        """For a proxy of the evaluation's own."""
        return self.path / "registry"

    def drawn(self, condition: str) -> Mapping[str, Drawn]:
        """What there is of a condition, by name."""
        if condition not in self._drawn:
            self._drawn[condition] = _read(self.path / condition)
        return self._drawn[condition]

    def add(self, condition: str, name: str, content: bytes | None, seconds: float) -> None:
        """Keep a picture, the file before its line."""
        folder = self.path / condition
        folder.mkdir(exist_ok=True)
        digest = None
        if content is not None:
            (folder / f"{name}.png").write_bytes(content)
            digest = hashlib.sha256(content).hexdigest()
        one = Drawn(name=name, seconds=round(seconds, 5), sha256=digest)
        with (folder / "drawn.jsonl").open("ab") as file:
            file.write(orjson.dumps(one) + b"\n")
        self.drawn(condition)
        self._drawn[condition][name] = one

    def content(self, condition: str, name: str) -> bytes:
        """A picture's bytes."""
        try:
            return (self.path / condition / f"{name}.png").read_bytes()
        except OSError as error:
            raise EvaluationFailed(
                f"A picture in {self.path} cannot be read ({error.strerror}); remove the folder."
            ) from None

    def end(self) -> None:
        """The result is written: nothing of an entry stays, and no picture that the user did not ask to keep."""
        shutil.rmtree(self.path if not self._is_users else self.registry, ignore_errors=True)


def name_of(prompt: str, seed: int) -> str:
    """The name of a picture."""
    return hashlib.sha256(f"{seed} {prompt}".encode()).hexdigest()[:_NAME_HEX]


def _read(folder: Path) -> dict[str, Drawn]:
    """The whole lines; one that was broken off is cut away, as more will follow."""
    path = folder / "drawn.jsonl"
    if not path.exists():
        return {}
    raw = path.read_bytes()
    whole, end, rest = raw.rpartition(b"\n")
    if rest:
        path.write_bytes(whole + end)
    found = (Drawn(**orjson.loads(line)) for line in whole.split(b"\n") if line)
    return {one.name: one for one in found if one.sha256 is None or (folder / f"{one.name}.png").is_file()}
