"""Which treatment a request for pictures gets, on which backend, and what comes behind it."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.decision import Capability, Detection, Evidence, EvidenceKind, RefusalStyle
from guardrail.picture_planning import PicturePlanner, concepts_of
from guardrail.pictures import PictureLeak, PicturePlan, PictureRequest
from guardrail.policy import PICTURE_LADDER, PICTURE_STRICTNESS, next_picture_rung, parts_of
from guardrail.settings import PolicySettings
from guardrail.treatments.image import PICTURE_TREATMENTS, picture_parameters_of
from guardrail.treatments.image.safree import SafreeSteering
from tests.fakes.concepts import concept, registered

IN_PROCESS = frozenset({Capability.IMAGES, Capability.STEERING, Capability.NEGATIVE_PROMPT})
DISTILLED = frozenset({Capability.IMAGES, Capability.STEERING})
SERVER = frozenset({Capability.IMAGES})
NAMED = PictureRequest(prompt="a blue circle")
UNNAMED = PictureRequest(prompt="the colour of the sea")


def planner(**policy: Any) -> PicturePlanner:
    return PicturePlanner(policy=PolicySettings(**policy))


def test_an_untouched_prompt_has_no_plan() -> None:
    assert planner().plan(NAMED, [], IN_PROCESS) is None


@pytest.mark.parametrize(
    ("can", "request_", "wanted"),
    [
        (IN_PROCESS, NAMED, "prototype+negative_prompt"),
        (IN_PROCESS, UNNAMED, "prototype+negative_prompt"),
        (DISTILLED, NAMED, "prototype+negative_prompt"),
        (SERVER, NAMED, "rewrite+negative_prompt"),
        (SERVER, UNNAMED, "blank"),
    ],
)
def test_auto_takes_the_first_rung_that_the_backend_can_do(can: Any, request_: PictureRequest, wanted: str) -> None:
    plan = planner().plan(request_, [concept("blue")], can)
    assert plan is not None
    assert plan.treatment == wanted
    assert plan.entry_ids == ("blue",)
    assert plan.negative_prompt == ("blue" if Capability.NEGATIVE_PROMPT in can else "")
    assert (plan.steering is not None) is (Capability.STEERING in can)
    assert plan.is_blank is (wanted == "blank")


def test_after_leaks_the_ladder_is_gone_down_to_the_blank_picture_and_stays_there() -> None:
    one, plan, seen = concept("blue"), planner().plan(NAMED, [concept("blue")], IN_PROCESS), list[str]()
    for _ in range(4):
        assert plan is not None
        seen.append(plan.treatment)
        plan = planner().stricter(plan, NAMED, [one], [PictureLeak(entry=one.entry, index=0, score=0.9)], IN_PROCESS)
    assert seen == ["prototype+negative_prompt", "prototype+sld", "rewrite+negative_prompt", "blank"]
    assert plan is not None
    assert plan.is_blank


@pytest.mark.parametrize(
    ("before", "fresh", "wanted"),
    [
        ("prototype+sld", "auto", "rewrite+negative_prompt"),
        ("rewrite+negative_prompt", "auto", "blank"),
        ("prototype+sld", "negative_prompt", "rewrite+negative_prompt"),
        ("prototype+negative_prompt", "blank", "blank"),
        ("prototype", "prototype+sld", "prototype+sld"),
        ("prototype", "refusal", "blank"),
    ],
)
def test_an_entry_that_shows_under_a_plan_never_brings_a_milder_one(before: str, fresh: str, wanted: str) -> None:
    both = PictureRequest(prompt="a blue star")
    leaked = registered("star", treatment=fresh)
    under = PicturePlan(treatment=before, entry_ids=("blue",))
    leaks = [PictureLeak(entry=leaked, index=0, score=0.9)]
    assert planner().stricter(under, both, [concept("blue")], leaks, IN_PROCESS).treatment == wanted


def test_every_rung_is_known_and_every_ladder_ends() -> None:
    assert set(PICTURE_STRICTNESS) == set(PICTURE_TREATMENTS)
    for name in (*PICTURE_LADDER, *PICTURE_TREATMENTS):
        rung: str | None = name
        for _ in range(8):
            if rung is None:
                break
            assert set(parts_of(rung)) <= set(PICTURE_TREATMENTS)
            rung = next_picture_rung(rung)
        assert rung is None


def test_an_entry_that_showed_without_having_been_met_is_treated_as_if_it_had() -> None:
    leaked = registered("star", treatment="refusal")
    plan = planner().stricter(None, NAMED, [], [PictureLeak(entry=leaked, index=0, score=0.9)], IN_PROCESS)
    assert plan.refusal is RefusalStyle.MESSAGE
    assert plan.entry_ids == ("star",)


def test_a_hazard_is_refused_as_the_policy_says_and_treated_where_it_says_nothing() -> None:
    hazard = [concept("nerve agents", "hazard")]
    request = PictureRequest(prompt="a picture of nerve agents")
    refused = planner(refusal_style="error").plan(request, hazard, IN_PROCESS)
    assert refused is not None
    assert refused.refusal is RefusalStyle.ERROR
    treated = planner(treatments_by_kind={}).plan(request, hazard, IN_PROCESS)
    assert treated is not None
    assert treated.treatment == "prototype+sld"


def test_an_entrys_own_treatment_and_parameters_are_used_and_those_for_language_say_nothing() -> None:
    own = concept("blue", treatment={"method": "safree", "positions": "all", "on_leak": "stop"})
    plan = planner().plan(NAMED, [own], IN_PROCESS)
    assert plan is not None
    assert isinstance(plan.steering, SafreeSteering)
    assert plan.steering.how.positions == "all"
    for_language = planner().plan(NAMED, [concept("blue", treatment="stand_in+restrict")], IN_PROCESS)
    assert for_language is not None
    assert for_language.treatment == "prototype+negative_prompt"
    assert "positions" in picture_parameters_of("safree")
    assert not picture_parameters_of("auto")


def test_the_strictest_of_several_entries_treatments_is_used_for_all() -> None:
    both = [concept("blue", treatment="negative_prompt"), concept("circle", treatment="blank")]
    plan = planner().plan(NAMED, both, IN_PROCESS)
    assert plan is not None
    assert plan.is_blank
    assert plan.entry_ids == ("blue", "circle")


def test_a_substitute_is_drawn_in_the_place_of_the_name() -> None:
    plan = planner().plan(NAMED, [concept("blue", treatment="substitute", substitute="orange")], SERVER)
    assert plan is not None
    assert plan.prompt == "an orange circle"


def test_a_prompt_that_is_nothing_but_the_name_of_a_style_gives_a_blank_picture_on_a_server() -> None:
    plan = planner().plan(PictureRequest(prompt="strypov"), [concept("strypov", "style")], SERVER)
    assert plan is not None
    assert plan.is_blank


def test_concepts_are_entries_for_pictures_with_where_the_prompt_names_them() -> None:
    def met(entry: Any, kind: EvidenceKind, start: int, end: int) -> Detection:
        evidence = Evidence(detector="lexical", kind=kind, score=1.0, passage=0, start=start, end=end)
        return Detection(entry=entry, score=1.0, evidence=(evidence,))

    blue, text_only = registered("blue", aliases=["azure"], neighbors=["red"]), registered("star", modalities=["text"])
    found = concepts_of(
        [
            met(blue, EvidenceKind.ALIAS, 2, 7),
            met(text_only, EvidenceKind.NAME, 8, 12),
            met(registered("sea"), EvidenceKind.MEANING, 0, 20),
        ]
    )
    assert [(one.entry.id, one.phrases, one.met) for one in found] == [
        ("blue", ("blue", "azure"), ((2, 7),)),
        ("sea", ("sea",), ()),
    ]
