"""What travels to vLLM with a request."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from guardrail.decoding.phrase_bans import DEFAULT_STRENGTH
from guardrail.decoding.request import RestrictionRequest, offset_xargs, read_offset, read_xargs

MINE = RestrictionRequest(phrases=("Jürgen Šmid", 'the "Fox"'), strength=2.5)


def test_a_request_comes_back_as_it_went() -> None:
    assert read_xargs(json.loads(json.dumps(MINE.to_xargs()))) == MINE


@pytest.mark.parametrize("arguments", [None, {}, {"other": 1}, {"expunge_phrases": "[]"}])
def test_nothing_to_forbid_is_no_restriction(arguments: dict[str, object] | None) -> None:
    assert read_xargs(arguments) is None


def test_strength_has_a_default() -> None:
    found = read_xargs({"expunge_phrases": '["One"]'})
    assert found is not None
    assert found.strength == DEFAULT_STRENGTH


@pytest.mark.parametrize(
    "value", ["Secret Name", '"Secret Name"', '{"Secret Name": 1}', '["Secret Name", 1]', ["Secret Name"], 1, None]
)
def test_malformed_phrases_are_refused_without_repeating_them(value: object) -> None:
    with pytest.raises(ValueError, match="JSON list") as caught:
        read_xargs({"expunge_phrases": value})
    assert "Secret" not in str(caught.value)
    assert caught.value.__context__ is None or "Secret" not in str(caught.value.__context__)


@pytest.mark.parametrize("strength", [-1, "5", None, True, float("nan"), float("inf")])
def test_malformed_strengths_are_refused(strength: object) -> None:
    with pytest.raises(ValueError, match="not negative"):
        read_xargs({"expunge_phrases": '["Secret"]', "expunge_strength": strength})


def test_a_strength_without_phrases_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="without"):
        read_xargs({"expunge_strength": 1.0})


def test_an_offset_comes_back_as_it_went_beside_phrases_or_alone() -> None:
    both = {**MINE.to_xargs(), **offset_xargs(0.75)}
    assert read_offset(json.loads(json.dumps(both))) == 0.75
    assert read_xargs(both) == MINE
    assert read_xargs(offset_xargs(0.75)) is None


@pytest.mark.parametrize("arguments", [None, {}, {"other": 1}, MINE.to_xargs(), {"expunge_offset": 0}])
def test_nothing_to_take_off_is_no_offset_and_needs_no_assistant(arguments: dict[str, object] | None) -> None:
    assert read_offset(arguments, has_assistant=False) == 0


@pytest.mark.parametrize("beta", [-0.1, "0.75", None, True, [0.75], float("nan"), float("inf")])
@pytest.mark.parametrize("has_assistant", [True, False])
def test_malformed_offsets_are_refused(beta: object, has_assistant: bool) -> None:
    with pytest.raises(ValueError, match="expunge_offset must be a number that is not negative"):
        read_offset({"expunge_offset": beta}, has_assistant=has_assistant)


def test_an_offset_without_an_assistant_is_refused() -> None:
    with pytest.raises(ValueError, match="expunge_offset needs an assistant"):
        read_offset({"expunge_offset": 1}, has_assistant=False)


def test_what_vllm_loads_brings_nothing_else_of_guardrail_and_no_library() -> None:
    modules = "assistant, batches, changes, local, phrase_bans, request, sequences, tokenizer_pieces, vocabulary"
    code = f"import sys; from guardrail.decoding import {modules}; print('\\n'.join(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = ran.stdout.split()
    assert not {"torch", "transformers", "pydantic", "httpx", "numpy"}.intersection(loaded)
    mine = {name for name in loaded if name.split(".")[0] in ("guardrail", "retrieval", "finetune")}
    assert all(
        name in ("guardrail", "retrieval", "retrieval.text")
        or name.startswith(("guardrail.decoding", "retrieval.text."))
        for name in mine
    )
