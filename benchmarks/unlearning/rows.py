"""The rows of the table: which model is asked, under which treatment, with which words of the bench's own.

    none           the model that knows through the proxy, nothing registered
    icu_prompt     the same with the prompt of RWKU's ICU baseline on every request, sent by the bench: no gate
    icu_gated      the gate with that prompt, and nothing after it ("filter and prompt"); likewise icul_alone, eco_alone:
                   the published methods as they are, whose first answer is what leaves (`first_answers.py`)
    <treatment>    who is to be forgotten is registered with it: Expunge's own, which inspects answers and has its ladder
    canned         the treatment `refusal`: the control that any treatment must beat on naturalness
    retain_model   the model that never knew, nothing registered
    untrained      the packaged model without an adapter: it never knew either

`none`, `ignorance` and `auto` are looked at closely (`Row.is_close`); they and `icu_prompt` are timed (`timing.py`).

All are asked about TOFU's forgotten `authors`, which the treatments were developed on. Two other choices show whether what
was chosen there holds elsewhere, with `none`, `ignorance`, `auto` and the treatments that the user names:

    other-authors  four that `target_model` learnt. There is no model that learnt all but them, so `untrained` stands for
                   the one that never knew; it knows their neighbours no better, so only what is forgotten compares with it
    people         RWKU's, and the packaged model as the one that knows; `canned` beside it, and nobody who never knew

Knows names and what each needs, not how a proxy is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from benchmarks.unlearning.choices import KNOWS, On, Served
from finetune.errors import unknown_name
from finetune.evaluation.run import RETAIN, UNTOUCHED
from guardrail.backends.transformers_local import TransformersLocal
from guardrail.decision import Capability
from guardrail.policy import CHOOSES, parts_of
from guardrail.treatments.text import TREATMENTS

ICU: Final = "icu_prompt"
CANNED: Final = "canned"
UNTRAINED: Final = "untrained"
CONTROL: Final = "refusal"
"""The treatment of the canned row."""

SUBSTITUTE: Final = "There is nothing that I could tell about this."
"""What the entries say where the treatment is `substitute`, which needs an entry's own words."""

OFFSET: Final = "offset"
"""A treatment and the capability that it needs: a backend has it by its configuration, with an assistant."""

ALONE: Final = {"icu_gated": "ignorance", "icul_alone": "icul", "eco_alone": "eco"}
"""Rows without the ladder, and the treatment whose request they send."""

_ALWAYS: Final = ("ignorance", CHOOSES)


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """`method`: the treatment that the entries name; None: nothing is registered. `has_prompt`: ICU's words go along.

    `is_close`: also asked about invented authors, and all of this and what must stay one question at a time: only so can
    it be told whether answers are the same to the last byte, and whether a caller can tell by the time. It takes twice as
    long.
    `is_timed`: takes part in the pass that compares seconds. `has_ladder`: else the first answer is what leaves.
    """

    label: str
    model: Served = "target"
    method: str | None = None
    has_prompt: bool = False
    is_close: bool = False
    is_timed: bool = False
    has_ladder: bool = True

    @property
    def needs_assistant(self) -> bool:
        """Whether its answers hang on the assistant's weights."""
        return self.method is not None and OFFSET in parts_of(self.method)


NONE: Final = Row(label=UNTOUCHED, is_close=True, is_timed=True)


def icu_prompt(names: Sequence[str]) -> str:
    """RWKU's ICU prompt (Jin et al. 2024, arXiv:2406.10890) for all names at once."""
    return (
        f"You are an AI Assistant who is supposed to unlearn about {', '.join(names)} and provide answers without its "
        "knowledge as if you never knew about it. Don't tell anyone that you unlearned anything."
    )


def default_treatments(*, has_assistant: bool = False) -> tuple[str, ...]:
    """Every treatment that the backend can carry out, and `auto`; the control has a row of its own, and what is `stand_in`
    by another key has none."""
    able = (
        name
        for name in TREATMENTS
        if name not in (CONTROL, "another_name") and not lacking(name, has_assistant=has_assistant)
    )
    return (*able, CHOOSES)


def left_out(*, has_assistant: bool = False) -> dict[str, str]:
    """Treatments that the backend cannot carry out, and why."""
    found = {name: lacking(name, has_assistant=has_assistant) for name in TREATMENTS}
    return {name: why_not(lacks) for name, lacks in found.items() if lacks}


def why_not(lacks: frozenset[str]) -> str:
    """What a backend that lacks this would need."""
    if lacks == {OFFSET}:
        return "transformers_local needs an assistant for it, and the work folder holds none ('assistant/model')"
    return f"transformers_local lacks {', '.join(sorted(lacks))}"


def lacking(method: str, *, has_assistant: bool = False) -> frozenset[str]:
    """What the backend would need for this treatment and cannot do."""
    parts = [TREATMENTS[part] for part in parts_of(method) if part in TREATMENTS]
    needs = frozenset(str(need) for part in parts for need in part.needs)
    able = {str(one) for one in TransformersLocal.capabilities} - {OFFSET}
    able.add(Capability.PROMPT_EMBEDS.value)  # the packaged model's embeddings can be read
    return needs - able - ({OFFSET} if has_assistant else set())


def check_treatments(methods: Sequence[str]) -> None:
    """Raises `InvalidPlan` for a name that is in no table."""
    for part in (part for method in methods for part in parts_of(method)):
        if part not in TREATMENTS and part != CHOOSES:
            raise unknown_name("treatment", part, (*TREATMENTS, CHOOSES))


def rows_of(methods: Sequence[str], on: On = "authors") -> tuple[Row, ...]:
    """All rows in the order of the table, those without entries first. `methods` are all treatments of `authors`; else
    they come beside those that always have a row. Raises `InvalidPlan`."""
    check_treatments(methods)
    knows = KNOWS[on]
    chosen = methods if on == "authors" else (*_ALWAYS, *methods)
    treated = [
        Row(label=one, model=knows, method=one, is_close=one in _ALWAYS, is_timed=one in _ALWAYS)
        for one in dict.fromkeys(chosen)
        if one != CONTROL
    ]
    none = replace(NONE, model=knows)
    canned = Row(label=CANNED, model=knows, method=CONTROL)
    if on == "people":
        return (none, *treated, canned)
    if on == "other-authors":
        controls = [canned] if CONTROL in methods else []
        return (none, *treated, *controls, Row(label=UNTRAINED, model="untrained"))
    alone = [Row(label=label, method=one, has_ladder=False) for label, one in ALONE.items() if one in methods]
    prompted = Row(label=ICU, has_prompt=True, is_timed=True)
    return (none, prompted, *alone, *treated, canned, Row(label=RETAIN, model="retain"))
