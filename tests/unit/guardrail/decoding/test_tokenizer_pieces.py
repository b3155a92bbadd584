"""What a tokenizer's tokens write, against its own decoding."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders, models

from guardrail.decoding.phrase_trie import symbols_of
from guardrail.decoding.tokenizer_pieces import UnreadableTokenizerError, tokenizer_vocabulary
from guardrail.decoding.vocabulary import read
from tests.fakes import small_tokenizers

BYTE_LEVEL = small_tokenizers.byte_level()
SENTENCE_PIECE = small_tokenizers.sentence_piece()
BYTE_LEVEL_PIECES = tokenizer_vocabulary(BYTE_LEVEL).pieces
PLAIN_PIECES = tokenizer_vocabulary(SENTENCE_PIECE).pieces


@settings(deadline=None)
@given(st.lists(st.integers(0, 299), max_size=8))
def test_byte_level_pieces_put_together_are_the_decoded_text(tokens: list[int]) -> None:
    raw = b"".join(BYTE_LEVEL_PIECES[token] for token in tokens)
    assert raw.decode("utf-8", "replace") == BYTE_LEVEL.decode(tokens, clean_up_tokenization_spaces=False)


@settings(deadline=None)
@given(st.lists(st.integers(0, 303), max_size=8))
def test_plain_pieces_put_together_are_the_decoded_text(tokens: list[int]) -> None:
    text = b"".join(PLAIN_PIECES[token] for token in tokens).decode("utf-8", "replace")
    shown = SENTENCE_PIECE.decode(tokens, clean_up_tokenization_spaces=False)
    if "\ufffd" not in shown:  # one bad byte makes its whole run unreadable
        assert text.removeprefix(" ") == shown


def test_single_byte_tokens_are_named() -> None:
    vocabulary = tokenizer_vocabulary(SENTENCE_PIECE)
    assert {vocabulary.pieces[token] for token in vocabulary.bytes_alone} == {bytes((byte,)) for byte in range(256)}
    assert not tokenizer_vocabulary(BYTE_LEVEL).bytes_alone


@pytest.mark.parametrize("tokenizer", [BYTE_LEVEL, SENTENCE_PIECE])
def test_special_tokens_are_silent_and_other_added_ones_are_text(tokenizer: Any) -> None:
    vocabulary = tokenizer_vocabulary(tokenizer)
    tokens = tokenizer.get_vocab()
    assert vocabulary.ending == {tokens[small_tokenizers.END]}
    assert vocabulary.silent == {tokens[small_tokenizers.SPECIAL]}
    assert vocabulary.pieces[tokens[small_tokenizers.MARKER]] == small_tokenizers.MARKER.encode()


def test_further_tokens_may_end_an_answer() -> None:
    tokens = BYTE_LEVEL.get_vocab()
    special = tokens[small_tokenizers.SPECIAL]
    assert tokenizer_vocabulary(BYTE_LEVEL, ending=(special,)).ending == {tokens[small_tokenizers.END], special}


def test_words_that_begin_inside_a_token_are_listed() -> None:
    vocabulary = tokenizer_vocabulary(BYTE_LEVEL)
    token = small_tokenizers.token_of(BYTE_LEVEL, "y.New")
    assert [text for text, at in zip(vocabulary.inner.texts, vocabulary.inner.tokens, strict=True) if at == token] == [
        "new"
    ]


def test_broken_characters_are_gaps_and_unfinished_ones_wait() -> None:
    assert read(b"A\xffB") == (symbols_of("A B"), b"")
    assert read("東".encode()[:2]) == ("", "東".encode()[:2])


@pytest.mark.parametrize(
    "decoder",
    [
        decoders.WordPiece(),
        decoders.Sequence([decoders.Replace("▁", " "), decoders.Strip(" ", 1, 0)]),
        decoders.Sequence([decoders.ByteLevel(), decoders.Replace("x", "y")]),
    ],
)
def test_a_decoder_that_cannot_be_told_token_by_token_is_refused(decoder: Any) -> None:
    backend = Tokenizer(models.BPE(vocab={"a": 0, "<|end|>": 1}, merges=[]))
    backend.decoder = decoder
    tokenizer = small_tokenizers.wrapped(backend, end="<|end|>")
    with pytest.raises(UnreadableTokenizerError, match="steps"):
        tokenizer_vocabulary(tokenizer)


def test_a_tokenizer_without_an_end_of_text_is_refused() -> None:
    backend = Tokenizer(models.BPE(vocab={"a": 0}, merges=[]))
    backend.decoder = decoders.ByteLevel()
    with pytest.raises(UnreadableTokenizerError, match="end-of-text"):
        tokenizer_vocabulary(small_tokenizers.wrapped(backend, end=None))


def test_a_slow_tokenizer_is_refused() -> None:
    with pytest.raises(UnreadableTokenizerError, match="fast"):
        tokenizer_vocabulary(object())
