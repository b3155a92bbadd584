"""The generation loop over a tiny random model: joined batches, fairness, limits, cancelling, sampling."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from guardrail.backends.local_engine import Engine, Job
from guardrail.backends.local_model import LoadedModel
from guardrail.backends.local_sequence import Sampling, Sequence
from guardrail.backends.shapes import Piece
from guardrail.errors import ApiError

VOCABULARY = 64


class NumberTokenizer:
    """Tokens are shown as their numbers."""

    def decode(self, ids: list[int], **options: Any) -> str:
        return "".join(f"{token} " for token in ids)

    def encode(self, text: str, **options: Any) -> list[int]:
        return [int(part) for part in text.split()]


@pytest.fixture(scope="module")
def loaded() -> LoadedModel:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        initializer_range=0.5,
    )
    model: Any = LlamaForCausalLM(config)
    model.eval()
    return LoadedModel(
        name="tiny",
        model=model,
        tokenizer=NumberTokenizer(),
        device=torch.device("cpu"),
        context_tokens=2048,
        stop_ids=frozenset(),
    )


class Asked:
    """A job and what came of it."""

    def __init__(
        self,
        loaded: LoadedModel,
        prompt: list[int],
        *,
        key: str = "",
        choices: int = 1,
        log: list[str] | None = None,
        **how: Any,
    ) -> None:
        self._key, self._log = key, log
        self.pieces: list[Piece] = []
        self.failed = False
        self.done = threading.Event()
        self.begun = threading.Event()
        self._open = choices
        sampling = Sampling(**{"max_tokens": 12, "temperature": 0.0, **how})
        sequences = [
            Sequence(index=index, prompt=prompt, sampling=sampling, loaded=loaded, emit=self._put)
            for index in range(choices)
        ]
        self.job = Job(sequences, fair_key=key, on_failure=self._fail)

    def _put(self, piece: Piece) -> None:
        self.pieces.append(piece)
        self.begun.set()
        self._open -= piece.finish is not None
        if piece.finish and self._log is not None:
            self._log.append(self._key)
        if not self._open:
            self.done.set()

    def _fail(self) -> None:
        self.failed = True
        self.done.set()

    def text(self, index: int = 0) -> str:
        assert self.done.wait(60)
        return "".join(piece.text for piece in self.pieces if piece.index == index)


def engine_of(loaded: LoadedModel, running: int = 4, waiting: int = 16) -> Engine:
    made = Engine(loaded, name="m", max_concurrent=running, max_waiting=waiting)
    made.start()
    return made


@pytest.fixture
def engine(loaded: LoadedModel) -> Iterator[Engine]:
    made = engine_of(loaded)
    yield made
    made.close()


def reference(loaded: LoadedModel, prompt: list[int], tokens: int) -> str:
    """Greedy decoding without any cache: the whole text goes through the model for every token."""
    ids = list(prompt)
    with torch.inference_mode():
        for _ in range(tokens):
            ids.append(int(loaded.model(torch.tensor([ids])).logits[0, -1].argmax()))
    return "".join(f"{token} " for token in ids[len(prompt) :])


def prompt_of(length: int, seed: int) -> list[int]:
    return [(seed * 7 + place * place * 5 + place) % VOCABULARY for place in range(length)]


def test_joined_answers_are_those_of_the_model_alone(loaded: LoadedModel, engine: Engine) -> None:
    lengths = {1: 3, 2: 40, 3: 300, 4: 9, 5: 17, 6: 600}
    asked = {seed: Asked(loaded, prompt_of(n, seed), max_tokens=6 + 5 * seed) for seed, n in lengths.items()}
    for item in asked.values():
        engine.submit(item.job)
    for seed, item in asked.items():
        assert item.text() == reference(loaded, prompt_of(lengths[seed], seed), 6 + 5 * seed), seed
    assert engine.open_jobs == 0


def test_the_finish_reason_is_length_at_the_limit_and_stop_at_an_end_token(loaded: LoadedModel) -> None:
    first = int(reference(loaded, [1, 2, 3], 1))
    ending = LoadedModel(**{**vars(loaded), "stop_ids": frozenset({first})})
    for model, finish, text in ((loaded, "length", f"{first} "), (ending, "stop", "")):
        engine = engine_of(model)
        asked = Asked(model, [1, 2, 3], max_tokens=1)
        engine.submit(asked.job)
        assert asked.text() == text
        assert [piece.finish for piece in asked.pieces if piece.finish] == [finish]
        engine.close()


def test_a_request_beyond_the_queue_is_a_429_with_retry_after(loaded: LoadedModel) -> None:
    engine = engine_of(loaded, running=1, waiting=1)
    first, second = Asked(loaded, [1], max_tokens=2000), Asked(loaded, [2], max_tokens=2000)
    engine.submit(first.job)
    engine.submit(second.job)
    with pytest.raises(ApiError) as caught:
        engine.submit(Asked(loaded, [3]).job)
    assert caught.value.status == 429
    assert caught.value.retry_after_s
    engine.cancel(first.job)
    engine.cancel(second.job)
    engine.close()


def test_cancelling_makes_room_for_those_who_wait(loaded: LoadedModel) -> None:
    engine = engine_of(loaded, running=1)
    long, short = Asked(loaded, [1], max_tokens=2000), Asked(loaded, [2], max_tokens=3)
    engine.submit(long.job)
    assert long.begun.wait(60)
    engine.submit(short.job)
    engine.cancel(long.job)
    assert short.text()
    assert not long.done.is_set()
    engine.close()


def test_a_busy_key_does_not_delay_another_by_its_whole_queue(loaded: LoadedModel) -> None:
    engine = engine_of(loaded, running=1)
    order: list[str] = []
    blocker = Asked(loaded, [1], max_tokens=2000)
    engine.submit(blocker.job)
    assert blocker.begun.wait(60)
    busy = [Asked(loaded, [2], key="busy", max_tokens=2, log=order) for _ in range(5)]
    quiet = Asked(loaded, [3], key="quiet", max_tokens=2, log=order)
    for item in [*busy, quiet]:
        engine.submit(item.job)
    engine.cancel(blocker.job)
    for item in [*busy, quiet]:
        item.text()
    assert order.index("quiet") <= 1
    engine.close()


def test_a_seed_repeats_and_choices_differ(loaded: LoadedModel, engine: Engine) -> None:
    twice = [Asked(loaded, [5, 6], choices=2, temperature=1.5, seed=7, max_tokens=20) for _ in range(2)]
    for item in twice:
        engine.submit(item.job)
    assert twice[0].text(0) == twice[1].text(0)
    assert twice[0].text(1) == twice[1].text(1)
    assert twice[0].text(0) != twice[0].text(1)


def test_bans_biases_and_penalties_change_what_is_chosen(loaded: LoadedModel, engine: Engine) -> None:
    favourite = int(reference(loaded, [9, 8], 1))
    banned = Asked(loaded, [9, 8], bad_words=(str(favourite),))
    biased = Asked(loaded, [9, 8], logit_bias={33: 100.0})
    unpenalised = Asked(loaded, [9, 8], logit_bias={33: 100.0}, frequency_penalty=2.0, max_tokens=100)
    for item in (banned, biased, unpenalised):
        engine.submit(item.job)
    assert str(favourite) not in banned.text().split()
    assert set(biased.text().split()) == {"33"}
    assert set(unpenalised.text().split()) != {"33"}


def test_logprobs_are_the_models_own(loaded: LoadedModel, engine: Engine) -> None:
    asked = Asked(loaded, [4, 4], logprobs=3, max_tokens=1)
    engine.submit(asked.job)
    asked.text()
    (token,) = [token for piece in asked.pieces for token in piece.logprobs or ()]
    with torch.inference_mode():
        values = loaded.model(torch.tensor([[4, 4]])).logits[0, -1].log_softmax(-1)
    assert token.logprob == pytest.approx(float(values.max()), abs=1e-4)
    assert [value for _, _, value in token.top] == pytest.approx(values.topk(3).values.tolist(), abs=1e-4)


@pytest.mark.parametrize("temperature", [0.0, 0.7])
def test_what_cannot_be_written_is_no_alternative(loaded: LoadedModel, engine: Engine, temperature: float) -> None:
    favourite = int(reference(loaded, [9, 8], 1))
    how: dict[str, Any] = {"logprobs": VOCABULARY, "max_tokens": 1, "temperature": temperature, "seed": 1}
    asked = Asked(loaded, [9, 8], bad_words=(str(favourite),), logit_bias={33: 2.0}, top_k=3, **how)
    engine.submit(asked.job)
    asked.text()
    (token,) = [token for piece in asked.pieces for token in piece.logprobs or ()]
    with torch.inference_mode():
        scores = loaded.model(torch.tensor([[9, 8]])).logits[0, -1].clone()
        scores[33] += 2.0
        scores[favourite] = -torch.inf
        values = scores.log_softmax(-1)
    assert token.logprob == pytest.approx(float(values[int(token.token)]), abs=1e-4)
    assert [int(text) for text, _, _ in token.top] == values.topk(VOCABULARY - 1).indices.tolist()
    assert [value for _, _, value in token.top] == pytest.approx(values.topk(VOCABULARY - 1).values.tolist(), abs=1e-4)


def test_a_failing_request_fails_alone(loaded: LoadedModel, engine: Engine) -> None:
    broken, healthy = Asked(loaded, [VOCABULARY + 5]), Asked(loaded, [1])
    engine.submit(broken.job)
    engine.submit(healthy.job)
    assert healthy.text() == reference(loaded, [1], 12)
    assert broken.done.wait(60)
    assert broken.failed
    assert engine.alive


def test_closing_fails_what_is_under_way(loaded: LoadedModel) -> None:
    engine = engine_of(loaded, running=1)
    running, waiting = Asked(loaded, [1], max_tokens=2000), Asked(loaded, [2])
    engine.submit(running.job)
    assert running.begun.wait(60)
    engine.submit(waiting.job)
    engine.close()
    assert running.done.wait(10)
    assert waiting.done.wait(10)
    assert (running.failed, waiting.failed, engine.alive) == (True, True, False)
