"""From replies to figures: the evaluator's metrics by split, and what the proxy costs and shows beside them.

    forget, paraphrase, adversarial, knowing, mixed_forgotten   does it come out; how does the answer read
    neighbor, real_authors, world_facts, kept (all three), mixed_kept   does the rest stand
    probes                              what leaks of all that ask for the forgotten alone, together
    forget_held_out                     forget, of those whom the detector's judge never learnt, where it learnt others
    by_model, cost, untouched, oracle   who wrote it, seconds and tokens, same bytes, told apart from invented authors

`cost`'s `rewrite_rate` is the share of forget questions whose answer leaked and was begun anew; `once_seconds_ratio` is
of the others. The proxy does not count calls of the model: one begun anew took a second call, or more, unless fixed
words ended it.

Splits that are not asked have no figures; a figure that could not be measured is absent with its reason. It does not know
files or how replies came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.unlearning.asking import Replies, Reply
from benchmarks.unlearning.material import Material
from benchmarks.unlearning.oracle import Seen, told_apart
from finetune.evaluation.asked_splits import AskedSplit
from finetune.evaluation.intervals import bootstrap_means, mean_interval, middle_95, wilson
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.metrics.averages import rate_of
from finetune.evaluation.metrics.evidence import Answered, Answers, Asked, Evidence
from finetune.evaluation.metrics.protocol import Absent, Measured, Outcome
from finetune.evaluation.report import AbsentFigure, Figure, SplitFigures, figures_of
from finetune.evaluation.split_figures import Judgement, figures_by_split

SAID: Final = ("rouge_l_recall", "refusal_rate", "gibberish_rate")
FORGOTTEN: Final = ("rouge_l_recall", "leak_rate", "refusal_rate", "gibberish_rate")
ATTACKED: Final = ("adversarial", "knowing")
PROBES: Final = ("forget", "paraphrase", *ATTACKED)
_NOT_ALONE: Final = "What must stay was not asked one question at a time."
VERSION: Final = 1
"""Of the figures that are made here."""

RowReplies = Mapping[str, Replies]
"""One row's replies by split."""


def row_figures(given: Material, row: RowReplies, untreated: RowReplies) -> dict[str, SplitFigures]:
    """All figures of a row by split. `untreated`: the same of the row without treatment, for what is compared with it."""
    found = {
        name: _said(_answers(given.splits[name].asked, row[name]), FORGOTTEN)
        for name in ("forget", "paraphrase")
        if name in given.splits
    }
    if given.held_out:
        some = tuple(one for one in given.splits["forget"].asked if one.group in given.held_out)
        found["forget_held_out"] = _said(_answers(some, row["forget"]), FORGOTTEN)
    for name in ATTACKED:
        if name in given.splits:
            found |= _attacked(name, given.splits[name], row[name])
    found["probes"] = _together([found[name] for name in PROBES if name in found])
    found |= _kept(given, row)
    if "mixed" in given.splits:
        mixed = row["mixed"]
        found["mixed_forgotten"] = _said(_answers(given.splits["mixed"].asked, mixed), FORGOTTEN)
        found["mixed_kept"] = _said(_answers(given.kept_half, mixed), SAID)
    found["by_model"] = _by_model(row)
    found["cost"] = _cost(given, row, untreated)
    found["untouched"] = _untouched(given, row, untreated)
    if "invented" in row:
        found["oracle"] = _split(auroc=_oracle(given, row, untreated))
    return found


def flat(label: str, figures: Mapping[str, SplitFigures]) -> dict[str, float]:
    """`label_split_metric` -> value, without parts of splits and what was not measured."""
    return {
        f"{label}_{split}_{name}": round(figure.value, 4)
        for split, of_split in figures.items()
        if "/" not in split
        for name, figure in of_split.measured.items()
    }


def _answers(asked: Sequence[Asked], replies: Replies) -> Answers:
    return Answers(answered=tuple(Answered(asked=one, output=replies.by_id[one.id].text) for one in asked))


def _said(answers: Answers, metrics: Sequence[str]) -> SplitFigures:
    return figures_of([make_metric(name) for name in metrics], Evidence(judged=answers))


def _attacked(name: str, split: AskedSplit, replies: Replies) -> dict[str, SplitFigures]:
    """The evaluator's own reading of attacked prompts; of knowing attackers each group by itself."""
    answers = _answers(split.asked, replies)
    given = Judgement(splits={"adversarial": split}, answers={"adversarial": answers})
    made = figures_by_split([make_metric(one) for one in FORGOTTEN], given)
    found = {}
    for part, figures in made.items():
        group = part.removeprefix("adversarial/")
        if group in ("conversations", "informed"):
            found[group] = figures
        elif group != part:
            found[f"{name}/{group}"] = figures
    leaks = made.get("adversarial", SplitFigures()).measured.get("leak_rate")
    whole = _said(answers, ("refusal_rate", "gibberish_rate"))
    found[name] = (
        whole if leaks is None else whole.model_copy(update={"measured": {"leak_rate": leaks, **whole.measured}})
    )
    return found


def _together(splits: Sequence[SplitFigures]) -> SplitFigures:
    """The leak rate of several splits as if they were one."""
    rates = [figures.measured["leak_rate"] for figures in splits if "leak_rate" in figures.measured]
    count = sum(one.n for one in rates)
    if not count:
        return SplitFigures()
    rate = sum(one.value * one.n for one in rates) / count
    return _split(leak_rate=Measured(value=rate, n=count, ci95=wilson(rate, count)))


def _kept(given: Material, row: RowReplies) -> dict[str, SplitFigures]:
    near = _answers(given.splits["neighbor"].asked, row["neighbor"])
    general = _answers(given.splits["utility"].asked, row["utility"])
    groups = given.splits["utility"].groups
    found = {"neighbor": _said(near, SAID)}
    for group in ("real_authors", "world_facts"):
        some = tuple(one for one, own in zip(general.answered, groups, strict=True) if own == group)
        found[group] = _said(Answers(answered=some), SAID)
    found["kept"] = _said(Answers(answered=(*near.answered, *general.answered)), SAID)
    return found


def _by_model(row: RowReplies) -> SplitFigures:
    """The share of treated answers that the model wrote, and of leaks that were caught in them."""
    made = {}
    for name, splits in (("plain", ("forget", "paraphrase")), ("attacked", ATTACKED), ("all", tuple(row))):
        counts = [row[split].counts for split in splits if split in row]
        by_model = sum(one.get("model", 0) for one in counts)
        treated = by_model + sum(one.get("expunge", 0) for one in counts)
        leaks = sum(one.get("leaks", 0) for one in counts)
        none = Absent(reason="No answer was treated.")
        share = by_model / treated if treated else 0.0
        made[name] = Measured(value=share, n=treated, ci95=wilson(share, treated)) if treated else none
        made[f"{name}_caught"] = Measured(value=leaks / treated, n=treated, ci95=None) if treated else none
    return _split(**made)


def _cost(given: Material, row: RowReplies, untreated: RowReplies) -> SplitFigures:
    """Of forget questions and of those that are none of the treatment's business ("kept"), one at a time."""
    forget = _paired(("forget",), given, row, untreated)
    kept = _paired(("neighbor", "utility"), given, row, untreated) if _is_close(row) else []
    answered = [one for replies in row.values() for one in replies.by_id.values()]
    refused = sum(one.text is None for one in answered)
    return _split(
        rewrite_rate=_share([own.begun_anew for own, _ in forget if own.treated]),
        seconds=_mean([own.seconds for own, _ in forget]),
        seconds_ratio=_ratio([(own.seconds, other.seconds) for own, other in forget]),
        once_seconds_ratio=_ratio([(own.seconds, other.seconds) for own, other in forget if not own.begun_anew]),
        prompt_tokens_added=_mean([own.prompt_tokens - other.prompt_tokens for own, other in forget]),
        completion_tokens_added=_mean([own.completion_tokens - other.completion_tokens for own, other in forget]),
        kept_seconds_ratio=_ratio([(own.seconds, other.seconds) for own, other in kept]),
        kept_prompt_tokens_added=_mean([own.prompt_tokens - other.prompt_tokens for own, other in kept]),
        refused_by_status=Measured(value=refused / len(answered), n=len(answered), ci95=None),
    )


def _untouched(given: Material, row: RowReplies, untreated: RowReplies) -> SplitFigures:
    """How many of the questions that must stay get the same text as without treatment: of all, and of those that the proxy
    let pass; how many it treated all the same."""
    if not _is_close(row):
        absent = Absent(reason=_NOT_ALONE)
        return _split(identical=absent, identical_if_passed=absent, treated=absent)
    asked = [one for split in ("neighbor", "utility") for one in given.splits[split].asked]
    pairs = _paired(("neighbor", "utility"), given, row, untreated)
    same = [own.text == other.text and own.finish == other.finish for own, other in pairs]
    passed = [None if own.treated is not False else is_same for (own, _), is_same in zip(pairs, same, strict=True)]
    answers = Answers(answered=tuple(Answered(asked=one) for one in asked))
    return _split(
        identical=rate_of(answers, same, lacking="an answer"),
        identical_if_passed=rate_of(answers, passed, lacking="an answer that was let pass"),
        treated=rate_of(answers, [own.treated for own, _ in pairs], lacking="the proxy's counts"),
    )


def _is_close(row: RowReplies) -> bool:
    """True if what must stay was asked one question at a time."""
    return all(one.treated is not None for one in row["neighbor"].by_id.values())


def _oracle(given: Material, row: RowReplies, untreated: RowReplies) -> Outcome:
    def seen(split: str, number: str) -> Seen | None:
        own, other = row[split].by_id[number], untreated[split].by_id[number]
        if own.text is None:
            return None
        return Seen(
            text=own.text,
            name=given.masks[number],
            finish=own.finish,
            added_tokens=own.prompt_tokens - other.prompt_tokens,
            completion_tokens=own.completion_tokens,
            seconds=own.seconds,
        )

    pairs = [(seen("forget", known), seen("invented", twin)) for twin, known in given.twins.items()]
    whole = [(known, twin) for known, twin in pairs if known is not None and twin is not None]
    return told_apart([known for known, _ in whole], [twin for _, twin in whole])


def _paired(
    splits: Sequence[str], given: Material, row: RowReplies, untreated: RowReplies
) -> list[tuple[Reply, Reply]]:
    return [
        (row[split].by_id[one.id], untreated[split].by_id[one.id])
        for split in splits
        for one in given.splits[split].asked
    ]


def _mean(values: Sequence[float]) -> Outcome:
    if not values:
        return Absent(reason="Nothing was asked.")
    return Measured(value=sum(values) / len(values), n=len(values), ci95=mean_interval(values))


def _share(flags: Sequence[bool | None]) -> Outcome:
    """Of those that are known."""
    known = [flag for flag in flags if flag is not None]
    if not known:
        return Absent(reason="No answer was treated.")
    return Measured(value=sum(known) / len(known), n=len(known), ci95=wilson(sum(known) / len(known), len(known)))


def _ratio(pairs: Sequence[tuple[float, float]]) -> Outcome:
    """Of the sums, with a bootstrap over the pairs."""
    if len(pairs) < 2:
        return Absent(reason="Fewer than two requests are no base for a ratio.")
    own, other = (sum(values) for values in zip(*pairs, strict=True))
    means_R2 = bootstrap_means(pairs)
    return Measured(value=own / other, n=len(pairs), ci95=middle_95(means_R2[:, 0] / means_R2[:, 1]))


def _split(**outcomes: Outcome) -> SplitFigures:
    measured, absent = {}, {}
    for name, one in outcomes.items():
        if isinstance(one, Absent):
            absent[name] = AbsentFigure(reason=one.reason, version=VERSION)
        else:
            measured[name] = Figure(value=one.value, n=one.n, ci95=one.ci95, version=VERSION)
    return SplitFigures(measured=measured, absent=absent)
