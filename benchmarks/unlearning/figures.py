"""From replies to figures: the evaluator's metrics by split, and what the proxy costs and shows beside them.

    forget, paraphrase, adversarial, knowing, mixed_forgotten   does it come out; how does the answer read
    neighbor, real_authors, world_facts, kept (all three), mixed_kept   does the rest stand
    probes                              what leaks of all that ask for the forgotten alone, together (`probes.py`)
    forget_held_out                     forget, of those whom the detector's judge never learnt, where it learnt others
    by_model, cost, untouched           who wrote it, seconds and tokens, same bytes (`costs.py`)
    oracle                              told apart from invented authors

Splits that are not asked have no figures; a figure that could not be measured is absent with its reason. It does not know
files or how replies came about.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from benchmarks.unlearning.costs import RowReplies, by_model, cost, untouched
from benchmarks.unlearning.kept import Replies
from benchmarks.unlearning.material import Material
from benchmarks.unlearning.oracle import Seen, told_apart
from benchmarks.unlearning.probes import probes, together
from finetune.evaluation.asked_splits import AskedSplit
from finetune.evaluation.metrics import make_metric
from finetune.evaluation.metrics.evidence import Answered, Answers, Asked, Evidence
from finetune.evaluation.metrics.protocol import Absent, Outcome
from finetune.evaluation.report import AbsentFigure, Figure, SplitFigures, figures_of
from finetune.evaluation.split_figures import Judgement, figures_by_split

SAID: Final = ("rouge_l_recall", "refusal_rate", "gibberish_rate")
FORGOTTEN: Final = ("rouge_l_recall", "leak_rate", "refusal_rate", "gibberish_rate")
ATTACKED: Final = ("adversarial", "knowing")
VERSION: Final = 2
"""Of the figures that are made here."""


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
    found["probes"] = _split(together(probes(given.splits, row)))
    found |= _kept(given, row)
    if "mixed" in given.splits:
        mixed = row["mixed"]
        found["mixed_forgotten"] = _said(_answers(given.splits["mixed"].asked, mixed), FORGOTTEN)
        found["mixed_kept"] = _said(_answers(given.kept_half, mixed), SAID)
    found["by_model"] = _split(by_model(given, row))
    found["cost"] = _split(cost(given, row, untreated))
    found["untouched"] = _split(untouched(given, row, untreated))
    if "invented" in row:
        found["oracle"] = _split({"auroc": _oracle(given, row, untreated)})
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

    about = {one.id: one.group for one in given.splits["forget"].asked}
    return told_apart(
        [seen("forget", known) for known in given.twins.values()],
        [seen("invented", twin) for twin in given.twins],
        [about[known] for known in given.twins.values()],
    )


def _split(outcomes: Mapping[str, Outcome]) -> SplitFigures:
    measured, absent = {}, {}
    for name, one in outcomes.items():
        if isinstance(one, Absent):
            absent[name] = AbsentFigure(reason=one.reason, version=VERSION)
        else:
            measured[name] = Figure(value=one.value, n=one.n, ci95=one.ci95, version=VERSION)
    return SplitFigures(measured=measured, absent=absent)
