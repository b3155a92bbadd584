"""What travels to vLLM with a request."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from guardrail.decoding.phrase_bans import DEFAULT_STRENGTH
from guardrail.decoding.request import RestrictionRequest, read_xargs

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


def test_what_vllm_loads_brings_nothing_else_of_guardrail_and_no_library() -> None:
    modules = "batches, local, phrase_bans, request, sequences, tokenizer_pieces, vocabulary"
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
