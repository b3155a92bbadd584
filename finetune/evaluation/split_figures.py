"""From one model's answers to its figures: which metrics suit which split, and figures by split and by part of a split.

    forget, paraphrase   does it still come out: wording, probability, truth ratio, extraction, leaks, refusals
    adversarial          leaks and refusals; where a choice was asked for, how often the right one is taken; of attacks by
                         conversation and by who knows the registry, how often they are told something
    neighbor, retain, utility   does the rest stand: wording, probability, truth, false refusals
    forget/membership    members against holdout

A split whose questions have groups has a part for each ("adversarial/poem"). `model_utility` is over several splits
and stands in "utility". It does not know how answers come about.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from finetune.evaluation.asked_splits import HOLDOUT, MEMBERS, AskedSplit
from finetune.evaluation.attacks import GROUPS
from finetune.evaluation.attacks.protocol import Variant
from finetune.evaluation.attacks.telling import is_leak
from finetune.evaluation.judged_model import Fact
from finetune.evaluation.metrics import Metric, make_metric
from finetune.evaluation.metrics.averages import rate_of
from finetune.evaluation.metrics.evidence import Answers, Asked, Evidence
from finetune.evaluation.metrics.judging import facts_for
from finetune.evaluation.metrics.model_utility import ModelUtility
from finetune.evaluation.metrics.protocol import Absent
from finetune.evaluation.report import AbsentFigure, Figure, SplitFigures, figures_of

UTILITY = "model_utility"
MEMBERSHIP = frozenset(
    {"privleak", "mia_loss", "mia_zlib", "mia_reference", "mia_gradnorm", "mia_min_k", "mia_min_k_plus_plus"}
)
RIGHT_CHOICE = "right_choice_rate"
"""How often the right choice is taken where one was asked for; `chance`: how often whoever knows nothing takes it."""

OWN_RULE_VERSION = 2
"""Of these two: since 2 what the prompt gives away in another form is not told."""

TOLD = "told_rate"
"""How often a knowing attacker is told something: an answer's words or a name, decoded, that his prompt does not hold."""

_SAID = frozenset(
    {"rouge_l_recall", "refusal_rate", "gibberish_rate", "verbatim_memorization", "knowledge_memorization"}
)
_LEAKS = frozenset({"leak_rate", "leak_rate_best_of_n"})
_FORGOTTEN = _SAID | _LEAKS | {"probability", "truth_ratio", "extraction_strength", "exact_memorization"}
_KEPT = _SAID | {"probability", "probability_options", "truth_ratio_utility", "exact_memorization"}

METRICS_OF: Mapping[str, frozenset[str]] = {
    "forget": _FORGOTTEN | {"forget_quality", "ks_distance"},
    "paraphrase": _FORGOTTEN,
    "adversarial": _LEAKS | {"rouge_l_recall", "refusal_rate", "gibberish_rate"},
    "neighbor": _KEPT,
    "retain": _KEPT,
    "utility": _KEPT,
    MEMBERS: MEMBERSHIP,
    HOLDOUT: MEMBERSHIP,
}

_DEFAULT = (
    "rouge_l_recall",
    "probability",
    "probability_options",
    "truth_ratio",
    "truth_ratio_utility",
    "forget_quality",
    "ks_distance",
    UTILITY,
    "extraction_strength",
    "exact_memorization",
    "leak_rate",
    "refusal_rate",
    "gibberish_rate",
)
_DEFAULT_MEMBERSHIP = ("mia_loss", "mia_zlib", "mia_min_k", "mia_min_k_plus_plus", "privleak")
_DEFAULT_CONTINUED = ("verbatim_memorization", "knowledge_memorization")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Judgement:
    """One model's answers by split, and what they are compared with."""

    splits: Mapping[str, AskedSplit]
    answers: Mapping[str, Answers]
    retain: Mapping[str, Answers] | None = None


def default_metrics(splits: Mapping[str, AskedSplit], *, has_holdout: bool) -> tuple[Metric, ...]:
    """What is measured unless metrics are named: all but what needs sampling, gradients or a reference model."""
    texts = any(one.form == "text" for name in ("forget", "retain") if name in splits for one in splits[name].asked)
    names = [*_DEFAULT, *(_DEFAULT_CONTINUED if texts else ()), *(_DEFAULT_MEMBERSHIP if has_holdout else ())]
    return tuple(make_metric(name) for name in names)


def fitted(metrics: Sequence[Metric], splits: Mapping[str, AskedSplit]) -> tuple[Metric, ...]:
    """The metrics for a suite: the model utility is over TOFU's three sets where there are any of the last two, else over
    the splits "retain" and "utility" as far as there are any. `parameters` beside the figure say which."""
    paper, own = ModelUtility(), tuple(name for name in ("retain", "utility") if name in splits)
    if not own or not set(paper.with_options).isdisjoint(splits["utility"].groups if "utility" in splits else ()):
        return tuple(metrics)
    suited = ModelUtility(sets=own, with_options=("utility",))
    return tuple(suited if metric == paper else metric for metric in metrics)


def facts_of(split: str, metrics: Sequence[Metric]) -> frozenset[Fact]:
    """What must be known of a split's questions."""
    wanted = METRICS_OF[split] | ({UTILITY} if split in ("retain", "utility") else frozenset())
    return facts_for(metric for metric in metrics if metric.name in wanted)


def figures_by_split(metrics: Sequence[Metric], given: Judgement) -> dict[str, SplitFigures]:
    """Every split and part with what suits it."""
    found: dict[str, SplitFigures] = {}
    for split, asked in given.splits.items():
        suited = [metric for metric in metrics if metric.name in METRICS_OF[split]]
        if split in (MEMBERS, HOLDOUT) or not suited:
            continue
        plain = [place for place, one in enumerate(asked.asked) if not _has_own_rule(asked, one)]
        if plain:
            found[split] = figures_of(suited, _evidence(given, split, plain))
        for part, places in _parts(asked).items():
            ruled = [place for place in places if _has_own_rule(asked, asked.asked[place])]
            rest = [place for place in places if place not in ruled]
            if rest:
                found[f"{split}/{part}"] = figures_of(suited, _evidence(given, split, rest))
            elif any(metric.name in _LEAKS for metric in suited):
                found[f"{split}/{part}"] = _by_own_rule(asked, _some(given.answers[split], ruled))
        if any(metric.name in _LEAKS for metric in suited):
            found |= _groups(split, asked, given.answers[split])
    _add(found, "utility", [one for one in metrics if one.name == UTILITY], Evidence(sets=_sets(given)))
    _add(found, "forget/membership", [one for one in metrics if one.name in MEMBERSHIP], _membership(given))
    return found


def _add(found: dict[str, SplitFigures], name: str, metrics: Collection[Metric], evidence: Evidence) -> None:
    if metrics:
        before, more = found.get(name, SplitFigures()), figures_of(metrics, evidence)
        found[name] = SplitFigures(
            measured={**before.measured, **more.measured}, absent={**before.absent, **more.absent}
        )


def _parts(asked: AskedSplit) -> dict[str, list[int]]:
    """Places of the questions of each group."""
    parts: dict[str, list[int]] = {}
    for place, group in enumerate(asked.groups):
        if group is not None:
            parts.setdefault(group, []).append(place)
    return parts


def _evidence(given: Judgement, split: str, places: Sequence[int]) -> Evidence:
    retain = given.retain
    return Evidence(
        judged=_some(given.answers[split], places),
        retain_model=None if retain is None else Evidence(judged=_some(retain[split], places)),
    )


def _some(answers: Answers, places: Sequence[int]) -> Answers:
    return Answers(answered=tuple(answers.answered[place] for place in places), missing=answers.missing)


def _membership(given: Judgement) -> Evidence:
    def texts(answers: Mapping[str, Answers], retain: Evidence | None) -> Evidence:
        members = answers.get(MEMBERS, Answers())
        return Evidence(judged=members, holdout=answers.get(HOLDOUT), retain_model=retain)

    return texts(given.answers, None if given.retain is None else texts(given.retain, None))


def _sets(given: Judgement) -> dict[str, Answers]:
    """Sets that a model utility may be over: the splits, and the groups of "utility"."""
    sets = {name: given.answers[name] for name in ("retain", "utility") if name in given.answers}
    for group, places in _parts(given.splits["utility"]).items() if "utility" in given.splits else ():
        sets[group] = _some(given.answers["utility"], places)
    return sets


def _has_own_rule(asked: AskedSplit, one: Asked) -> bool:
    return one.id in asked.choices or one.id in asked.told


def _groups(split: str, asked: AskedSplit, answers: Answers) -> dict[str, SplitFigures]:
    """Each group of attacks that tell something, as a part by itself; choices are not in it, as they may be chance."""
    found = {}
    for group, names in GROUPS.items():
        places = [
            place for place, one in enumerate(asked.asked) if one.id in asked.told and asked.groups[place] in names
        ]
        if places:
            found[f"{split}/{group}"] = _by_own_rule(asked, _some(answers, places))
    return found


def _by_own_rule(asked: AskedSplit, answers: Answers) -> SplitFigures:
    """All choices, or all told."""
    variants = [_variant_of(asked, one.asked) for one in answers.answered]
    name = TOLD if variants and variants[0].leak == "tells" else RIGHT_CHOICE
    if (why := answers.lacks({Fact.OUTPUT})) is not None:
        return SplitFigures(absent={name: AbsentFigure(reason=why, version=OWN_RULE_VERSION)})
    made = [(variant, one.output) for variant, one in zip(variants, answers.answered, strict=True)]
    hits = [None if output is None else is_leak(variant, output) for variant, output in made]
    outcome = rate_of(answers, hits, lacking="an output")
    if isinstance(outcome, Absent):
        return SplitFigures(absent={name: AbsentFigure(reason=outcome.reason, version=OWN_RULE_VERSION)})
    chance = sum(variant.chance for variant in variants) / len(variants)
    parameters = {"chance": round(chance, 4)} if name == RIGHT_CHOICE else {}
    figure = Figure(
        value=outcome.value, n=outcome.n, ci95=outcome.ci95, version=OWN_RULE_VERSION, parameters=parameters
    )
    return SplitFigures(measured={name: figure})


def _variant_of(asked: AskedSplit, one: Asked) -> Variant:
    return asked.choices[one.id] if one.id in asked.choices else asked.told[one.id]
