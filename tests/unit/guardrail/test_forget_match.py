"""`expunge forget match` for people: who was met, what each entry asks for, and the ladder from there."""

from __future__ import annotations

from typing import Any

import pytest

from guardrail.commands.forget_match import show_match

EVIDENCE = [{"detector": "lexical", "kind": "name"}, {"detector": "lexical", "kind": "name"}]


def entry(name: str) -> dict[str, Any]:
    return {"id": name, "state": "suppressed", "score": 1.0, "evidence": EVIDENCE}


def decided(**fields: Any) -> dict[str, Any]:
    own = [{"id": "ada", "treatment": "eco", "from": "entry"}]
    return {"action": "treat", "treatment": "eco", "reason": "matched", "entry_treatments": own, **fields}


def plan(**fields: Any) -> dict[str, Any]:
    passed = {"treatment": "eco", "why": "backend", "needs_any_of": ["prompt_embeds"]}
    return {
        "backend": "local",
        "treatment": "stand_in",
        "asks_backend": True,
        "on_leak": "rewrite",
        "passed_over": [passed],
        "left_out": [],
        "after_leak": ["ignorance"],
        **fields,
    }


def shown(capsys: pytest.CaptureFixture[str], **told: Any) -> list[str]:
    show_match({"matches": [entry("ada")], "decision": decided(), "plan": plan(), **told})
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_every_rung_is_told_with_what_becomes_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys)
    assert "ada suppressed 1.00 name (lexical) eco (by entry)" in lines
    assert "Treated: eco is decided (matched)." in lines
    start = lines.index("On backend local:")
    assert lines[start + 2 : start + 5] == [
        "eco passed over: the backend would have to do prompt_embeds",
        "stand_in used",
        "ignorance after a leak",
    ]
    assert lines[-1].startswith("Where the last one leaks as well, the natural answer stands in")


def test_what_the_request_gives_nothing_to_work_on_is_told_so(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, plan=plan(passed_over=[{"treatment": "eco", "why": "request", "needs_any_of": []}]))
    assert "eco passed over: the request or the entry gives it nothing to work on" in lines


def test_a_part_of_a_list_that_is_left_out_is_told_beside_what_is_used(capsys: pytest.CaptureFixture[str]) -> None:
    missing = {"treatment": "restrict", "why": "backend", "needs_any_of": ["restrict", "bad_words"]}
    lines = shown(capsys, plan=plan(left_out=[missing]))
    assert "stand_in used; without restrict: the backend would have to do restrict or bad_words" in lines


def test_where_entries_differ_the_strictest_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    own = [{"id": one, "treatment": method, "from": "kind"} for one, method in (("ada", "eco"), ("bea", "refusal"))]
    lines = shown(
        capsys,
        matches=[entry("ada"), entry("bea")],
        decision=decided(treatment="refusal", action="refuse", entry_treatments=own),
        plan=plan(treatment="refusal", asks_backend=False, passed_over=[], after_leak=[]),
    )
    assert "Several entries: the strictest of their treatments, refusal, is used for all." in lines
    assert lines[-1] == "refusal used; the backend is not asked"


def test_a_request_that_touches_nothing_goes_out_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = plan(treatment=None, passed_over=[], after_leak=[], on_leak=None)
    lines = shown(capsys, matches=[], decision={"action": "pass", "treatment": None, "reason": ""}, plan=nothing)
    assert lines[:2] == ["No entry is touched.", "Nothing is treated."]
    assert lines[2].startswith("On backend local the request goes out as it is")


def test_an_entry_in_shadow_or_handed_in_asks_for_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(
        capsys,
        matches=[entry("ada"), entry("bea")],
        decision={"action": "pass", "treatment": None, "shadow": ["ada"], "supplied": ["bea"]},
        plan=plan(treatment=None, on_leak=None),
    )
    assert "ada suppressed 1.00 name (lexical) only recorded" in lines
    assert "bea suppressed 1.00 name (lexical) handed in: may be told, not added to" in lines


def test_without_a_plan_it_is_said_why(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(capsys, plan=None, plan_error="The model 'x' is not served.")
    assert lines[-1] == "What a backend would be asked is not known: The model 'x' is not served."


def test_the_answer_of_an_older_proxy_is_told_as_far_as_it_goes(capsys: pytest.CaptureFixture[str]) -> None:
    show_match({"matches": [], "decision": {"action": "pass"}})
    assert "this proxy does not tell" in capsys.readouterr().out
