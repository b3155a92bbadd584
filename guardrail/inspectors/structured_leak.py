r"""JSON that leaves as text (tool-call arguments, JSON answers): read through its escapes, repaired without breaking it.

A name may hide in `\u0042`-style escapes, so the automaton reads the decoded text and its finds are mapped back to the
characters on the wire. An escape that is not complete yet waits.
"""

from __future__ import annotations

import re
from dataclasses import replace

from guardrail.inspectors.protocol import Forbids, Progress
from guardrail.inspectors.text_leak import TextLeak
from retrieval.text.automaton import PhraseAutomaton
from retrieval.text.phrases import PhraseTag

_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_OPEN_UNICODE = re.compile(r"\\u[0-9a-fA-F]{0,3}$")
_TRAILING = re.compile(r"\\+$")
_OPEN_PAIR = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}(?:\\(?:u[0-9a-fA-F]{0,3})?)?$")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_LETTERS = re.compile(r'(?:\\u[0-9a-fA-F]{4}|[^"\\,:\[\]{}\s])+')


class StructuredLeak:
    """Follows one JSON text. Offsets it reports are those of the raw (escaped) text."""

    def __init__(self, phrases: PhraseAutomaton[PhraseTag], forbids: Forbids, *, by_sentence: bool = False) -> None:
        self._decoded = TextLeak(phrases, forbids, by_sentence=by_sentence)
        self._raw_at: list[int] = [0]  # raw offset of each decoded character, and of the end
        self._rest = ""
        self._raw_base = 0

    def push(self, text: str, *, final: bool = False) -> Progress:
        raw = self._rest + text
        cut = len(raw) if final else _complete(raw)
        self._rest = raw[cut:]
        progress = self._decoded.push(self._decode(raw[:cut]), final=final)
        cleared = self._raw_at[progress.cleared]
        if progress.leak is None:
            return replace(progress, cleared=cleared)
        leak = progress.leak
        mapped = replace(leak, start=self._raw_at[leak.start], end=self._raw_at[leak.end])
        return replace(progress, cleared=cleared, leak=mapped)

    def resume(self, position: int) -> None:
        self._decoded.resume(self._raw_at.index(position))

    def _decode(self, raw: str) -> str:
        out: list[str] = []
        position = 0
        for match in _ESCAPE.finditer(raw):
            self._plain(raw[position : match.start()], out, position)
            code, short = match.groups()
            self._emit(chr(int(code, 16)) if code else _SHORT.get(short, short), out, match.end())
            position = match.end()
        self._plain(raw[position:], out, position)
        self._raw_base += len(raw)
        return "".join(out)

    def _plain(self, text: str, out: list[str], offset: int) -> None:
        out.append(text)
        start = self._raw_base + offset + 1
        self._raw_at.extend(range(start, start + len(text)))

    def _emit(self, character: str, out: list[str], raw_end: int) -> None:
        low = "\udc00" <= character <= "\udfff"
        if low and out and "\ud800" <= out[-1] <= "\udbff":
            out[-1] = (out[-1] + character).encode("utf-16", "surrogatepass").decode("utf-16")
            self._raw_at[-1] = self._raw_base + raw_end
            return
        out.append(character)
        self._raw_at.append(self._raw_base + raw_end)


def _complete(raw: str) -> int:
    """How much of `raw` holds only whole escapes."""
    match = _OPEN_PAIR.search(raw) or _OPEN_UNICODE.search(raw)
    if match is not None:
        return match.start()
    slashes = _TRAILING.search(raw)
    return len(raw) - (len(slashes.group()) % 2 if slashes else 0)


def redact_within_json(span: str, redaction: str) -> str:
    """The span with its letters replaced and its quotes, commas and brackets kept, so that JSON stays JSON."""
    safe = redaction.replace("\\", "").replace('"', "")
    return _LETTERS.sub(safe, span)
