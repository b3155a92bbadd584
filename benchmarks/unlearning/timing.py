"""What a treatment costs in seconds: a pass of its own, when all else is done and nothing else runs.

Each question is put to every timed row in turn, so that a machine that slows down slows all; each has a proxy of its own
(those without entries share one) that idles while another answers. Questions to be forgotten and neighbours take turns, who
begins changes from question to question, and all is repeated three times. Seconds of one question under two rows can so be
compared; those of the other passes cannot.

Kept as splits "timed-0" to "timed-2" of each row. It does not judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import Final

from benchmarks.unlearning.asking import Tell, Way, put, traced, warm_up
from benchmarks.unlearning.kept import KeptReplies, Replies, Reply
from benchmarks.unlearning.material import Material
from benchmarks.unlearning.rows import Row
from benchmarks.unlearning.served import Proxy, serving
from finetune.evaluation.metrics.evidence import Asked

REPEATS: Final = 3
TIMED: Final = tuple(f"timed-{number}" for number in range(REPEATS))
TIMED_SPLITS: Final = ("forget", "neighbor")
EACH: Final = 24


def timed_questions(given: Material) -> tuple[Asked, ...]:
    """Of both kinds in turn, evenly over all that there are."""
    some = [_evenly(given.splits[split].asked) for split in TIMED_SPLITS]
    return tuple(one for ones in zip_longest(*some) for one in ones if one is not None)


def lacking(rows: Sequence[Row], kept: KeptReplies) -> tuple[str, ...]:
    """Repeats that not every row has taken part in."""
    return tuple(split for split in TIMED if any(kept.find(row, split) is None for row in rows))


def time_rows(
    rows: Sequence[Row], given: Material, kept: KeptReplies, tell: Tell, *, work: Path, assistant: Path | None = None
) -> None:
    """Take the repeats that are lacking. All rows are of one model. Raises `ServerFailed`."""
    left = lacking(rows, kept)
    if not left:
        return
    with ExitStack() as running:
        proxies: dict[str | None, Proxy] = {}
        for row in rows:
            if row.method not in proxies:
                tell(f"proxy for the seconds of {row.label}")
                started = serving(row.model, work, assistant=assistant, lane=len(proxies))
                proxies[row.method] = running.enter_context(started)
                if row.method is not None:
                    proxies[row.method].register(given.entries)
                    proxies[row.method].treat([str(entry["id"]) for entry in given.entries], row.method)
        for row in rows:
            warm_up(proxies[row.method], row, given)
        for split in left:
            for row, replies in zip(rows, _repeat(rows, given, proxies, split, tell), strict=True):
                kept.keep(row, split, replies)


def _repeat(
    rows: Sequence[Row], given: Material, proxies: Mapping[str | None, Proxy], split: str, tell: Tell
) -> list[Replies]:
    """Every question to every row, one at a time."""
    questions = timed_questions(given)
    ways = [Way.of(row, given) for row in rows]
    found: list[dict[str, Reply]] = [{} for _ in rows]
    for number, one in enumerate(questions):
        tell(f"seconds, {split}", number, len(questions))
        for place in range(len(rows)):
            at = (place + number // len(TIMED_SPLITS)) % len(rows)
            found[at][one.id] = put(proxies[rows[at].method], one, ways[at])
    tell(f"seconds, {split}", len(questions), len(questions))
    replies = []
    for row, own, way in zip(rows, found, ways, strict=True):
        told = traced(proxies[row.method], list(own.values())) if way.traced else list(own.values())
        replies.append(Replies(by_id=dict(zip(own, told, strict=True))))
    return replies


def _evenly(asked: Sequence[Asked]) -> tuple[Asked, ...]:
    count = min(EACH, len(asked))
    return tuple(asked[place * len(asked) // count] for place in range(count))
