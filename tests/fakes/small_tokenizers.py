"""Fast tokenizers with a few hand-made pieces, of the two families that restrictions understand.

Both can write any text: the one has all 256 bytes as characters, the other as "<0x41>" tokens.
"""

from __future__ import annotations

from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

SPECIAL = "<|tool|>"
MARKER = "<think>"
END = "<|end|>"

# Pieces of the forbidden phrases in the tests, of words that begin like them, and of what may stand between words.
PIECES = (
    " Ann", "Ann", " An", "An", "n", "nual", " Annual", "ann", "ANN", "a", "ual", "'s", " New", "New", " York", "York",
    " Yor", "k", "-", "_", "  ", " ", "\n", ".", ", ", "new york", "NEW", " YORK", "Zealand", " Jos", "é", "e", "José",
    " Carr", "eras", "Carreras", " and", "the", "東", "京", "東京", "都", "x", "\u200b", "\u0301", "-New", "y.New", "ö",
)  # fmt: skip


def byte_level() -> Any:
    """GPT-2's family: every character of the vocabulary stands for a byte."""
    shown = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = [byte for byte in range(256) if byte not in shown]
    spelled = {byte: chr(byte) for byte in shown} | {byte: chr(256 + at) for at, byte in enumerate(hidden)}
    halves = [piece.encode()[:cut] for piece in ("é", "東", "京y") for cut in (1, 2)]
    halves += [b" Jos\xc3", b"\xa9 Carr", b"\xb1\xe4", b"\xbaNew"]
    raw = [bytes((byte,)) for byte in range(256)] + [piece.encode() for piece in PIECES] + halves
    words = list(dict.fromkeys("".join(spelled[byte] for byte in piece) for piece in raw))
    return _finished(words, decoders.ByteLevel())


def sentence_piece() -> Any:
    """Llama 2's family: "▁" for a space, single bytes as tokens."""
    words = [f"<0x{byte:02X}>" for byte in range(256)]
    words += dict.fromkeys(piece.replace(" ", "▁") for piece in PIECES)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    return _finished(words, decoders.Sequence(steps))


def _finished(words: list[str], decoder: Any) -> Any:
    backend = Tokenizer(models.BPE(vocab={word: place for place, word in enumerate(words)}, merges=[]))
    backend.decoder = decoder
    backend.add_special_tokens([AddedToken(END, special=True), AddedToken(SPECIAL, special=True)])
    backend.add_tokens([AddedToken(MARKER, special=False)])
    return wrapped(backend, end=END)


def wrapped(backend: Tokenizer, *, end: str | None) -> Any:
    """The tokenizer as transformers gives it."""
    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=backend, eos_token=end)


def token_of(tokenizer: Any, text: str) -> int:
    """The token that writes just `text`, by itself."""
    found = [token for token in tokenizer.get_vocab().values() if tokenizer.decode([token]) == text]
    return int(found[0])
