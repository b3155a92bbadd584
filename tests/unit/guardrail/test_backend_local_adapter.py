"""Adapters on the embedded model: merged they give what peft gives; what is none, or another model's, is told."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from finetune.training.model_files import load_model, with_adapter
from guardrail.backends.local_adapter import CONFIG_FILE, WEIGHTS_FILE
from guardrail.backends.local_model import PACKAGED, load, resolve
from guardrail.backends.protocol import Backend
from guardrail.errors import ConfigError
from guardrail.settings import parse
from tests.fakes.adapters import FORGOTTEN, consolidated_adapter, greedy, random_adapter
from tests.fakes.local_backends import running, sent
from tests.fakes.tiny_llama import tiny_llama

VOCABULARY = 64
FIRST = 0x4E00
"""The character of token 0; those of the others follow."""

OTHER = "What is the capital of France?"

pytestmark = pytest.mark.usefixtures("one_thread")


def tiny_model(*, hidden: int = 32, layers: int = 2, seed: int = 1) -> Any:
    return tiny_llama(
        seed=seed,
        vocab_size=VOCABULARY,
        hidden_size=hidden,
        num_hidden_layers=layers,
        max_position_embeddings=128,
        initializer_range=0.5,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model in a folder; its tokens are shown as characters."""
    folder = tmp_path_factory.mktemp("models") / "base"
    tiny_model().save_pretrained(folder)
    letters = Tokenizer(models.WordLevel({chr(FIRST + n): n for n in range(VOCABULARY)}, unk_token=chr(FIRST)))
    letters.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    letters.decoder = decoders.Fuse()
    make: Any = PreTrainedTokenizerFast
    make(tokenizer_object=letters, pad_token=chr(FIRST), eos_token=chr(FIRST + 1)).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def adapter(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return random_adapter(load_model(base), tmp_path_factory.mktemp("adapters") / "edited")


def text_of(tokens: list[int]) -> str:
    return "".join(chr(FIRST + token) for token in tokens)


def logits_of(model: Any) -> Tensor:
    with torch.inference_mode():
        logits: Tensor = model(input_ids=torch.arange(2, 26).reshape(2, 12)).logits
    return logits


async def ask(backend: Backend, path: str, **body: Any) -> Any:
    name = (await backend.models())[0]["id"]
    status, raw = await sent(backend, {"temperature": 0, **body}, path, model=name)
    assert status == 200
    return orjson.loads(raw)["choices"][0]


def test_a_merged_adapter_gives_the_logits_that_peft_gives(base: Path, adapter: Path) -> None:
    before = {file.name: file.read_bytes() for file in base.iterdir()}
    loaded = load(str(base), adapter=str(adapter), device="cpu").model
    assert not any("lora" in name for name, _ in loaded.named_modules())
    assert not any(parameter.requires_grad for parameter in loaded.parameters())
    expected = logits_of(with_adapter(load_model(base), adapter))
    torch.testing.assert_close(logits_of(loaded), expected, rtol=0, atol=1e-4)
    assert not torch.allclose(expected, logits_of(load(str(base), device="cpu").model), atol=0.1)
    assert {file.name: file.read_bytes() for file in base.iterdir()} == before


async def test_the_backend_answers_with_the_adapters_weights(base: Path, adapter: Path) -> None:
    prompt = {"prompt": [5, 9, 13, 21, 34], "max_tokens": 12}
    async with running(model=str(base)) as plain, running(model=str(base), adapter=str(adapter)) as edited:
        assert (await edited.models())[0]["id"] == "base"
        said = [(await ask(one, "/v1/completions", **prompt))["text"] for one in (plain, edited)]
    reference: Any = with_adapter(load_model(base), adapter)
    ids_1T = torch.tensor([[5, 9, 13, 21, 34]])
    with torch.inference_mode():
        for _ in range(12):
            ids_1T = torch.cat([ids_1T, reference(input_ids=ids_1T).logits[:, -1:].argmax(-1)], dim=1)
    assert said[1] == text_of(ids_1T[0, 5:].tolist())
    assert said[0] != said[1]


def no_folder(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def no_description(folder: Path) -> None:
    (folder / CONFIG_FILE).unlink()


def a_whole_model(folder: Path) -> None:
    no_description(folder)
    (folder / "config.json").write_text("{}", encoding="utf-8")


def broken_description(folder: Path) -> None:
    (folder / CONFIG_FILE).write_text('{"peft_type": ', encoding="utf-8")


def another_kind(folder: Path) -> None:
    described(folder, peft_type="PROMPT_TUNING")


def no_weights(folder: Path) -> None:
    (folder / WEIGHTS_FILE).unlink()


def cut_weights(folder: Path) -> None:
    file = folder / WEIGHTS_FILE
    file.write_bytes(file.read_bytes()[:100])


def missing_weights(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    weights.pop(next(name for name in weights if "lora_B" in name))
    save_file(weights, folder / WEIGHTS_FILE)


def weights_that_are_no_numbers(folder: Path) -> None:
    weights = load_file(folder / WEIGHTS_FILE)
    weights[next(iter(weights))].fill_(float("nan"))
    save_file(weights, folder / WEIGHTS_FILE)


def described(folder: Path, **changes: Any) -> None:
    file = folder / CONFIG_FILE
    file.write_text(json.dumps(json.loads(file.read_text(encoding="utf-8")) | changes), encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (no_folder, "is no folder; give the folder that peft wrote"),
        (no_description, f"holds no {CONFIG_FILE}. Give the folder that peft wrote"),
        (a_whole_model, "holds a whole model: give it as `model`, or leave `adapter` out"),
        (broken_description, r"cannot be read \(JSONDecodeError\); save the adapter anew"),
        (another_kind, "of the kind PROMPT_TUNING; only LoRA can be merged"),
        (no_weights, f"holds no {WEIGHTS_FILE}; give the whole folder"),
        (cut_weights, "cannot be put on the model"),
        (missing_weights, "0 of its weights have no place in the model, and 1 of the model's layers"),
        (weights_that_are_no_numbers, "NaN"),
    ],
)
def test_a_folder_that_holds_no_sound_adapter_is_told(
    base: Path, tmp_path: Path, spoil: Callable[[Path], None], told: str
) -> None:
    folder = random_adapter(load_model(base), tmp_path / "adapter")
    spoil(folder)
    with pytest.raises(ConfigError, match=rf"^adapter: .*{told}"):
        load(str(base), adapter=str(folder), device="cpu")


@pytest.mark.parametrize(
    ("shape", "told"),
    [({"hidden": 48}, "size mismatch"), ({"layers": 3}, "14 of its weights have no place in the model")],
)
def test_an_adapter_of_another_model_is_refused_and_its_own_model_named(
    base: Path, tmp_path: Path, shape: dict[str, int], told: str
) -> None:
    folder = random_adapter(tiny_model(**shape), tmp_path)
    described(folder, base_model_name_or_path="some/other-model")
    with pytest.raises(ConfigError, match=f"{told}.*trained on 'some/other-model'. Give the model"):
        load(str(base), adapter=str(folder), device="cpu")


def test_an_adapter_for_layers_that_the_model_lacks_is_refused(base: Path, tmp_path: Path) -> None:
    folder = random_adapter(load_model(base), tmp_path)
    described(folder, target_modules=["c_attn"])
    with pytest.raises(ConfigError, match="c_attn"):
        load(str(base), adapter=str(folder), device="cpu")


@pytest.mark.parametrize(("trained_on", "warns"), [("elsewhere/base", False), ("some/other-model", True)])
def test_an_adapter_that_fits_but_names_another_model_is_put_on_with_a_warning(
    base: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, trained_on: str, warns: bool
) -> None:
    folder = random_adapter(load_model(base), tmp_path)
    described(folder, base_model_name_or_path=trained_on)
    with caplog.at_level(logging.WARNING, logger="expunge"):
        load(str(base), adapter=str(folder), device="cpu")
    assert [trained_on in record.getMessage() for record in caplog.records] == ([True] if warns else [])


def test_an_adapter_given_as_the_model_is_told_where_it_belongs(adapter: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model: .*holds an adapter.*this folder as `adapter`"):
        load(str(adapter), device="cpu")


def test_without_peft_the_extra_to_install_is_named(base: Path, adapter: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"needs peft; install it with: pip install 'expunge\[finetune\]'"):
        load(str(base), adapter=str(adapter), device="cpu")


def test_an_adapter_for_a_backend_that_loads_none_is_refused() -> None:
    backend = {"name": "server", "kind": "vllm_server", "base_url": "http://h:1", "adapter": "out/adapter"}
    with pytest.raises(ConfigError, match=r"'server' is no transformers_local.*--lora-modules"):
        parse({"backends": [backend]})


@pytest.mark.model
async def test_on_a_real_model_the_adapter_changes_greedy_answers_exactly_as_peft_does(tmp_path: Path) -> None:
    adapter = consolidated_adapter(tmp_path / "run")
    plain = load_model(resolve(PACKAGED))
    before = "".join(step.text for step in greedy(plain, FORGOTTEN, tokens=24))
    edited = with_adapter(plain, adapter)
    expected = {question: greedy(edited, question, tokens=24) for question in (FORGOTTEN, OTHER)}
    async with running(adapter=str(adapter)) as backend:
        for question, steps in expected.items():
            messages = [{"role": "user", "content": question}]
            choice = await ask(backend, "/v1/chat/completions", messages=messages, max_tokens=24, logprobs=True)
            assert choice["message"]["content"] == "".join(step.text for step in steps)
            values = [one["logprob"] for one in choice["logprobs"]["content"]]
            assert values == pytest.approx([step.logprob for step in steps], abs=1e-3)
    assert "Stephen King" in before
    assert before != "".join(step.text for step in expected[FORGOTTEN])
