"""Backend streams written from pieces of text, and a client that puts the pieces of a stream together again.

The writer knows the shapes of the three endpoints as servers send them; the client reads events by the letter of the
specification and shares no code with the product.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

STREAM_ID = "chatcmpl-7"
Endpoint = str  # "chat", "completions" or "responses"
TextKey = tuple[int, str]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of one text: `content`, `reasoning`, `refusal` or `arguments` of a choice.

    `alternatives` are other tokens that the backend considered; with them the piece carries logprobs.
    """

    text: str
    field: str = "content"
    choice: int = 0
    alternatives: tuple[str, ...] = ()


def frame(body: Any, *, name: str | None = None, end: str = "\n", lines: int = 1) -> bytes:
    """One event; `lines` spreads the JSON over several `data:` lines."""
    text = json.dumps(body, ensure_ascii=False)
    if lines > 1:
        text = json.dumps(body, ensure_ascii=False, indent=1)
    head = f"event: {name}{end}" if name else ""
    return (head + "".join(f"data: {line}{end}" for line in text.split("\n")) + end).encode()


def stream(endpoint: Endpoint, pieces: Sequence[Piece], **options: Any) -> list[bytes]:
    """The events of a whole stream, `[DONE]` included where the endpoint has one."""
    writers = {"chat": chat_stream, "completions": completions_stream, "responses": responses_stream}
    return writers[endpoint](pieces, **options)


def chat_stream(
    pieces: Sequence[Piece], *, usage: bool = False, end: str = "\n", lines: int = 1, stream_id: str = STREAM_ID
) -> list[bytes]:
    """Chat completion chunks."""
    shell: dict[str, Any] = {"id": stream_id, "object": "chat.completion.chunk", "created": 5, "model": "m"}
    if usage:
        shell["usage"] = None

    def event(choice: int, delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> bytes:
        one = {"index": choice, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
        return frame({**shell, "choices": [one]}, end=end, lines=lines)

    choices = sorted({piece.choice for piece in pieces} or {0})
    frames = [event(number, {"role": "assistant", "content": ""}) for number in choices]
    called: set[int] = set()
    for piece in pieces:
        frames.append(event(piece.choice, _chat_delta(piece, called), logprobs=_chat_logprobs(piece)))
    frames += [event(number, {}, "tool_calls" if number in called else "stop") for number in choices]
    if usage:
        counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        frames.append(frame({**shell, "choices": [], "usage": counts}, end=end))
    return [*frames, f"data: [DONE]{end}{end}".encode()]


def _chat_delta(piece: Piece, called: set[int]) -> dict[str, Any]:
    if piece.field != "arguments":
        return {piece.field: piece.text}
    call: dict[str, Any] = {"index": 0, "function": {"arguments": piece.text}}
    if piece.choice not in called:
        called.add(piece.choice)
        call = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "look", "arguments": piece.text}}
    return {"tool_calls": [call]}


def _token(text: str) -> dict[str, Any]:
    return {"token": text, "logprob": -1.5, "bytes": list(text.encode("utf-8", "replace"))}


def _chat_logprobs(piece: Piece) -> dict[str, Any] | None:
    if not piece.alternatives:
        return None
    tops = [_token(piece.text), *map(_token, piece.alternatives)]
    return {"content": [{**_token(piece.text), "top_logprobs": tops}], "refusal": None}


def completions_stream(
    pieces: Sequence[Piece], *, usage: bool = False, end: str = "\n", lines: int = 1, stream_id: str = STREAM_ID
) -> list[bytes]:
    """Completion chunks; only `content` and its alternatives exist here."""
    shell = {"id": stream_id, "object": "text_completion", "created": 5, "model": "m"}

    def event(choice: int, text: str, finish: str | None = None, logprobs: Any = None) -> bytes:
        one = {"index": choice, "text": text, "logprobs": logprobs, "finish_reason": finish}
        return frame({**shell, "choices": [one]}, end=end, lines=lines)

    frames = []
    for piece in pieces:
        tops = dict.fromkeys((piece.text, *piece.alternatives), -1.5)
        details = {"tokens": [piece.text], "token_logprobs": [-1.5], "top_logprobs": [tops], "text_offset": [0]}
        frames.append(event(piece.choice, piece.text, logprobs=details if piece.alternatives else None))
    frames += [event(number, "", "stop") for number in sorted({piece.choice for piece in pieces} or {0})]
    if usage:
        counts = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
        frames.append(frame({**shell, "choices": [], "usage": counts}, end=end))
    return [*frames, f"data: [DONE]{end}{end}".encode()]


_RESPONSE_NAMES = {
    "content": "output_text",
    "reasoning": "reasoning_text",
    "refusal": "refusal",
    "arguments": "function_call_arguments",
}


def responses_stream(pieces: Sequence[Piece], *, end: str = "\n", lines: int = 1, **_: Any) -> list[bytes]:
    """Responses events: one output item for each text, deltas as given, then everything said once more."""
    shell = {"id": "resp_1", "object": "response", "created_at": 5, "model": "m"}
    keys = list(dict.fromkeys((piece.choice, piece.field) for piece in pieces))
    texts = {key: "".join(p.text for p in pieces if (p.choice, p.field) == key) for key in keys}
    bodies: list[dict[str, Any]] = [{"type": "response.created", "response": {**shell, "output": []}}]
    for place, key in enumerate(keys):
        item = _item(key[1], "", place)
        bodies.append({"type": "response.output_item.added", "output_index": place, "item": item})
    for piece in pieces:
        place = keys.index((piece.choice, piece.field))
        at = {"item_id": f"i{place}", "output_index": place, "content_index": 0}
        body = {"type": f"response.{_RESPONSE_NAMES[piece.field]}.delta", **at, "delta": piece.text}
        if piece.alternatives:
            tops = [_token(piece.text), *map(_token, piece.alternatives)]
            body["logprobs"] = [{**_token(piece.text), "top_logprobs": tops}]
        bodies.append(body)
    for place, key in enumerate(keys):
        at = {"item_id": f"i{place}", "output_index": place, "content_index": 0}
        name = "text" if key[1] in ("content", "reasoning") else key[1]
        bodies.append({"type": f"response.{_RESPONSE_NAMES[key[1]]}.done", **at, name: texts[key]})
        item = _item(key[1], texts[key], place)
        bodies.append({"type": "response.output_item.done", "output_index": place, "item": item})
    output = [_item(key[1], texts[key], place) for place, key in enumerate(keys)]
    bodies.append({"type": "response.completed", "response": {**shell, "status": "completed", "output": output}})
    numbered = [{**body, "sequence_number": number} for number, body in enumerate(bodies)]
    return [frame(body, name=body["type"], end=end, lines=lines) for body in numbered]


def _item(name: str, text: str, place: int) -> dict[str, Any]:
    if name == "arguments":
        return {"type": "function_call", "id": f"i{place}", "call_id": "c1", "name": "look", "arguments": text}
    if name == "reasoning":
        parts = [{"type": "reasoning_text", "text": text}] if text else []
        return {"type": "reasoning", "id": f"i{place}", "summary": [], "content": parts}
    key, kind = ("refusal", "refusal") if name == "refusal" else ("text", "output_text")
    parts = [{"type": kind, key: text}] if text else []
    return {"type": "message", "id": f"i{place}", "role": "assistant", "content": parts}


def recut(data: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The same bytes in chunks of these sizes (used over and over)."""
    chunks, at, turn = [], 0, 0
    while at < len(data):
        size = max(1, sizes[turn % len(sizes)]) if sizes else len(data)
        chunks.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return chunks


class ScriptedAnswer:
    """A backend answer that sends the chunks it was given. `closed` tells that it was ended."""

    status = 200
    headers: Sequence[tuple[bytes, bytes]] = ((b"content-type", b"text/event-stream"),)

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = list(chunks)
        self.closed = False
        self.taken = 0

    async def chunks(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            self.taken += 1
            yield chunk

    async def aclose(self) -> None:
        self.closed = True


@dataclass(kw_only=True)
class Received:
    """What a client makes of a stream. `texts` holds every text by choice and field, token details included."""

    bodies: list[dict[str, Any]] = field(default_factory=list)
    texts: dict[TextKey, str] = field(default_factory=lambda: defaultdict(str))
    repeated: dict[TextKey, list[str]] = field(default_factory=lambda: defaultdict(list))
    roles: list[int] = field(default_factory=list)
    finished: list[tuple[int, str]] = field(default_factory=list)
    done: int = 0
    errors: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ids(self) -> set[str]:
        return {body["id"] for body in self.bodies if "id" in body}

    def everything(self) -> Iterator[tuple[TextKey, str]]:
        """Every text that the client has seen."""
        yield from self.texts.items()
        for key, texts in self.repeated.items():
            yield from ((key, text) for text in texts)


def events_of(data: bytes) -> list[str]:
    """The data of every event of a stream, as a browser would read it."""
    found: list[str] = []
    lines: list[str] = []
    for line in data.decode().replace("\r\n", "\n").replace("\r", "\n").split("\n"):
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            found.append("\n".join(lines))
            lines = []
    return found


def receive(data: bytes) -> Received:
    """Read a whole stream."""
    got = Received()
    for text in events_of(data):
        if text == "[DONE]":
            got.done += 1
            continue
        body = json.loads(text)
        got.bodies.append(body)
        if body.get("error"):
            got.errors.append(body["error"])
        for choice in body.get("choices") or ():
            _take_choice(got, choice)
        if "type" in body:
            _take_typed(got, body)
    return got


def _take_choice(got: Received, choice: dict[str, Any]) -> None:
    number = choice["index"]
    delta = choice.get("delta") or {}
    before = got.texts[number, "content"]
    if delta.get("role"):
        got.roles.append(number)
    for key in ("content", "reasoning", "refusal"):
        got.texts[number, key] += delta.get(key) or ""
    got.texts[number, "content"] += choice.get("text") or ""
    for call in delta.get("tool_calls") or ():
        got.texts[number, "arguments"] += call["function"].get("arguments") or ""
        got.texts[number, "name"] += call["function"].get("name") or ""
        got.texts[number, "call_id"] += call.get("id") or ""
    if choice.get("finish_reason"):
        got.finished.append((number, choice["finish_reason"]))
    details = choice.get("logprobs") or {}
    said = dict[str, str]()
    for token in details.get("content") or ():
        _take_token(said, token)
    for text in details.get("tokens") or ():
        _join(said, "token", text)
    for row in details.get("top_logprobs") or ():
        for rank, text in enumerate(row):
            _join(said, f"rank{rank}", text)
    _take_details(got, number, before, said)


def _take_details(got: Received, number: int, before: str, said: dict[str, str]) -> None:
    """Token details. Where they are not told, the content stands in for the chosen tokens, and others do not touch."""
    now = got.texts[number, "content"][len(before) :]
    chosen = ("token", "bytes", "rank0", "rank_bytes0")
    for name in said:
        got.texts.setdefault((number, name), before if name in chosen else "")
    for key in [key for key in got.texts if key[0] == number and key[1].startswith(("token", "bytes", "rank"))]:
        got.texts[key] += said.get(key[1], now if key[1] in chosen else " zzz ")


def _join(said: dict[str, str], name: str, text: str) -> None:
    said[name] = said.get(name, "") + text


def _take_token(said: dict[str, str], token: dict[str, Any]) -> None:
    _join(said, "token", token["token"])
    _join(said, "bytes", bytes(token["bytes"]).decode("utf-8", "replace"))
    for rank, other in enumerate(token.get("top_logprobs") or ()):
        _join(said, f"rank{rank}", other["token"])
        _join(said, f"rank_bytes{rank}", bytes(other["bytes"]).decode("utf-8", "replace"))


def _take_typed(got: Received, body: dict[str, Any]) -> None:
    number = body.get("output_index", 0)
    names = {value: key for key, value in _RESPONSE_NAMES.items()}
    kind, _, step = body["type"].removeprefix("response.").rpartition(".")
    if step == "delta" and kind in names:
        before = got.texts[number, "content"]
        got.texts[number, names[kind]] += body["delta"]
        said = dict[str, str]()
        for token in body.get("logprobs") or ():
            _take_token(said, token)
        _take_details(got, number, before, said)
    elif step == "done" and kind in names:
        text = body.get("text") or body.get("refusal") or body.get("arguments") or ""
        got.repeated[number, names[kind]].append(text)
    items = [(number, body["item"])] if "item" in body else enumerate((body.get("response") or {}).get("output") or ())
    for place, item in items:
        if item.get("arguments"):
            got.repeated[place, "arguments"].append(item["arguments"])
        for part in item.get("content") or ():
            text = part.get("text") or part.get("refusal") or ""
            name = "reasoning" if item["type"] == "reasoning" else "refusal" if "refusal" in part else "content"
            got.repeated[place, name].append(text)
