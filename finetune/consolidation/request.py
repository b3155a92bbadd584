"""What one run is asked for, and the checks that need nothing but the request itself.

It knows names, numbers and sets, not files of models or what a run writes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from finetune.data.retain_set import ordinary_prompts
from finetune.data.tokens import MAX_TOKENS
from finetune.errors import InvalidData, InvalidPlan
from finetune.evaluation.suites import Suite
from finetune.methods.language import ASSISTANTS, EDITS, RECIPES, LossMethod, Need, Recipe, make_method
from finetune.settings import TrainingPlan
from finetune.training.first_layers import FirstLayers
from finetune.training.model_files import Dtype
from retrieval.entry import ForgetEntry, MemoryEdit

SAVE_EVERY_STEPS = 10
"""Of an adapter: some 60 MB for a model of 135 million weights."""
SAVE_EVERY_STEPS_OF_WEIGHTS = 50

_GREATEST = 1e6
"""Of the plan's numbers. Beyond sense by far, and what JSON (no infinity) and the optimiser can take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRequest:
    """One method on one model. What is to be forgotten is either `entries` or a `suite`; `out` is the run's own folder.

    `revisions` and `edits` are the entries' in the registry, by id; they are optional. `retain` is a corpus (a file or a
    folder), or none for the suite's texts; to either come the base model's own answers to `retain_generated` of the shipped
    prompts. Of texts that are not a suite's `held_out_share` is not trained on.
    `alternatives` are other answers, for methods that read any; none for the shipped ones. `training_paraphrases` of each
    question are trained on too. A `seed` takes the place of the plan's. Of the change that a method makes `edit_scale` is
    kept (Wortsman et al. 2022, arXiv:2109.01903): below 1 forgets less and keeps more. Training ends early, after an epoch
    in which what is to be forgotten has become as unlikely as `stop_probability` or less, by token. Weights are written in
    the type that they were trained in unless `saved_as`. With `first_layers` those of the base model alone are trained, by
    a method that makes an assistant, and written as a model of their own; the base model as a whole gives the answers.
    """

    base: str | Path
    out: Path
    method: str
    hyper_parameters: Mapping[str, object] = field(default_factory=dict)
    plan: TrainingPlan = field(default_factory=lambda: TrainingPlan(save_every_steps=SAVE_EVERY_STEPS))
    entries: Sequence[ForgetEntry] = ()
    revisions: Mapping[str, int] = field(default_factory=dict)
    edits: Mapping[str, Sequence[MemoryEdit]] = field(default_factory=dict)
    suite: Suite | None = None
    retain: Path | None = None
    retain_generated: int = 0
    held_out_share: float = 0.1
    alternatives: Sequence[str] = ()
    training_paraphrases: int = 0
    max_tokens: int = MAX_TOKENS
    seed: int | None = None
    edit_scale: float = 1.0
    stop_probability: float | None = None
    saved_as: Dtype | None = None
    first_layers: FirstLayers | None = None

    @property
    def training_plan(self) -> TrainingPlan:
        """The plan with the seed that decides everything."""
        return self.plan if self.seed is None else self.plan.model_copy(update={"seed": self.seed})

    @property
    def covered(self) -> Sequence[ForgetEntry]:
        """The entries that the run is about, given or the suite's."""
        return self.suite.entries if self.suite is not None else self.entries


def checked_method(request: RunRequest) -> LossMethod | Recipe:
    """The method, if the request fits together. Raises `InvalidPlan` or `InvalidData`."""
    made = make_method(request.method, **request.hyper_parameters)
    if request.method in EDITS:
        raise InvalidPlan(
            f"'{request.method}' is computed from the weights of a second model, which a run does not have; take a recipe "
            "that trains it first, as 'task_vector' does for 'negation'."
        )
    method = cast("LossMethod | Recipe", made)
    _check_layers(request)
    _check_numbers(request)
    _check_entries(request)
    if any(not one.strip() for one in request.alternatives):
        raise InvalidData(
            "One of the alternatives is empty; give sentences that can be said, or none for the shipped ones."
        )
    has_own = request.suite is not None and bool(request.suite.retain_texts)
    if Need.RETAIN in method.needs and request.retain is None and not has_own and not request.retain_generated:
        raise InvalidData(
            f"'{method.name}' needs texts to keep and there are none; give a corpus, let the model generate them, take a "
            "suite that has some, or weight 0 for its retain term."
        )
    return method


def _check_layers(request: RunRequest) -> None:
    if request.method in ASSISTANTS and request.first_layers is None:
        raise InvalidPlan(
            f"'{request.method}' makes a model remember, and is for an assistant alone, of the first layers of a model: "
            "`expunge consolidate assistant`. Take another method."
        )
    if request.first_layers is not None and request.method not in ASSISTANTS:
        raise InvalidPlan(
            f"'{request.method}' makes a whole model forget; the first layers alone are for {', '.join(ASSISTANTS)}."
        )


def _check_numbers(request: RunRequest) -> None:
    if not 0 <= request.held_out_share < 1:
        raise InvalidPlan(f"held_out_share is {request.held_out_share}; give 0 or more and less than 1.")
    if not 0 < request.edit_scale <= _GREATEST:
        raise InvalidPlan(
            f"edit_scale is {request.edit_scale}; give more than 0, and 1 for the edit as it was trained."
        )
    if request.stop_probability is not None and not 0 < request.stop_probability < 1:
        raise InvalidPlan(f"stop_probability is {request.stop_probability}; give more than 0 and less than 1.")
    if request.stop_probability is not None and request.method in ASSISTANTS:
        raise InvalidPlan(f"'{request.method}' makes what is to be forgotten likelier; leave stop_probability out.")
    if request.stop_probability is not None and request.method in RECIPES:
        raise InvalidPlan(
            f"'{request.method}' has stages, the first of which learns what is to be forgotten; it cannot be stopped by "
            "its probability. Leave stop_probability out, or give fewer epochs."
        )
    if request.training_paraphrases < 0:
        raise InvalidPlan(f"training_paraphrases is {request.training_paraphrases}; give 0 or more.")
    for name in ("learning_rate", "weight_decay", "max_grad_norm"):
        number = getattr(request.plan, name)
        if number is not None and not number <= _GREATEST:
            raise InvalidPlan(f"{name} is {number}; give a number up to {_GREATEST:g}.")
    if request.max_tokens < 2:
        raise InvalidPlan(f"max_tokens is {request.max_tokens}; give at least 2.")
    most = len(ordinary_prompts())
    if not 0 <= request.retain_generated <= most:
        raise InvalidPlan(
            f"{request.retain_generated} generated texts to keep were asked for; give 0 to {most}, or a corpus for more."
        )
    if request.seed is not None and request.seed < 0:
        raise InvalidPlan(f"seed is {request.seed}; give 0 or more.")


def _check_entries(request: RunRequest) -> None:
    if bool(request.entries) == (request.suite is not None):
        state = "both entries and a suite were given" if request.entries else "neither entries nor a suite was given"
        raise InvalidData(f"What is to be forgotten is not clear: {state}; give one of them.")
    ids = Counter(entry.id for entry in request.entries if entry.id)
    twice = sorted(key for key, count in ids.items() if count > 1)
    if twice:
        raise InvalidData(f"The id '{twice[0]}' stands for {ids[twice[0]]} entries; give each entry its own.")
    for what, named in (("revisions", request.revisions), ("edits", request.edits)):
        strange = sorted(named.keys() - ids.keys())
        if strange:
            raise InvalidData(f"{what} name '{strange[0]}', which is the id of none of the {len(ids)} entries.")
