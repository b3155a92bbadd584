"""Unlearning methods for diffusion models: literal tables, name -> class, by what a method is (`protocol.py`)."""

from __future__ import annotations

from finetune.methods.hyper_parameters import made
from finetune.methods.image.concept_ablation import ConceptAblation
from finetune.methods.image.esd import ESD
from finetune.methods.image.protocol import DenoisingLoss, Need, TextEdit
from finetune.methods.image.rece import RECE
from finetune.methods.image.salun import SalUn
from finetune.methods.image.spm import SPM
from finetune.methods.image.uce import UCE

EDITS: dict[str, type[TextEdit]] = {
    "uce": UCE,
    "rece": RECE,
}

LOSSES: dict[str, type[DenoisingLoss]] = {
    "esd": ESD,
    "concept_ablation": ConceptAblation,
    "salun": SalUn,
    "spm": SPM,
}


def make_method(name: str, /, **hyper_parameters: object) -> DenoisingLoss | TextEdit:
    """The method of that name, the paper's values where none are given.

    Raises `InvalidPlan` for an unknown method or hyper-parameter, and for a value of the wrong type or out of range.
    """
    method: DenoisingLoss | TextEdit = made({**EDITS, **LOSSES}, name, hyper_parameters)
    return method


__all__ = ["EDITS", "LOSSES", "DenoisingLoss", "Need", "TextEdit", "make_method"]
