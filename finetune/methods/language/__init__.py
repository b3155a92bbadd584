"""Unlearning methods for language: literal tables, name -> class, by what a method is.

A loss is trained, an edit is computed, a recipe does both in turn; `protocol.py` says what each must offer. What trains an
assistant is a loss too, but makes a model remember, so that it is kept apart from those that make one forget.
"""

from __future__ import annotations

from finetune.methods.hyper_parameters import made
from finetune.methods.language.altpo import AltPO
from finetune.methods.language.ce_u import CEU
from finetune.methods.language.dpo import DPO
from finetune.methods.language.eul import EUL
from finetune.methods.language.ext_sub import ExtSub
from finetune.methods.language.grad_ascent import GradAscent
from finetune.methods.language.grad_diff import GradDiff
from finetune.methods.language.kl_minimisation import KLMinimisation
from finetune.methods.language.llmu import LLMU
from finetune.methods.language.lora_negation import LoraNegation
from finetune.methods.language.negation import Negation
from finetune.methods.language.npo import NPO
from finetune.methods.language.pdu import PDU
from finetune.methods.language.protocol import LossMethod, Need, Recipe, WeightEdit
from finetune.methods.language.rmu import RMU
from finetune.methods.language.satimp import SatImp
from finetune.methods.language.simnpo import SimNPO
from finetune.methods.language.sku import SKU
from finetune.methods.language.task_vector import TaskVector
from finetune.methods.language.uld_assistant import UldAssistant
from finetune.methods.language.undial import Undial
from finetune.methods.language.wga import WGA
from finetune.methods.language.whp import WHP

LOSSES: dict[str, type[LossMethod]] = {
    "grad_ascent": GradAscent,
    "grad_diff": GradDiff,
    "kl_minimisation": KLMinimisation,
    "dpo": DPO,
    "npo": NPO,
    "simnpo": SimNPO,
    "rmu": RMU,
    "undial": Undial,
    "wga": WGA,
    "satimp": SatImp,
    "ce_u": CEU,
    "llmu": LLMU,
    "altpo": AltPO,
    "pdu": PDU,
    "eul": EUL,
}

EDITS: dict[str, type[WeightEdit]] = {
    "negation": Negation,
}

RECIPES: dict[str, type[Recipe]] = {
    "task_vector": TaskVector,
    "lora_negation": LoraNegation,
    "ext_sub": ExtSub,
    "sku": SKU,
    "whp": WHP,
}

ASSISTANTS: dict[str, type[LossMethod]] = {
    "uld_assistant": UldAssistant,
}


def make_method(name: str, /, **hyper_parameters: object) -> LossMethod | WeightEdit | Recipe:
    """The method of that name, the paper's values where none are given.

    Raises `InvalidPlan` for an unknown method or hyper-parameter, and for a value of the wrong type or out of range.
    """
    method: LossMethod | WeightEdit | Recipe = made(
        {**LOSSES, **EDITS, **RECIPES, **ASSISTANTS}, name, hyper_parameters
    )
    return method


__all__ = ["ASSISTANTS", "EDITS", "LOSSES", "RECIPES", "LossMethod", "Need", "Recipe", "WeightEdit", "make_method"]
