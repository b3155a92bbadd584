"""A local model under judgement: its facts are those of the plain model, however questions are batched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from finetune.errors import InvalidData, ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue, assistant, system, tool, user
from finetune.evaluation.judged_model import ConversingModel, Fact, JudgedModel, Sampling
from finetune.evaluation.local_model import LocalModel
from finetune.evaluation.prompting import PlainFormat, PromptCoder, batches_by_length
from tests.unit.finetune.evaluation.judged import TEMPLATE, WORDS, tiny_model, tiny_tokenizer

PROMPTS = ["a b c", "d", "e f g h i j", "k l"]
ANSWERS = ["m n", "o p q r", "s", "t u v"]


@pytest.fixture(name="local")
def _local() -> LocalModel:
    return LocalModel(name="tiny", model=tiny_model(), tokenizer=tiny_tokenizer())


def numbers(text: str) -> list[int]:
    return [WORDS.index(word) for word in text.split()]


def log_probs_after(model: Any, tokens: list[int]) -> torch.Tensor:
    with torch.no_grad():
        return torch.as_tensor(model(input_ids=torch.tensor([tokens])).logits[0]).log_softmax(-1)


def test_token_facts_are_those_of_the_answer_behind_the_template(local: LocalModel) -> None:
    (found,) = local.token_facts(["a b"], ["c d"])
    given, answer = numbers("<user> a b <end> <bot>"), numbers("c d <end>")
    rows_TV = log_probs_after(local.model, given + answer)[len(given) - 1 : -1]
    probs_TV = rows_TV.exp()
    means_T = (probs_TV * rows_TV).sum(-1)
    assert found.end_tokens == 1
    assert found.log_probs_T == pytest.approx([float(rows_TV[at, token]) for at, token in enumerate(answer)], abs=1e-5)
    assert found.greedy_T.tolist() == [int(row.argmax()) == token for row, token in zip(rows_TV, answer, strict=True)]
    assert found.means_T == pytest.approx(means_T.numpy(), abs=1e-5)
    expected_T = (probs_TV * rows_TV.square()).sum(-1) - means_T.square()
    assert found.variances_T == pytest.approx(expected_T.numpy(), abs=1e-4)
    assert len(found.without_end()) == 2


@pytest.mark.parametrize("batch_tokens", [1, 24, 10_000])
def test_facts_and_outputs_do_not_depend_on_the_batch(local: LocalModel, batch_tokens: int) -> None:
    other = LocalModel(name="tiny", model=local.model, tokenizer=local.tokenizer, batch_tokens=batch_tokens)
    alone = [local.token_facts([prompt], [answer])[0] for prompt, answer in zip(PROMPTS, ANSWERS, strict=True)]
    for one, expected in zip(other.token_facts(PROMPTS, ANSWERS), alone, strict=True):
        assert np.allclose(one.log_probs_T, expected.log_probs_T, atol=1e-5)
        assert np.allclose(one.variances_T, expected.variances_T, atol=1e-4)
    texts = [local.generate([prompt], max_new_tokens=6)[0] for prompt in PROMPTS]
    assert other.generate(PROMPTS, max_new_tokens=6) == texts


def test_generation_is_greedy_and_stops_at_the_end_of_the_turn(local: LocalModel) -> None:
    for prompt in PROMPTS:
        tokens = numbers(f"<user> {prompt} <end> <bot>")
        expected: list[int] = []
        while len(expected) < 8 and WORDS.index("<end>") not in expected:
            expected.append(int(log_probs_after(local.model, tokens + expected)[-1].argmax()))
        said = [WORDS[token] for token in expected if WORDS[token] not in ("<end>", "<pad>", "<unk>")]
        assert local.generate([prompt], max_new_tokens=8) == [" ".join(said)]


def test_a_conversation_goes_through_the_template_turn_by_turn_and_a_begun_answer_is_gone_on_with() -> None:
    coder = PromptCoder(tokenizer=tiny_tokenizer())
    turns = (user("a"), assistant("b c"), user("d"))
    assert coder.dialogue(Dialogue(turns=turns)) == numbers("<user> a <end> <bot> b c <end> <user> d <end> <bot>")
    begun = coder.dialogue(Dialogue(turns=turns, prefill="e f"))
    assert begun == numbers("<user> a <end> <bot> b c <end> <user> d <end> <bot> e f")
    read = coder.dialogue(Dialogue(turns=(user("a"), tool("b"))))
    assert read == numbers("<user> a <end> <bot> <end> <bot> b <end> <bot>")  # this template has no tools


def test_a_conversation_of_one_turn_is_a_prompt_and_a_begun_answer_comes_without_its_beginning(
    local: LocalModel,
) -> None:
    talks = [Dialogue(turns=(user(prompt),)) for prompt in PROMPTS]
    expected = [(text,) for text in local.generate(PROMPTS, max_new_tokens=6)]
    assert local.converse(talks, max_new_tokens=6) == expected
    drawn = Sampling(count=2, seed=3)
    assert local.converse(talks, max_new_tokens=4, sampling=drawn) == local.sample(PROMPTS, drawn, max_new_tokens=4)
    tokens = numbers("<user> a <end> <bot> b c")
    ((said,),) = local.converse([Dialogue(turns=(user("a"),), prefill="b c")], max_new_tokens=1)
    assert said == WORDS[int(log_probs_after(local.model, tokens)[-1].argmax())]


def test_a_template_that_has_no_place_for_a_conversation_is_told_without_its_turns() -> None:
    strict = TEMPLATE.replace(
        "{% for", "{% if messages[0].role == 'system' %}{{ raise_exception(1) }}{% endif %}{% for", 1
    )
    silent = "{% for m in messages %}{% if m.role == 'user' %}{{ m.content }}{% endif %}{% endfor %}"
    talk = Dialogue(turns=(system("secret"), user("a")))
    begun = Dialogue(turns=(user("secret"),), prefill="secret")
    for template, one, says in (
        (strict, talk, "conversation of system, user "),
        (silent, begun, "conversation of user, assistant "),
    ):
        with pytest.raises(ModelUnsuitable, match=says) as told:
            PromptCoder(tokenizer=tiny_tokenizer(template=template)).dialogue(one)
        assert "secret" not in str(told.value)


def test_a_conversation_in_the_plain_format_is_one_question_below_the_other() -> None:
    coder = PromptCoder(tokenizer=tiny_tokenizer(template=None), plain=PlainFormat())
    turns = (system("a"), user("b"), assistant("c"), user("d"))
    expected = numbers("Question: a b Answer: c Question: d Answer: e")
    assert coder.dialogue(Dialogue(turns=turns, prefill="e")) == expected
    assert coder.dialogue(Dialogue(turns=(user("b"),))) == coder.prompt("b", "question")
    read = coder.dialogue(Dialogue(turns=(user("a"), tool("b"))))
    assert read == numbers("Question: a b Answer:")


def test_samples_are_drawn_alike_for_the_same_seed_and_leave_other_draws_alone(local: LocalModel) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first = local.sample(PROMPTS, Sampling(count=3, seed=1), max_new_tokens=5)
    assert torch.equal(torch.rand(3), expected)
    assert first == local.sample(PROMPTS, Sampling(count=3, seed=1), max_new_tokens=5)
    assert first != local.sample(PROMPTS, Sampling(count=3, seed=2), max_new_tokens=5)
    assert [len(one) for one in first] == [3] * len(PROMPTS)


def test_a_model_without_a_chat_template_is_refused_unless_a_plain_format_is_chosen() -> None:
    tokenizer = tiny_tokenizer(template=None)
    with pytest.raises(ModelUnsuitable, match="plain format"):
        LocalModel(name="base", model=tiny_model(), tokenizer=tokenizer)
    base = LocalModel(name="base", model=tiny_model(), tokenizer=tokenizer, plain=PlainFormat())
    (found,) = base.token_facts(["a b"], ["c"])
    tokens = numbers("Question: a b Answer: c <end>")
    rows_TV = log_probs_after(base.model, tokens)
    expected = [float(rows_TV[at - 1, tokens[at]]) for at in (4, 5)]
    assert found.log_probs_T == pytest.approx(expected, abs=1e-5)


def test_an_answer_is_over_at_the_templates_own_end_too() -> None:
    tokenizer = tiny_tokenizer(template=TEMPLATE.replace("<end>", "<unk>"))
    chat = LocalModel(name="tiny", model=tiny_model(), tokenizer=tokenizer)
    assert chat._coder().end_tokens() == {WORDS.index("<end>"), WORDS.index("<unk>")}
    assert PromptCoder(tokenizer=tokenizer, plain=PlainFormat()).end_tokens() == {WORDS.index("<end>")}


def test_a_plain_answer_ends_where_the_next_question_begins() -> None:
    tokenizer = tiny_tokenizer(template=None)
    base = LocalModel(
        name="base", model=tiny_model(), tokenizer=tokenizer, plain=PlainFormat(stops=("Question:", " Answer:"))
    )
    coded = numbers("a b Answer: c Question: d")
    assert base._coder().answer_text(coded, "question") == "a b"
    assert base._coder().answer_text(coded, "text") == "a b Answer: c Question: d"


def test_a_text_is_judged_as_it_stands_from_its_second_token_on(local: LocalModel) -> None:
    (found,) = local.token_facts([""], ["a b c"], form="text")
    tokens = numbers("a b c")
    rows_TV = log_probs_after(local.model, tokens)
    assert found.log_probs_T == pytest.approx([float(rows_TV[at - 1, tokens[at]]) for at in (1, 2)], abs=1e-5)
    assert found.end_tokens == 0


def test_the_gradient_norm_is_that_of_the_answers_loss_over_frozen_weights_too(local: LocalModel) -> None:
    local.model.lm_head.weight.requires_grad_(False)
    (norm,) = local.gradient_norms(["a b"], ["c d"])
    assert not local.model.lm_head.weight.requires_grad
    local.model.lm_head.weight.requires_grad_(True)
    given, answer = numbers("<user> a b <end> <bot>"), numbers("c d")
    logits_TV = local.model(input_ids=torch.tensor([given + answer])).logits[0, len(given) - 1 : -1]
    nll = torch.nn.functional.cross_entropy(logits_TV, torch.tensor(answer))
    squares = sum(float(grad.square().sum()) for grad in torch.autograd.grad(nll, list(local.model.parameters())))
    assert norm == pytest.approx(squares**0.5, rel=1e-4)


def test_what_a_model_cannot_read_whole_is_refused_not_cut(local: LocalModel) -> None:
    long = " ".join("abcdefghij" * 7)
    with pytest.raises(InvalidData, match="Text 2 of 2 has 75 tokens; 'tiny' reads at most 64"):
        local.token_facts(["a", long], ["b", "c"])
    with pytest.raises(InvalidData, match="with 62 new ones"):
        local.generate(["a"], max_new_tokens=62)


def test_an_answer_or_prompt_without_tokens_is_refused(local: LocalModel) -> None:
    with pytest.raises(InvalidData, match="Answer 2 of 2"):
        local.token_facts(["a", "b"], ["c", " "])
    with pytest.raises(InvalidData, match="Prompt 1 of 1 is empty"):
        local.generate([""], max_new_tokens=2, form="text")


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # peft asks so when it adds an adapter
def test_a_saved_model_and_its_adapter_are_loaded_and_a_wrong_folder_is_told(tmp_path: Path) -> None:
    from peft import LoraConfig, get_peft_model

    base = tiny_model().float()
    base.save_pretrained(tmp_path / "base")
    tiny_tokenizer().save_pretrained(tmp_path / "base")
    adapted: Any = get_peft_model(base, LoraConfig(r=2, target_modules=["q_proj"], init_lora_weights=False))
    adapted.save_pretrained(tmp_path / "adapter")
    plain = LocalModel.load(tmp_path / "base").token_facts(["a b"], ["c d"])[0]
    both = LocalModel.load(tmp_path / "base", adapter=tmp_path / "adapter")
    expected = LocalModel(name="adapted", model=adapted, tokenizer=tiny_tokenizer()).token_facts(["a b"], ["c d"])[0]
    assert both.token_facts(["a b"], ["c d"])[0].log_probs_T == pytest.approx(expected.log_probs_T, abs=1e-5)
    assert not np.allclose(plain.log_probs_T, expected.log_probs_T, atol=1e-3)
    with pytest.raises(ModelUnsuitable, match="cannot be loaded"):
        LocalModel.load(tmp_path)
    with pytest.raises(ModelUnsuitable, match="float8"):
        LocalModel.load(tmp_path / "base", dtype="float8")


def test_it_is_a_judged_model_that_offers_all(local: LocalModel) -> None:
    assert isinstance(local, JudgedModel)
    assert isinstance(local, ConversingModel)
    assert local.offers == {Fact.OUTPUT, Fact.SAMPLES, Fact.TOKENS, Fact.GRADIENT_NORM}


def test_batches_hold_every_place_once_and_no_more_than_fits() -> None:
    lengths = [5, 1, 9, 5, 3, 30]
    batches = list(batches_by_length(lengths, max_tokens=12))
    assert sorted(place for batch in batches for place in batch) == list(range(len(lengths)))
    assert batches[0] == [5]
    assert all(len(batch) == 1 or len(batch) * max(lengths[place] for place in batch) <= 12 for batch in batches)
