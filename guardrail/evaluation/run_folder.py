"""The folder beside a result that a broken-off evaluation leaves behind, and a resumed one takes up.

It holds the registry under judgement, the outcomes so far, and a key: another key means another evaluation, and the
folder begins anew. It holds entry text as long as it is there, so it is removed with the result.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from guardrail.errors import InvalidInput
from guardrail.evaluation.outcomes import Outcome, OutcomeFile, read_outcomes


class RunFolder:
    """See the module. Raises `InvalidInput` where it cannot be written."""

    def __init__(self, out: Path, key: str) -> None:
        self.path = out.with_name(out.name + ".partial")
        self.data_dir = self.path / "registry"
        self._outcomes = self.path / "outcomes.jsonl"
        self._registered = self.path / "registered.txt"
        noted = self.path / "key"
        try:
            if not noted.exists() or noted.read_text(encoding="ascii") != key:
                shutil.rmtree(self.path, ignore_errors=True)
                self.data_dir.mkdir(parents=True)
                noted.write_text(key, encoding="ascii")
        except OSError as error:
            raise InvalidInput(f"{self.path} cannot be written: {error.strerror}.") from None

    def add_registered(self, took_ms: float) -> None:
        """Note how long a registration took."""
        with self._registered.open("a", encoding="ascii") as file:
            file.write(f"{took_ms}\n")

    def registered_ms(self) -> list[float]:
        """All registrations so far."""
        if not self._registered.exists():
            return []
        return [float(line) for line in self._registered.read_text(encoding="ascii").splitlines()]

    def outcomes(self) -> list[Outcome]:
        """The outcomes so far."""
        return read_outcomes(self._outcomes)

    def outcome_file(self) -> OutcomeFile:
        """The file to add outcomes to."""
        return OutcomeFile(self._outcomes)

    def remove(self, *, details: Path | None, order: Sequence[int]) -> None:
        """End the run. `details` gets the outcomes, in this order of their numbers."""
        if details is not None:
            known = {outcome.number: outcome for outcome in self.outcomes()}
            details.parent.mkdir(parents=True, exist_ok=True)
            details.unlink(missing_ok=True)
            with OutcomeFile(details) as file:
                for number in order:
                    file.add(known[number])
        shutil.rmtree(self.path)
