"""The promise of restrictions: whatever a model prefers, no forbidden phrase is ever written, and it is never stuck.

Texts are read by the tokenizers' own decoding and by retrieval's automaton, not by anything of the restriction.
"""

from __future__ import annotations

import random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from guardrail.backends.local_model import PACKAGED, resolve
from guardrail.decoding.local import LocalRestrictions
from guardrail.decoding.phrase_bans import BANNED, Restriction
from guardrail.decoding.request import RestrictionRequest
from guardrail.decoding.tokenizer_pieces import tokenizer_vocabulary
from retrieval.text.automaton import PhraseAutomaton
from tests.fakes import small_tokenizers

PHRASES = ("New York", "Ann", "José Carreras", "東京", "Zealand Ann", "the")
TOKENIZERS = {"byte level": small_tokenizers.byte_level(), "SentencePiece": small_tokenizers.sentence_piece()}
RESTRICTIONS = {
    name: Restriction(phrases=PHRASES, vocabulary=tokenizer_vocabulary(tokenizer))
    for name, tokenizer in TOKENIZERS.items()
}
SIZE = min(map(len, TOKENIZERS.values()))
# Mostly the hand-made pieces, whose numbers come last, now and then any byte.
WISHES = st.lists(st.integers(256, SIZE - 1) | st.integers(256, SIZE - 1) | st.integers(0, 255), max_size=14)

AUTOMATON = PhraseAutomaton[str]()
for phrase in PHRASES:
    AUTOMATON.add(phrase, phrase)


def holds_phrase(tokenizer: Any, tokens: list[int], *, skip: bool = True) -> bool:
    text = tokenizer.decode(tokens, skip_special_tokens=skip, clean_up_tokenization_spaces=False)
    return bool(AUTOMATON.find(text))


def written(restriction: Restriction, wishes: list[int]) -> list[int]:
    """The tokens of an answer whose model wants `wishes` and takes each that is not banned."""
    state, tokens = restriction.start, list[int]()
    for token in wishes:
        if restriction.penalties(state).get(token) != BANNED:
            tokens.append(token)
            state = restriction.advance(state, token)
    return tokens


@pytest.mark.parametrize("family", TOKENIZERS)
@settings(max_examples=300, deadline=None)
@given(wishes=WISHES)
def test_no_phrase_is_written_at_any_moment_whether_special_tokens_are_shown_or_not(
    family: str, wishes: list[int]
) -> None:
    tokens = written(RESTRICTIONS[family], wishes)
    for end in range(1, len(tokens) + 1):
        for skip in (True, False):
            assert not holds_phrase(TOKENIZERS[family], tokens[:end], skip=skip), tokens[:end]


@pytest.mark.parametrize("family", TOKENIZERS)
def test_without_the_restriction_such_answers_do_hold_phrases(family: str) -> None:
    source = random.Random(5)
    texts = [[source.randrange(256, SIZE) for _ in range(14)] for _ in range(200)]
    assert sum(holds_phrase(TOKENIZERS[family], tokens) for tokens in texts) > 100


def test_an_unreadable_run_of_bytes_is_a_gap_whatever_letters_it_seemed_to_hold() -> None:
    tokenizer, words = TOKENIZERS["SentencePiece"], TOKENIZERS["SentencePiece"].get_vocab()
    wishes = [words[word] for word in ("▁New", "<0xC3>", "<0x41>", "York")]
    assert holds_phrase(tokenizer, wishes)
    assert written(RESTRICTIONS["SentencePiece"], wishes) == wishes[:3]


@settings(max_examples=60, deadline=None)
@given(wishes=WISHES)
def test_just_those_tokens_are_banned_that_would_write_a_phrase(wishes: list[int]) -> None:
    restriction, tokenizer = RESTRICTIONS["byte level"], TOKENIZERS["byte level"]
    plain = [token for token in wishes if token not in restriction.vocabulary.silent | restriction.vocabulary.ending]
    tokens = written(restriction, plain)
    state = restriction.start
    for token in tokens:
        state = restriction.advance(state, token)
    if state.unfinished:
        return  # what is open is banned on suspicion
    losses = restriction.penalties(state)
    for token in range(SIZE - 3):
        is_banned = losses.get(token) == BANNED
        assert is_banned == holds_phrase(tokenizer, [*tokens, token]), (tokens, token)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([1.0, 20.0]))
def test_random_scores_always_leave_something_to_choose(seed: int, spread: float) -> None:
    tokenizer = TOKENIZERS["byte level"]
    answer = LocalRestrictions(tokenizer, ()).sequence(RestrictionRequest(phrases=PHRASES))
    generator = torch.Generator().manual_seed(seed)
    tokens: list[int] = []
    for _ in range(12):
        scores_V = torch.randn(len(tokenizer), generator=generator) * spread
        # A structured output, say, that allows a handful of tokens only.
        allowed_V = torch.rand(len(tokenizer), generator=generator) < 0.02
        scores_V = scores_V.masked_fill(~allowed_V, float("-inf"))
        answer.adjust(scores_V, tokens)
        chosen = int(torch.multinomial(scores_V.softmax(-1), 1, generator=generator))
        if chosen == tokenizer.eos_token_id:
            break
        tokens.append(chosen)
    assert not holds_phrase(tokenizer, tokens)


@pytest.mark.model
@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_the_promise_holds_for_the_tokenizer_of_a_real_model(seed: int) -> None:
    tokenizer, restrictions, telling = _real()
    source = random.Random(seed)
    answer = restrictions.sequence(RestrictionRequest(phrases=PHRASES))
    tokens: list[int] = []
    for _ in range(20):
        scores_V = torch.randn(len(tokenizer), generator=torch.Generator().manual_seed(source.randrange(2**32)))
        scores_V[source.sample(telling, 5)] += 20  # it wants to tell
        answer.adjust(scores_V, tokens)
        tokens.append(int(scores_V.argmax()))
        assert not holds_phrase(tokenizer, tokens), tokens
    assert not holds_phrase(tokenizer, tokens, skip=False)


_KEPT: list[tuple[Any, LocalRestrictions, list[int]]] = []


def _real() -> tuple[Any, LocalRestrictions, list[int]]:
    if not _KEPT:
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(resolve(PACKAGED), local_files_only=True)
        spellings = [form for phrase in PHRASES for form in (phrase, f" {phrase}", phrase.upper(), phrase.lower())]
        pieces = {token for form in spellings for token in tokenizer.encode(form)}
        pieces |= {token for form in spellings for letter in form for token in tokenizer.encode(letter)}
        pieces |= {tokenizer.encode(word)[0] for word in (" Annual", "Anna", "nual", " Zealand", "-", ".", "\n")}
        _KEPT.append((tokenizer, LocalRestrictions(tokenizer, ()), sorted(pieces)))
    return _KEPT[0]
