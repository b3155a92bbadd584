"""Ways of not drawing something: one literal table, name -> class. Names may also be names of treatments for language.

An entry's `treatment` object names one, several in order ("prototype+negative_prompt") or `auto`
(`policy.PICTURE_AUTO`), and may set hyper-parameters. A name that is only known for language leaves pictures to `auto`.
"""

from __future__ import annotations

from dataclasses import fields

from guardrail.policy import CHOOSES
from guardrail.treatments.image.blank import BlankPicture
from guardrail.treatments.image.closed_form import ClosedFormEdit
from guardrail.treatments.image.negative_prompt import NegativePrompt
from guardrail.treatments.image.protocol import PictureTreatment
from guardrail.treatments.image.prototype import PrototypeBank
from guardrail.treatments.image.refusal import PictureRefusal
from guardrail.treatments.image.rewrite import RewrittenPrompt
from guardrail.treatments.image.safree import Safree
from guardrail.treatments.image.sld import SafeLatentDiffusion
from guardrail.treatments.image.substitute import SubstitutePrompt

PICTURE_TREATMENTS: dict[str, type[PictureTreatment]] = {
    "negative_prompt": NegativePrompt,
    "sld": SafeLatentDiffusion,
    "safree": Safree,
    "substitute": SubstitutePrompt,
    "rewrite": RewrittenPrompt,
    "prototype": PrototypeBank,
    "closed_form": ClosedFormEdit,
    "refusal": PictureRefusal,
    "blank": BlankPicture,
}


def picture_parameters_of(name: str) -> frozenset[str]:
    """Names of the parameters that an entry may set for a treatment."""
    return frozenset() if name == CHOOSES else frozenset(field.name for field in fields(PICTURE_TREATMENTS[name]))


__all__ = ["PICTURE_TREATMENTS", "PictureTreatment", "picture_parameters_of"]
