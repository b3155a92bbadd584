"""The policy: detections and rules -> decision."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal

import pytest

from guardrail.decision import Action, Detection, Evidence, EvidenceKind
from guardrail.policy import decide, on_failure, treatment_of, would_change
from guardrail.settings import PolicySettings
from retrieval.entry import RegisteredEntry, parse_entry

POLICY = PolicySettings()


def entry(entry_id: str = "e1", **fields: Any) -> RegisteredEntry:
    now = datetime.now(UTC)
    body = {"id": entry_id, "name": "Zorblax Quint", **fields}
    return RegisteredEntry(id=entry_id, revision=1, entry=parse_entry(body), created_at=now, updated_at=now)


def detection(record: RegisteredEntry, *, supplied: bool = False, asked: bool = True) -> Detection:
    flags = [flag for flag, wanted in ((False, asked), (True, supplied)) if wanted]
    evidence = tuple(
        Evidence(detector="lexical", kind=EvidenceKind.NAME, score=1.0, passage=0, start=0, end=5, supplied=flag)
        for flag in flags
    )
    return Detection(entry=record, score=1.0, evidence=evidence)


def suspect(record: RegisteredEntry, *, supplied: bool = False) -> Detection:
    near = Evidence(
        detector="semantic",
        kind=EvidenceKind.MEANING,
        score=0.4,
        passage=0,
        start=0,
        end=5,
        supplied=supplied,
        is_match=False,
    )
    return Detection(entry=record, score=0.4, evidence=(near,))


def test_a_suspect_passes_and_is_remembered_for_the_answer() -> None:
    decision = decide([suspect(entry())], POLICY)
    assert (decision.action, decision.detections) == (Action.PASS, ())
    assert [one.entry.id for one in decision.suspects] == ["e1"]
    beside = decide([detection(entry("a")), suspect(entry("b"))], POLICY)
    assert (beside.entry_ids, [one.entry.id for one in beside.suspects]) == (("a",), ["b"])


def test_shadow_entries_and_what_the_caller_hands_in_are_no_suspects() -> None:
    assert decide([suspect(entry(shadow=True))], POLICY).suspects == ()
    assert decide([suspect(entry(), supplied=True)], POLICY).suspects == ()


def test_nothing_found_passes() -> None:
    assert decide([], POLICY).action is Action.PASS


def test_an_asked_entry_is_treated_with_the_default() -> None:
    decision = decide([detection(entry())], POLICY)
    assert (decision.action, decision.treatment) == (Action.TREAT, "ignorance")


def test_a_hazard_is_refused_by_its_kind() -> None:
    assert decide([detection(entry(kind="hazard"))], POLICY).action is Action.REFUSE


def test_an_entry_with_a_substitute_is_answered_from_it() -> None:
    assert treatment_of(entry(substitute="See the price list.").entry, POLICY) == "substitute"


def test_substitute_without_words_falls_back_to_the_default() -> None:
    assert treatment_of(entry(treatment="substitute").entry, POLICY) == "ignorance"


def test_the_strictest_treatment_wins_and_covers_all_entries() -> None:
    decision = decide([detection(entry("b", treatment="redact")), detection(entry("a", treatment="refusal"))], POLICY)
    assert decision.action is Action.REFUSE
    assert decision.entry_ids == ("a", "b")


def test_a_shadow_entry_is_recorded_and_not_acted_on() -> None:
    decision = decide([detection(entry(shadow=True))], POLICY)
    assert decision.action is Action.PASS
    assert [one.entry.id for one in decision.shadow] == ["e1"]


@pytest.mark.parametrize(
    ("wish", "asked", "changes"),
    [("allow", True, True), ("allow", False, False), ("redact", False, True), ("refuse", False, True)],
)
def test_a_match_in_shadow_would_change_something_unless_it_is_only_handed_in_and_allowed(
    wish: str, asked: bool, changes: bool
) -> None:
    found = detection(entry(shadow=True, supplied_context=wish), supplied=not asked, asked=asked)
    assert would_change(found) is changes


def test_a_failed_detector_refuses_nothing_where_nothing_is_acted_on() -> None:
    shadow = PolicySettings(detector_failure="fail_closed", shadow=True)
    assert on_failure(shadow, detector="semantic").action is Action.PASS


@pytest.mark.parametrize(
    ("wish", "action", "treatment"),
    [("allow", Action.PASS, None), ("redact", Action.TREAT, "redact"), ("refuse", Action.REFUSE, "refusal")],
)
def test_content_that_is_only_handed_in_follows_the_entrys_wish(
    wish: str, action: Action, treatment: str | None
) -> None:
    decision = decide([detection(entry(supplied_context=wish), supplied=True, asked=False)], POLICY)
    assert (decision.action, decision.treatment) == (action, treatment)


def test_an_entry_asked_for_beside_handed_in_content_is_treated_and_known_as_supplied() -> None:
    decision = decide([detection(entry(), supplied=True)], POLICY)
    assert decision.action is Action.TREAT
    assert [one.entry.id for one in decision.supplied] == ["e1"]


@pytest.mark.parametrize(("mode", "action"), [("fail_closed", Action.FAIL_CLOSED), ("fail_open", Action.PASS)])
def test_a_failing_detector_closes_or_opens_as_configured(
    mode: Literal["fail_closed", "fail_open"], action: Action
) -> None:
    assert on_failure(PolicySettings(detector_failure=mode), detector="semantic").action is action
