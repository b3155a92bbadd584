"""The plug-in tells its batch of every step of runner V2. vLLM is not installed here: its interfaces are stand-ins."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from guardrail.decoding import batches
from guardrail.decoding.request import RestrictionRequest
from tests.fakes import small_tokenizers

INTERFACES = ("vllm.v1.sample.logits_processor.interface", "vllm.v1.worker.gpu.sample.logits_processor.interface")


@pytest.fixture
def processor(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The plug-in of a model with a small tokenizer, made as runner V2 makes it."""
    monkeypatch.delenv("EXPUNGE_ASSISTANT", raising=False)
    registry: Any = ModuleType("vllm.tokenizers.registry")
    registry.cached_tokenizer_from_config = lambda _: small_tokenizers.byte_level()
    monkeypatch.setitem(sys.modules, registry.__name__, registry)
    for number, name in enumerate(INTERFACES):
        interface: Any = ModuleType(name)
        interface.LogitsProcessor = type(f"LogitsProcessor{number}", (), {})
        monkeypatch.setitem(sys.modules, name, interface)
    plugin = runpy.run_path(str(Path(batches.__file__).with_name("vllm_processor.py")))["ExpungeRestriction"]
    model = SimpleNamespace(try_get_generation_config=dict)
    return plugin(SimpleNamespace(model_config=model), SimpleNamespace(device="cpu"))


def test_an_answer_is_let_go_of_when_it_is_in_no_step_any_more(processor: Any) -> None:
    begun = SimpleNamespace(extra_args=RestrictionRequest(phrases=("New York",)).to_xargs())
    assert processor.add_request(0, begun)
    for _ in range(batches.KEPT_STEPS + 1):
        assert processor._slots._slots[0].sequence is not None
        processor.apply_staged_writes()
    assert processor._slots._slots[0].sequence is None
