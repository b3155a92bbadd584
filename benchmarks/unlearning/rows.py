"""The rows of the table: which model is asked, under which treatment, with which words of the bench's own.

    none           the target model through the proxy, nothing registered
    icu_prompt     the same with the prompt of RWKU's ICU baseline on every request, sent by the bench: no gate
    <treatment>    the forgotten authors are registered with it; `ignorance` is the gate with a prompt ("filter and prompt")
    canned         the treatment `refusal`: the control that any treatment must beat on naturalness
    retain_model   the model that never knew, nothing registered

Knows names and what each needs, not how a proxy is asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks.knowing.reduced_tofu import Which
from finetune.errors import unknown_name
from finetune.evaluation.run import RETAIN, UNTOUCHED
from guardrail.backends.transformers_local import TransformersLocal
from guardrail.decision import Capability
from guardrail.policy import CHOOSES, parts_of
from guardrail.treatments.text import TREATMENTS

ICU: Final = "icu_prompt"
CANNED: Final = "canned"
CONTROL: Final = "refusal"
"""The treatment of the canned row."""

SUBSTITUTE: Final = "There is nothing that I could tell about this."
"""What the entries say where the treatment is `substitute`, which needs an entry's own words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """`method`: the treatment that the entries name; None: nothing is registered. `has_prompt`: ICU's words go along."""

    label: str
    model: Which = "target"
    method: str | None = None
    has_prompt: bool = False


NONE: Final = Row(label=UNTOUCHED)


def icu_prompt(names: Sequence[str]) -> str:
    """RWKU's ICU prompt (Jin et al. 2024, arXiv:2406.10890) for all names at once."""
    return (
        f"You are an AI Assistant who is supposed to unlearn about {', '.join(names)} and provide answers without its "
        "knowledge as if you never knew about it. Don't tell anyone that you unlearned anything."
    )


def default_treatments() -> tuple[str, ...]:
    """Every treatment that the backend can carry out, and `auto`; the control has a row of its own."""
    return (*(name for name in TREATMENTS if name != CONTROL and not lacking(name)), CHOOSES)


def left_out() -> tuple[str, ...]:
    """Treatments that the backend cannot carry out."""
    return tuple(name for name in TREATMENTS if lacking(name))


def lacking(method: str) -> frozenset[str]:
    """What the backend would need for this treatment and cannot do."""
    parts = [TREATMENTS[part] for part in parts_of(method) if part in TREATMENTS]
    needs = frozenset().union(*(part.needs for part in parts))
    can = TransformersLocal.capabilities | {Capability.PROMPT_EMBEDS}  # the packaged model's embeddings can be read
    return frozenset(str(one) for one in needs - can)


def check_treatments(methods: Sequence[str]) -> None:
    """Raises `InvalidPlan` for a name that is in no table."""
    for part in (part for method in methods for part in parts_of(method)):
        if part not in TREATMENTS and part != CHOOSES:
            raise unknown_name("treatment", part, (*TREATMENTS, CHOOSES))


def rows_of(methods: Sequence[str]) -> tuple[Row, ...]:
    """All rows in the order of the table, those without entries first. Raises `InvalidPlan`."""
    check_treatments(methods)
    treated = [Row(label=one, method=one) for one in dict.fromkeys(methods) if one != CONTROL]
    return (
        NONE,
        Row(label=ICU, has_prompt=True),
        *treated,
        Row(label=CANNED, method=CONTROL),
        Row(label=RETAIN, model="retain"),
    )
