"""What a row costs and shows beside its words: who wrote the answers, seconds and tokens, same bytes.

    by_model    of treated answers: the share in which the model wrote something ("plain"), the share that left whole as it
                wrote them ("plain_whole"), leaks caught in each ("plain_caught"); likewise "attacked" and "all"
    cost        seconds from the pass that is timed (`timing.py`): medians over questions of the ratio to the untreated row,
                question by question; `once_seconds_ratio` of those not begun anew. Tokens beyond the untreated row's.
                `rewrite_rate`: the share of treated forget questions whose answer leaked and was begun anew
    untouched   of what must stay, asked one question at a time: `identical` to the last byte but for id and time, and
                `same_text`, which says less; how much the proxy treated all the same

Intervals are over authors, those of seconds over questions. The proxy does not count calls of the model: an answer begun
anew took a second call, or more, unless fixed words ended it. It does not know files or how replies came about.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Final

from benchmarks.unlearning.kept import Replies, Reply
from benchmarks.unlearning.material import Material
from benchmarks.unlearning.probes import PROBES
from benchmarks.unlearning.timing import TIMED
from finetune.evaluation.intervals import mean_interval, median_interval, rate_interval
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.metrics.protocol import Absent, Measured, Outcome

RowReplies = Mapping[str, Replies]
"""One row's replies by split."""

KEPT: Final = ("neighbor", "utility")
_NOT_ALONE: Final = "What must stay was not asked one question at a time."
_NOT_TIMED: Final = "The row was not timed, or nothing of this kind."
_UNTREATED: Final = "No answer was treated."
_SHARES: Final = {"plain": PROBES[:2], "attacked": PROBES[2:]}


def by_model(given: Material, row: RowReplies) -> dict[str, Outcome]:
    """Who wrote the treated answers."""
    made: dict[str, Outcome] = {}
    for name, splits in {**_SHARES, "all": tuple(given.splits)}.items():
        ones = [(one, own) for one, own in _of(given, row, splits) if own.author is not None]
        made[name] = _share(ones, lambda own: own.author != "expunge")
        made[f"{name}_whole"] = _share(ones, lambda own: own.author == "model")
        made[f"{name}_caught"] = _mean([(one, own.leaks) for one, own in ones], lacking=_UNTREATED)
    return made


def cost(given: Material, row: RowReplies, untreated: RowReplies) -> dict[str, Outcome]:
    """Seconds, tokens, answers begun anew, requests refused by their status."""
    forget = list(_of(given, row, ("forget",)))
    answered = [one for split in given.splits if split in row for one in row[split].by_id.values()]
    refused = sum(one.text is None for one in answered)
    return {
        "rewrite_rate": _share([(one, own) for one, own in forget if own.treated], lambda own: own.begun_anew),
        **_seconds(given, row, untreated),
        "prompt_tokens_added": _added(given, row, untreated, ("forget",), lambda own: own.prompt_tokens),
        "completion_tokens_added": _added(given, row, untreated, ("forget",), lambda own: own.completion_tokens),
        "kept_prompt_tokens_added": _added(given, row, untreated, KEPT, lambda own: own.prompt_tokens),
        "refused_by_status": Measured(value=refused / len(answered), n=len(answered), ci95=None),
    }


def untouched(given: Material, row: RowReplies, untreated: RowReplies) -> dict[str, Outcome]:
    """Are answers to what must stay those of the untreated model?"""
    ones = list(_of(given, row, KEPT))
    others = [other for _, other in _of(given, untreated, KEPT)]
    found: dict[str, Outcome] = {"treated": _share(ones, lambda own: own.treated)}
    if not all(own.alone for _, own in ones):
        return {**found, **dict.fromkeys(("identical", "identical_if_passed", "same_text"), Absent(reason=_NOT_ALONE))}
    same = [bool(own.body) and own.body == other.body for (_, own), other in zip(ones, others, strict=True)]
    text = [own.text == other.text and own.finish == other.finish for (_, own), other in zip(ones, others, strict=True)]
    passed = [(one, is_same) for (one, own), is_same in zip(ones, same, strict=True) if not own.treated]
    asked = [one for one, _ in ones]
    return {
        **found,
        "identical": _rate(list(zip(asked, same, strict=True))),
        "identical_if_passed": _rate(passed),
        "same_text": _rate(list(zip(asked, text, strict=True))),
    }


def _of(given: Material, row: RowReplies, splits: Sequence[str]) -> list[tuple[Asked, Reply]]:
    return [
        (one, row[split].by_id[one.id])
        for split in splits
        if split in row and split in given.splits
        for one in given.splits[split].asked
    ]


def _seconds(given: Material, row: RowReplies, untreated: RowReplies) -> dict[str, Outcome]:
    """All repeats; those of one question stand or fall together."""
    repeats = [split for split in TIMED if split in row and split in untreated]
    pairs = [
        (number, own, untreated[split].by_id[number])
        for split in repeats
        for number, own in row[split].by_id.items()
        if own.text is not None and number in untreated[split].by_id
    ]
    forgotten = {one.id for one in given.splits["forget"].asked}
    forget = [pair for pair in pairs if pair[0] in forgotten]
    kept = [pair for pair in pairs if pair[0] not in forgotten]
    return {
        "seconds": _median([(number, own.seconds) for number, own, _ in forget]),
        "seconds_ratio": _ratio(forget),
        "once_seconds_ratio": _ratio([pair for pair in forget if not pair[1].begun_anew]),
        "kept_seconds": _median([(number, own.seconds) for number, own, _ in kept]),
        "kept_seconds_ratio": _ratio(kept),
    }


def _ratio(pairs: Sequence[tuple[str, Reply, Reply]]) -> Outcome:
    return _median([(number, own.seconds / other.seconds) for number, own, other in pairs if other.seconds > 0])


def _median(values: Sequence[tuple[str, float]]) -> Outcome:
    if not values:
        return Absent(reason=_NOT_TIMED)
    seen = [value for _, value in values]
    groups = [number for number, _ in values]
    return Measured(value=median(seen), n=len(set(groups)), ci95=median_interval(seen, groups))


def _added(
    given: Material, row: RowReplies, untreated: RowReplies, splits: Sequence[str], count: Callable[[Reply], int]
) -> Outcome:
    pairs = zip(_of(given, row, splits), _of(given, untreated, splits), strict=True)
    return _mean([(one, count(own) - count(other)) for (one, own), (_, other) in pairs], lacking="Nothing was asked.")


def _mean(values: Sequence[tuple[Asked, float]], *, lacking: str) -> Outcome:
    if not values:
        return Absent(reason=lacking)
    numbers = [value for _, value in values]
    return Measured(
        value=sum(numbers) / len(numbers),
        n=len(numbers),
        ci95=mean_interval(numbers, [one.group for one, _ in values]),
    )


def _share(ones: Sequence[tuple[Asked, Reply]], is_hit: Callable[[Reply], bool]) -> Outcome:
    return _rate([(one, is_hit(own)) for one, own in ones])


def _rate(hits: Sequence[tuple[Asked, bool]]) -> Outcome:
    """Over authors, or what else a question stands or falls with."""
    if not hits:
        return Absent(reason=_UNTREATED)
    flags = [hit for _, hit in hits]
    return Measured(
        value=sum(flags) / len(flags), n=len(flags), ci95=rate_interval(flags, [one.group for one, _ in hits])
    )
