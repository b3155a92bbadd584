"""The vocabulary of a fast Hugging Face tokenizer: what each of its tokens writes, in bytes.

Two families are understood, read from the tokenizer's own decoder: byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM2), and
SentencePiece-like ones ("▁" for a space, "<0x41>" for a byte; Llama 2, Mistral, Gemma). Any other decoder is refused:
a restriction over a misread vocabulary would promise what it cannot hold.

It does not know phrases. Texts are taken as decoded without tidying of spaces, as vLLM and the embedded backend do.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from guardrail.decoding.vocabulary import Vocabulary

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SHOWN_AS_THEMSELVES = (range(0x21, 0x7F), range(0xA1, 0xAD), range(0xAE, 0x100))
_NO_BYTE = 0xFFFF
_BYTE_LEVEL = frozenset({"ByteLevel", "Fuse"})
_PLAIN = frozenset({"Replace", "Metaspace", "ByteFallback", "Fuse", "Strip"})


class UnreadableTokenizerError(ValueError):
    """A tokenizer whose tokens cannot be told as text one by one."""


def tokenizer_vocabulary(tokenizer: Any, *, ending: Iterable[int] = ()) -> Vocabulary:
    """The vocabulary of `tokenizer`; `ending` adds to its own end-of-text token.

    Raises `UnreadableTokenizerError` for a tokenizer that is not fast or has a decoder of another kind, or without any
    token that ends a text.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or backend.decoder is None:
        raise UnreadableTokenizerError(
            f"{type(tokenizer).__name__} is no fast tokenizer with a decoder; restrictions need its tokenizer.json"
        )
    own_end = tokenizer.eos_token_id
    ends = frozenset(ending) | (frozenset() if own_end is None else frozenset((int(own_end),)))
    if not ends:
        raise UnreadableTokenizerError(
            "the tokenizer names no end-of-text token; restrictions need one to fall back on"
        )
    steps = list(_steps(json.loads(backend.decoder.__getstate__())))
    kinds = [str(step["type"]) for step in steps]
    is_byte_level = "ByteLevel" in kinds
    if not _is_understood(kinds):
        raise UnreadableTokenizerError(
            f"the tokenizer's decoder has the steps {', '.join(kinds)}; restrictions understand byte-level and "
            "SentencePiece-like ones"
        )
    texts: dict[str, int] = tokenizer.get_vocab()
    silent = set(tokenizer.all_special_ids)
    silent.update(token for token, added in tokenizer.added_tokens_decoder.items() if added.special)
    if is_byte_level:
        table = _byte_table()
        return Vocabulary({token: _unmap(text, table) for text, token in texts.items()}, ending=ends, silent=silent)
    pieces, alone = _plain_pieces(texts, steps, has_bytes="ByteFallback" in kinds)
    return Vocabulary(pieces, ending=ends, silent=silent, bytes_alone=alone)


def _is_understood(kinds: list[str]) -> bool:
    """Every token must write the same whatever stands beside it; `Strip` does so only where it sees the whole text."""
    if "ByteLevel" in kinds:
        return _BYTE_LEVEL.issuperset(kinds)
    if not _PLAIN.issuperset(kinds) or not {"Replace", "Metaspace"}.intersection(kinds):
        return False
    return "Strip" not in kinds or "Fuse" in kinds[: kinds.index("Strip")]


def _steps(decoder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if decoder["type"] != "Sequence":
        yield decoder
        return
    for inner in decoder["decoders"]:
        yield from _steps(inner)


def _byte_table() -> dict[int, int]:
    """The characters that byte-level vocabularies write bytes with: printable Latin-1 as itself, the others in order
    from U+0100 on. Shown characters map to bytes; those that write none map to a character that no byte is."""
    shown = {byte for part in _SHOWN_AS_THEMSELVES for byte in part}
    hidden = [byte for byte in range(256) if byte not in shown]
    table = dict.fromkeys(hidden, _NO_BYTE) | {byte: byte for byte in shown}
    return table | {256 + place: byte for place, byte in enumerate(hidden)}


def _unmap(text: str, table: dict[int, int]) -> bytes:
    """An added token may hold other characters; the decoder then takes it as it is."""
    try:
        return text.translate(table).encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _plain_pieces(
    texts: dict[str, int], steps: list[dict[str, Any]], *, has_bytes: bool
) -> tuple[dict[int, bytes], list[int]]:
    """The pieces of a SentencePiece-like vocabulary, and which of them are single bytes."""
    replaced = [_replacement(step) for step in steps if step["type"] in ("Metaspace", "Replace")]
    pieces: dict[int, bytes] = {}
    alone: list[int] = []
    for text, token in texts.items():
        byte = _BYTE_TOKEN.fullmatch(text) if has_bytes else None
        if byte is not None:
            pieces[token] = bytes((int(byte.group(1), 16),))
            alone.append(token)
            continue
        shown = text
        for old, new in replaced:
            shown = shown.replace(old, new)
        pieces[token] = shown.encode("utf-8", "replace")
    return pieces, alone


def _replacement(step: dict[str, Any]) -> tuple[str, str]:
    if step["type"] == "Metaspace":
        return str(step["replacement"]), " "
    pattern = step["pattern"]
    if "String" not in pattern:
        raise UnreadableTokenizerError("the tokenizer's decoder replaces by a regular expression")
    return str(pattern["String"]), str(step["content"])
