"""The offset: its formula against NumPy, and an assistant that reads on where it stopped."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import MistralConfig, MistralForCausalLM

from guardrail.decoding import assistant as assistant_module
from guardrail.decoding.assistant import Assistant, AssistantError, AssistantSequence, load_assistant, offset
from tests.fakes import small_tokenizers
from tests.fakes.assistants import saved_assistant
from tests.fakes.tiny_llama import tiny_llama

PROMPT = [3, 1, 4, 1, 5]
ANSWER = [9, 2, 6, 5, 3, 5]

pytestmark = pytest.mark.usefixtures("one_thread")


def by_numpy(scores: Any, assistant: Any, beta: float, alpha: float) -> Any:
    """The formula of the module, written down once more."""
    probabilities = np.exp(scores - np.max(scores)) / np.exp(scores - np.max(scores)).sum()
    log_assistant = assistant - np.log(np.exp(assistant).sum())
    likeliest = sorted(range(len(scores)), key=lambda token: -scores[token])[: max(int(alpha * len(scores)), 1)]
    out = scores - 1000.0
    for token, probability in enumerate(probabilities):
        if token in likeliest or probability >= alpha * probabilities.max():
            out[token] = scores[token] - beta * log_assistant[token]
    return out


@pytest.mark.parametrize("beta", [0.0, 0.5, 0.75, 2.0])
@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5])
def test_the_offset_is_what_numpy_finds(beta: float, alpha: float) -> None:
    random = np.random.default_rng(7)
    scores, expected = random.normal(0, 3, 40), random.normal(0, 3, 40)
    scores_V = torch.tensor(scores, dtype=torch.float64)
    offset(scores_V, torch.tensor(expected, dtype=torch.float64), beta, alpha=alpha)
    np.testing.assert_allclose(scores_V.numpy(), by_numpy(scores, expected, beta, alpha), rtol=1e-5, atol=1e-5)


def test_three_tokens_by_hand() -> None:
    scores_V = torch.tensor([2.0, 1.5, -3.0])
    offset(scores_V, torch.tensor([math.log(8.0), 0.0, 0.0]), 0.5)
    # p_a = .8, .1, .1; the third is e^-5 = .0067 times as likely as the first and so not plausible.
    wanted = [2.0 - 0.5 * math.log(0.8), 1.5 - 0.5 * math.log(0.1), -1003.0]
    assert scores_V.tolist() == pytest.approx(wanted, abs=1e-4)
    assert scores_V.argmax() == 1


def test_a_model_that_is_sure_of_what_the_assistant_expects_says_the_next_likeliest() -> None:
    scores_V, expected_W = torch.linspace(-5.0, 0.0, 300), torch.zeros(300)
    scores_V[7], expected_W[7] = 12.0, 30.0
    offset(scores_V, expected_W, 0.75)
    assert scores_V.topk(3).indices.tolist() == [299, 298, 7]
    assert scores_V[297] < -900  # three of 300 are plausible


def test_an_assistant_that_expects_all_tokens_alike_changes_no_choice_among_the_plausible() -> None:
    scores_V = torch.tensor([1.0, 0.5, -1.0, -9.0])
    changed_V = scores_V.clone()
    offset(changed_V, torch.full((4,), 3.0), 0.75)
    assert torch.allclose(changed_V[:3].softmax(-1), scores_V[:3].softmax(-1))
    assert changed_V.softmax(-1)[3] == 0


def test_implausible_tokens_keep_their_order_below_all_others() -> None:
    scores_V = torch.tensor([5.0, -1.0, -2.0, -4.0])
    offset(scores_V, torch.tensor([90.0, 0.0, 0.0, 0.0]), 5.0)
    assert scores_V.argsort(descending=True).tolist() == [0, 1, 2, 3]
    scores_V[0] = -math.inf  # forbidden besides
    assert scores_V.argmax() == 1


def test_what_a_mask_took_out_stays_out_and_nothing_becomes_infinite() -> None:
    scores_V = torch.tensor([1.0, -math.inf, 0.9])
    offset(scores_V, torch.tensor([0.0, 0.0, -math.inf]), 0.75)
    assert scores_V[1] == -math.inf
    assert torch.isfinite(scores_V[[0, 2]]).all()


@pytest.mark.parametrize("width", [3, 7])
def test_vocabularies_may_be_padded_to_other_widths(width: int) -> None:
    scores_V, expected_W = torch.tensor([2.0, 1.9, 1.8, 1.7, 1.6]), torch.zeros(width)
    expected_W[0] = 10.0
    offset(scores_V, expected_W, 1.0)
    assert scores_V.shape == (5,)
    share = min(5, width)
    log_rest = -math.log(math.exp(10.0) + share - 1)
    assert scores_V[0] == pytest.approx(2.0 - (10.0 + log_rest), abs=1e-4)
    assert scores_V[2] == pytest.approx(1.8 - log_rest, abs=1e-4)
    assert scores_V[4] == pytest.approx(1.6 + (math.log(3) if width == 3 else -log_rest), abs=1e-4)


def mistral() -> Any:
    """A tiny model whose cache keeps the last four tokens only."""
    make: Any = MistralForCausalLM
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        sizes: dict[str, Any] = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
        return make(MistralConfig(num_attention_heads=4, num_key_value_heads=2, sliding_window=4, **sizes)).eval()


def reader(model: Any, prompt: list[int], *, context: int = 64) -> AssistantSequence:
    return AssistantSequence(Assistant(model, context_tokens=context), lambda: prompt)


def whole(model: Any, ids: list[int]) -> torch.Tensor:
    """The scores behind these tokens, read at once and without a cache."""
    with torch.no_grad():
        logits_V: torch.Tensor = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    return logits_V


def same(one_V: torch.Tensor | None, other_V: torch.Tensor) -> bool:
    return one_V is not None and torch.allclose(one_V, other_V, atol=1e-5)


@pytest.mark.parametrize("make", [tiny_llama, mistral])
@pytest.mark.parametrize("together", [2, 512])
def test_reading_on_gives_what_reading_all_at_once_gives(
    make: Any, together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assistant_module, "_READ_TOGETHER", together)
    model = make()
    expected = reader(model, PROMPT)
    for step in range(len(ANSWER) + 1):
        assert same(expected.logits(ANSWER[:step]), whole(model, PROMPT + ANSWER[:step])), step


def test_only_what_is_new_is_read() -> None:
    model, read = tiny_llama(), list[int]()
    model.get_input_embeddings().register_forward_hook(lambda _, given, __: read.append(given[0].shape[1]))
    expected = reader(model, PROMPT)
    for tokens in ([], [], [9], [9, 2, 6], [9, 2, 6]):
        expected.logits(tokens)
    assert read == [len(PROMPT), 1, 2]


@pytest.mark.parametrize("make", [tiny_llama, mistral])
@pytest.mark.parametrize("kept", [0, 1, 3])
def test_tokens_that_are_taken_back_are_forgotten(make: Any, kept: int) -> None:
    model = make()
    expected = reader(model, PROMPT)
    expected.logits(ANSWER)
    assert same(expected.logits(ANSWER[:kept]), whole(model, PROMPT + ANSWER[:kept]))
    other = [*ANSWER[:kept], 40, 41]
    assert same(expected.logits(other), whole(model, PROMPT + other))


def test_a_token_in_anothers_place_counts() -> None:
    model = tiny_llama()
    expected = reader(model, PROMPT)
    expected.logits([9, 2])
    assert same(expected.logits([9, 7, 8]), whole(model, [*PROMPT, 9, 7, 8]))


def test_of_a_text_longer_than_its_context_the_assistant_sees_the_end() -> None:
    model, prompt = tiny_llama(), list(range(20))
    expected = reader(model, prompt, context=8)
    assert same(expected.logits([]), whole(model, prompt[-6:]))
    assert same(expected.logits([50, 51]), whole(model, [*prompt[-6:], 50, 51]))
    assert same(expected.logits([50, 51, 52]), whole(model, [*prompt[-3:], 50, 51, 52]))


def test_tokens_may_be_taken_back_to_before_what_is_seen() -> None:
    model = tiny_llama()
    expected = reader(model, [1, 2], context=8)
    expected.logits([*range(10, 20)])
    assert same(expected.logits([10]), whole(model, [1, 2, 10]))


def test_without_any_token_there_is_nothing_to_read() -> None:
    model = tiny_llama()
    expected = reader(model, [])
    assert expected.logits([]) is None
    assert same(expected.logits([9]), whole(model, [9]))
    assert expected.logits([]) is None


def test_a_token_that_the_assistant_does_not_have_is_read_as_its_last() -> None:
    model = tiny_llama()
    assert same(reader(model, [3, 64, 900]).logits([-5]), whole(model, [3, 63, 63, 0]))


def test_an_offset_waits_for_tokens_that_are_not_known_yet() -> None:
    model = tiny_llama()
    answer = Assistant(model, context_tokens=64).sequence(lambda: PROMPT, 0.75)
    answer.follow([9, -1, 6])
    assert answer.seen_tokens == 1
    scores_V, wanted_V = torch.zeros(64), torch.zeros(64)
    answer.adjust(scores_V)
    offset(wanted_V, whole(model, [*PROMPT, 9]), 0.75)
    assert torch.allclose(scores_V, wanted_V, atol=1e-5)
    answer.follow([9, 2, 6])
    assert answer.seen_tokens == 3
    answer.follow([])
    assert answer.seen_tokens == 0


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return small_tokenizers.byte_level()


def loaded(folder: Path, tokenizer: Any) -> Assistant:
    return load_assistant(
        str(folder), setting="THE_SETTING", tokenizer=tokenizer, device=torch.device("cpu"), dtype=torch.float32
    )


def test_a_folder_is_loaded_and_its_weights_stay_as_they_are(tmp_path: Path, tokenizer: Any) -> None:
    model = tiny_llama(vocab_size=len(tokenizer), max_position_embeddings=77).to(torch.bfloat16)
    found = loaded(saved_assistant(tmp_path, model, tokenizer), tokenizer)
    assert found.context_tokens == 77
    assert found.model.dtype == torch.float32
    assert not found.model.training
    assert not any(parameter.requires_grad for parameter in found.model.parameters())


def test_an_assistant_that_reads_other_tokens_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    other = small_tokenizers.sentence_piece()
    saved_assistant(tmp_path, tiny_llama(vocab_size=len(other)), other)
    with pytest.raises(AssistantError, match=r"THE_SETTING: .*another tokenizer"):
        loaded(tmp_path, tokenizer)


def test_a_folder_without_a_model_is_refused(tmp_path: Path, tokenizer: Any) -> None:
    with pytest.raises(AssistantError, match=r"THE_SETTING: .*no folder with a model"):
        loaded(tmp_path / "missing", tokenizer)
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(AssistantError, match=r"THE_SETTING: .*holds an adapter"):
        loaded(tmp_path, tokenizer)


@pytest.mark.parametrize("damage", ["shortened", "emptied", "another size", "index without weights", "tokenizer"])
def test_a_damaged_folder_is_refused_with_its_name_and_a_mend(tmp_path: Path, tokenizer: Any, damage: str) -> None:
    folder = saved_assistant(tmp_path, tiny_llama(vocab_size=len(tokenizer)), tokenizer)
    weights = folder / "model.safetensors"
    if damage == "shortened":
        weights.write_bytes(weights.read_bytes()[:-100])
    elif damage == "emptied":
        weights.write_bytes(b"")
    elif damage == "another size":
        tiny_llama(vocab_size=len(tokenizer) + 3).save_pretrained(folder / "other")
        weights.write_bytes((folder / "other" / weights.name).read_bytes())
    elif damage == "index without weights":
        weights.unlink()
        (folder / "model.safetensors.index.json").write_text("{}")
    else:
        whole = (folder / "tokenizer.json").read_text()
        (folder / "tokenizer.json").write_text(whole[: len(whole) // 2])
    with pytest.raises(AssistantError, match=r"THE_SETTING: .*cannot be loaded: .*copy the folder again") as caught:
        loaded(folder, tokenizer)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_broken_folder_is_refused_in_one_line(tmp_path: Path, tokenizer: Any) -> None:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": len(tokenizer)}))
    with pytest.raises(AssistantError, match=r"THE_SETTING: .*cannot be loaded") as caught:
        loaded(tmp_path, tokenizer)
    assert "\n" not in str(caught.value)
