r"""Does an answer in JSON own to not knowing? For requests that ask for nothing but a forgotten thing, as JSON.

`ignorance` judges sentences; here every value is judged: a text must say nothing ("unknown", "I'm not familiar with
that", the asked-for name itself) and a number must be 0, else it is condemned as a whole; so is a word outside of
texts. Keys and true, false and null stay: the caller has chosen keys, and one bit is what he could guess. A value is
judged when its end is seen, so that nothing hangs on how the text is cut into pieces; the wrapped inspector reads the
text beside it.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import orjson

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors.not_knowing import says_nothing
from guardrail.inspectors.protocol import Inspector, Progress
from guardrail.inspectors.statements import LIMIT_CHARS
from retrieval.entry import RegisteredEntry
from retrieval.text.views import normalise, sentences

_GAP: Final = re.compile(r"[\s,:\[\]{}]+")
_INSIDE: Final = re.compile(r'(?:[^"\\]|\\.)*', re.DOTALL)
_BARE: Final = re.compile(r'[^\s,:\[\]{}"]+')
_IS_EMPTY: Final = re.compile(r"true|false|null|`+(?:json)?|[-+]?[0.]+(?:[eE][-+]?\d*)?|[-+]")
_NO_WORDS: Final = re.compile(
    r"unknown|not known|none|null|nil|na|n a|not available|unavailable|not applicable|(?:not |un)specified|not provided|"
    r"no data|no information(?: available)?|unsure|uncertain|unclear|unbekannt|nicht bekannt|keine|inconnue?|"
    r"non disponible|desconocid[oa]|no disponible|sconosciut[oa]|desconhecid[oa]|onbekend|nieznan[ye]|neznamy|okand|"
    r"ukendt|ukjent|tuntematon|bilinmiyor"
)
"""Compared without accents and signs."""
_NO_WORDS_ELSEWHERE: Final = frozenset(
    {"неизвестно", "неизвестен", "не известно", "невідомо", "未知", "不明", "不詳", "알 수 없음", "미상"}
)


class JsonIgnoranceWatch:
    """Wraps an inspector of JSON text: clears only values that state nothing."""

    def __init__(self, inner: Inspector, entry: RegisteredEntry) -> None:
        self._inner = inner
        self._entry = entry
        self._own = {normalise(name).words for name in entry.entry.names}
        self._tail = ""
        self._base = 0
        self._is_inside = False

    def push(self, text: str, *, final: bool = False) -> Progress:
        self._tail += text
        inner = self._inner.push(text, final=final)
        leak = self._judge(inner.leak, final=final and inner.leak is None)
        cleared = min(self._base, inner.cleared)
        return Progress(cleared=cleared, leak=leak, pending_limit_chars=max(LIMIT_CHARS, inner.pending_limit_chars))

    def resume(self, position: int) -> None:
        self._inner.resume(position)
        if position > self._base:
            passed, self._tail = self._tail[: position - self._base], self._tail[position - self._base :]
            self._is_inside = _ends_inside(passed, self._is_inside)
            self._base = position

    def _judge(self, found: Leak | None, *, final: bool) -> Leak | None:
        """Judge the values that have ended before the inner inspector's leak; gives the first that may not leave."""
        while self._tail:
            end, leak = self._next(final=final)
            if found is not None and (end is None or self._base + end > found.start):
                return self._around(found)
            if leak is not None or end is None:
                return leak
            self._skip(end)
        return found

    def _next(self, *, final: bool) -> tuple[int | None, Leak | None]:
        """(characters of the next piece, or None while its end is not seen; its leak)."""
        tail = self._tail
        if self._is_inside or tail[0] == '"':
            return self._text(0 if self._is_inside else 1, final=final)
        gap = _GAP.match(tail)
        if gap is not None:
            return gap.end(), None
        bare = _BARE.match(tail)
        end = bare.end() if bare is not None else 1
        if end == len(tail) and not final:
            return None, None
        return end, None if _IS_EMPTY.fullmatch(tail, 0, end) else self._leak(0, end)

    def _text(self, start: int, *, final: bool) -> tuple[int | None, Leak | None]:
        """A string of which `start` is the first character inside, or the rest of one of which a part was condemned."""
        stop = self._inside_end(start)
        is_closed = stop < len(self._tail)
        behind = self._tail[stop + 1 :].lstrip()
        if not final and not (is_closed if start == 0 else behind):
            return None, None
        end = stop + 1 if is_closed else stop
        content = self._tail[start:stop]
        if not content or (start and (behind[:1] == ":" or self._says_nothing(content))):
            return end, None
        return end, self._leak(start, stop)

    def _says_nothing(self, content: str) -> bool:
        try:
            text = str(orjson.loads(f'"{content}"'))
        except orjson.JSONDecodeError:
            text = content
        words = normalise(text).words
        if not words or words in self._own or _NO_WORDS.fullmatch(" ".join(words)):
            return True
        if text.strip(" .!?").casefold() in _NO_WORDS_ELSEWHERE:
            return True
        return all(says_nothing(text[span.start : span.end]) for span in sentences(text))

    def _around(self, found: Leak) -> Leak:
        """All of the string, key or value, that holds `found`, as far as it is there; `found` itself outside of strings."""
        start = 0 if self._is_inside else 1
        if start and self._tail[:1] != '"':
            return found
        leak = self._leak(start, max(self._inside_end(start), found.end - self._base))
        return replace(leak, start=min(leak.start, found.start))

    def _inside_end(self, start: int) -> int:
        """Where the string's inside ends that begins at `start`, as far as it is there."""
        inside = _INSIDE.match(self._tail, start)
        end = inside.end() if inside is not None else start
        return end if self._tail[end : end + 1] == '"' else len(self._tail)

    def _skip(self, count: int) -> None:
        passed, self._tail = self._tail[:count], self._tail[count:]
        self._is_inside = _ends_inside(passed, self._is_inside)
        self._base += count

    def _leak(self, start: int, end: int) -> Leak:
        return Leak(entry=self._entry, kind=EvidenceKind.MEANING, start=self._base + start, end=self._base + end)


def _ends_inside(text: str, is_inside: bool) -> bool:
    """True if what follows `text` stands inside a string."""
    for match in re.finditer(r'\\.|"', text, re.DOTALL):
        is_inside ^= match.group() == '"'
    return is_inside
