r"""JSON that leaves as text (tool-call arguments, JSON answers): read through its escapes, repaired without breaking it.

A name may hide in `\u0042`-style escapes, so the automaton reads the decoded text and its finds are mapped back to the
characters on the wire. An escape that is not complete yet waits.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import replace

from guardrail.decision import EvidenceKind, Leak
from guardrail.inspectors.protocol import Inspector, Progress

_ESCAPE = re.compile(r'\\(?:u([0-9a-fA-F]{4})|(["\\/bfnrt]))')
_LAST_SLASHES = re.compile(r"\\+(?=[^\\]{0,4}$)")
_HIGH_SURROGATE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")
_OPEN_CODE = re.compile(r"u[0-9a-fA-F]{0,3}$")
_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_IN_JSON = re.compile(r'"|\\u[0-9a-fA-F]{4}|\\.?|[^"\\]+', re.DOTALL)
_KEY = re.compile(r'"[A-Za-z_][\w.-]{0,63}"\s*:')
_BARE = re.compile(r"[^\s,:\[\]{}]+")
_NUMBER = re.compile(r"[-+.0-9eE]+")
_LITERALS = frozenset({"true", "false", "null"})


class StructuredLeak:
    """Wraps an inspector, which reads the decoded text. Offsets it reports are those of the raw (escaped) text."""

    def __init__(self, inner: Inspector) -> None:
        self._decoded = inner
        self._raw_at: list[int] = [0]  # raw offset of each decoded character, and of the end
        self._rest = ""
        self._raw_base = 0

    def push(self, text: str, *, final: bool = False) -> Progress:
        raw = self._rest + text
        cut = whole_escapes(raw)
        self._rest = raw[cut:]
        progress = self._decoded.push(self._decode(raw[:cut]), final=final)
        cleared = self._raw_at[progress.cleared]
        if progress.leak is None:
            is_all = final and progress.cleared == len(self._raw_at) - 1
            return replace(progress, cleared=self._raw_base + len(self._rest) if is_all else cleared)
        leak = progress.leak
        mapped = replace(leak, start=self._raw_at[leak.start], end=self._raw_at[leak.end])
        return replace(progress, cleared=cleared, leak=mapped)

    def resume(self, position: int) -> None:
        passed = position - self._raw_base
        if passed > 0:  # half an escape that whoever wraps this has taken out
            taken, self._rest = self._rest[:passed], self._rest[passed:]
            self._raw_at.extend(range(self._raw_base + 1, position + 1))
            self._raw_base = position
            self._decoded.push(taken)
        self._decoded.resume(bisect_left(self._raw_at, position))

    def _decode(self, raw: str) -> str:
        if "\\" not in raw:
            self._raw_at.extend(range(self._raw_base + 1, self._raw_base + len(raw) + 1))
            self._raw_base += len(raw)
            return raw
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
        if text:
            out.append(text)
            start = self._raw_base + offset + 1
            self._raw_at.extend(range(start, start + len(text)))

    def _emit(self, character: str, out: list[str], raw_end: int) -> None:
        if out and "\udc00" <= character <= "\udfff" and "\ud800" <= out[-1][-1:] <= "\udbff":
            out[-1] = (out[-1] + character).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
            self._raw_at[-1] = self._raw_base + raw_end
            return
        out.append(character)
        self._raw_at.append(self._raw_base + raw_end)


def whole_escapes(raw: str) -> int:
    """How much of `raw` holds only whole escapes; half a surrogate pair is not whole."""
    if "\\" not in raw:
        return len(raw)
    high = _HIGH_SURROGATE.search(raw)
    if high is not None and _begins_escape(raw, high.start()):
        return high.start()
    slashes = _LAST_SLASHES.search(raw)
    if slashes is None or len(slashes.group()) % 2 == 0:
        return len(raw)
    start, behind = slashes.end() - 1, raw[slashes.end() :]
    if behind and not _OPEN_CODE.fullmatch(behind):
        return len(raw)
    high = _HIGH_SURROGATE.search(raw, 0, start)
    return high.start() if high is not None and _begins_escape(raw, high.start()) else start


def _begins_escape(raw: str, slash: int) -> bool:
    """True if the backslash at `slash` is not itself escaped."""
    before = raw[:slash]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 0


def redacted_json(leak: Leak, before: str, span: str, redaction: str) -> str:
    """What `span`, the leak's text behind `before`, becomes: by what kind of evidence showed it."""
    if leak.kind is EvidenceKind.MEANING:
        return unknown_within_json(before, span)
    redact = redact_json_values if leak.kind is EvidenceKind.CLAIM else redact_within_json
    return redact(before, span, redaction)


def redact_within_json(before: str, span: str, redaction: str) -> str:
    """The span, which follows `before`, with its words replaced so that JSON stays JSON.

    Text in strings becomes `redaction`; quotes, commas and brackets stay; numbers keep their shape with other digits.
    """
    safe = redaction.replace("\\", "").replace('"', "")
    inside = False
    for match in _IN_JSON.finditer(before):
        inside ^= match.group() == '"'
    out: list[str] = []
    for match in _IN_JSON.finditer(span):
        piece = match.group()
        if piece == '"':
            inside = not inside
            out.append(piece)
        elif not inside:
            out.append(_BARE.sub(lambda bare: _redacted_bare(bare.group(), safe), piece))
        elif not out or out[-1] != safe:
            out.append(safe)
    return "".join(out)


def redact_json_values(before: str, span: str, redaction: str) -> str:
    """The same, but for keys that are plain names, which stay: what a statement tells stands in the values."""
    out: list[str] = []
    at = 0
    for key in _KEY.finditer(span):
        out.append(redact_within_json(before + span[:at], span[at : key.start()], redaction))
        out.append(key.group())
        at = key.end()
    out.append(redact_within_json(before + span[:at], span[at:], redaction))
    return "".join(out)


def unknown_within_json(before: str, span: str) -> str:
    """The span, which is the inside of a string or a number, as someone writes it who does not know: "unknown", 0. The
    rest of a string that has begun to leave becomes nothing."""
    is_inside = False
    for match in _IN_JSON.finditer(before):
        is_inside ^= match.group() == '"'
    if not is_inside:
        return "0" if _NUMBER.fullmatch(span) else redact_within_json(before, span, "unknown")
    return "unknown" if before.endswith('"') else ""


def _redacted_bare(word: str, redaction: str) -> str:
    """A word outside of strings. What is neither number nor literal stands in no JSON, so it may become anything."""
    if word in _LITERALS:
        return word
    if not _NUMBER.fullmatch(word):
        return redaction
    digit = "2" if set(word) <= set("1-+.eE") else "1"
    return re.sub(r"[0-9]", digit, word)
