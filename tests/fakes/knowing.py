"""A judge that knows what entries are about: statements that hold a word of it tell of the entry. And a searcher that does.

It needs no model: what is near and what is told is written down by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from guardrail.decision import Admits
from guardrail.inspectors.jury import Court, Jury
from retrieval.searcher import Near, Searcher
from retrieval.settings import RetrievalSettings
from tests.fakes.forgotten import RECORDS

GEESE = "quiet geese"
HARBOUR = "harbour wall"
SECRETS = {GEESE: "e0", HARBOUR: "e1"}


class Knowing:
    """Tells which entries a statement is about. `trouble`: "fail" or "hang". `asked` are the cases in order."""

    def __init__(self, secrets: Mapping[str, str] = SECRETS) -> None:
        self.secrets = secrets
        self.trouble = ""
        self.asked: list[tuple[str, str, tuple[str, ...]]] = []
        self.failures = 0

    async def told(self, request: str, answer: str, entry_ids: Sequence[str]) -> list[Near]:
        self.asked.append((request, answer, tuple(entry_ids)))
        await asyncio.sleep(60.0 if self.trouble == "hang" else 0)
        if self.trouble == "fail":
            raise RuntimeError("cannot judge")
        plain = " ".join(answer.split())
        told = {entry_id for secret, entry_id in self.secrets.items() if secret in plain}
        return [
            Near(entry_id=entry_id, score=0.9 if entry_id in told else 0.1, kind="claim", is_match=entry_id in told)
            for entry_id in entry_ids
        ]

    async def recited(self, request: str, answer: str, entry_ids: Sequence[str]) -> list[Near]:
        """Those of which the answer tells what the request does not hold."""
        found = await self.told(request, answer, entry_ids)
        held = {entry_id for secret, entry_id in self.secrets.items() if secret in request}
        return [near for near in found if near.is_match and near.entry_id not in held]

    @property
    def statements(self) -> list[str]:
        """What was judged."""
        return [statement for _, statement, _ in self.asked]

    def note_failure(self) -> None:
        """Called where the jury could not say."""
        self.failures += 1


def jury_of(
    knowing: Knowing | None = None,
    *,
    entry_ids: Sequence[str] = ("e0", "e1"),
    admits: Admits = RECORDS.get,
    timeout_s: float = 30.0,
    fails_open: bool = False,
    most_statements: int = 1_000,
    allowed_ids: Sequence[str] = (),
    handed_in: str = "",
) -> Jury:
    """A jury over such a judge."""
    judge = knowing or Knowing()
    court = Court(
        ask=judge.told,
        recited=judge.recited,
        timeout_s=timeout_s,
        fails_open=fails_open,
        on_failure=judge.note_failure,
        most_statements=most_statements,
    )
    return Jury(court, entry_ids=entry_ids, admits=admits, allowed_ids=allowed_ids, handed_in=handed_in)


def told_in(text: str) -> list[str]:
    """The secrets that a text tells."""
    return [secret for secret in SECRETS if secret in text]


class KnowingSearcher(Searcher):
    """A searcher without models. Texts that hold a key of `near` are near its entry: a match at 1, else a suspect."""

    def __init__(self, near: Mapping[str, tuple[str, float]], secrets: Mapping[str, str]) -> None:
        super().__init__(RetrievalSettings())
        self._near = near
        self.knowing = Knowing(secrets)

    @property
    def judges_answers(self) -> bool:
        return True

    async def nearest(self, texts: Sequence[str], *, in_parts: bool = False) -> list[list[Near]]:
        return [
            [
                Near(entry_id=entry_id, score=score, kind="exemplar", is_match=score >= 1)
                for word, (entry_id, score) in self._near.items()
                if word in text
            ]
            for text in texts
        ]

    async def told(self, request: str, answer: str, entry_ids: Sequence[str]) -> list[Near]:
        return await self.knowing.told(request, answer, entry_ids)
