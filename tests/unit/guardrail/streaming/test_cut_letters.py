"""Token rows whose tokens are parts of letters, or ids: they never spell a name that was turned back in the text."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Any

import orjson
import pytest

from guardrail.decision import Part, Swap
from guardrail.openai_wire.sse import SseSplitter, write_event
from guardrail.streaming.answers import inspect_answer
from guardrail.streaming.guard import StreamGuard
from guardrail.streaming.guard_plan import GuardPlan
from tests.fakes.forgotten import plan_of

TEXT = "We know Žofie Černá. She bakes 🍞 daily."
TOLD = "We know Ada Quelle. She bakes 🍞 daily."
SWAP = Swap(
    entry_id="e1",
    invented="Žofie Černá",
    written="Ada Quelle",
    parts=(Part(invented="Žofie", written="Ada", alone=True), Part(invented="Černá", written="Quelle", alone=True)),
)
BYTES = ["none", "replaced", "true"]


def plan(endpoint: str = "chat") -> GuardPlan:
    return plan_of(endpoint, swaps=(SWAP,))


def tokens_of(text: str) -> list[bytes]:
    """ASCII letters in twos, every byte of other letters alone."""
    found: list[bytes] = []
    for letter in text:
        if not letter.isascii():
            found += [bytes([byte]) for byte in letter.encode()]
        elif found and found[-1].isalpha() and len(found[-1]) == 1 and letter.isalpha():
            found[-1] += letter.encode()
        else:
            found.append(letter.encode())
    return found


def row_of(token: bytes, kind: str) -> dict[str, Any]:
    shown = token.decode(errors="replace")
    given = {"none": None, "replaced": list(shown.encode()), "true": list(token)}[kind]
    return {"token": shown, "logprob": -0.5, "bytes": given, "top_logprobs": []}


def rows_for(text: str, kind: str = "none") -> list[dict[str, Any]]:
    return [row_of(token, kind) for token in tokens_of(text)]


def whole(text: str, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {"choices": [{"index": 0, "message": message, "logprobs": {"content": list(rows)}, "finish_reason": "stop"}]}


def streamed(text: str, kind: str, size: int, *, late: int = 0) -> list[dict[str, Any]]:
    """Events of `size` tokens; the text comes `late` letters behind its tokens, as it does beside stop strings."""
    reader = codecs.getincrementaldecoder("utf-8")()
    tokens, waiting, events = tokens_of(text), "", list[dict[str, Any]]()
    for start in range(0, len(tokens), size):
        some = tokens[start : start + size]
        is_last = start + size >= len(tokens)
        waiting += reader.decode(b"".join(some))
        at = len(waiting) if is_last else max(len(waiting) - late, 0)
        delta, waiting = waiting[:at], waiting[at:]
        rows = {"content": [row_of(token, kind) for token in some]}
        finish = "stop" if is_last else None
        one = {"index": 0, "delta": {"content": delta}, "logprobs": rows, "finish_reason": finish}
        events.append({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [one]})
    return events


def guarded(events: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    guard, splitter = StreamGuard(plan()), SseSplitter(1 << 20)
    out = [part for body in events for event in splitter.push(write_event(body)) for part in guard.push(event)]
    raw = b"".join([*out, *guard.end()])
    return [orjson.loads(line[6:]) for line in raw.splitlines() if line.startswith(b"data: ")]


def spelt(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(row["token"] for row in rows)


@pytest.mark.parametrize("kind", BYTES)
def test_a_whole_answer_loses_the_rows_that_spell_the_invented_name(kind: str) -> None:
    body = inspect_answer(plan(), whole(TEXT, rows_for(TEXT, kind))).body
    assert body["choices"][0]["message"]["content"] == TOLD
    assert body["choices"][0]["logprobs"] is None


@pytest.mark.parametrize("kind", BYTES)
def test_other_letters_that_are_cut_leave_the_rows_of_an_answer(kind: str) -> None:
    plain = Swap(
        entry_id="e1",
        invented="Dravel",
        written="Ada",
        parts=(Part(invented="Dravel", written="Ada", alone=True),),
    )
    text = "Dravel bakes 🍞🍞 daily. Žluť, Dravel."
    rows = rows_for(text, kind)
    body = inspect_answer(plan_of(swaps=(plain,)), whole(text, rows)).body
    kept = body["choices"][0]["logprobs"]["content"]
    assert spelt(kept) == spelt(rows).replace("Dravel", "Ada")


def test_rows_of_ids_go_with_the_name() -> None:
    rows = [{"token": f"token_id:{number}", "logprob": -0.5} for number in range(9)]
    assert inspect_answer(plan(), whole(TEXT, rows)).body["choices"][0]["logprobs"] is None
    clear = whole("She bakes.", rows)
    assert inspect_answer(plan(), clear).body["choices"][0]["logprobs"]["content"] == rows


def test_rows_without_a_token_are_no_error() -> None:
    rows: list[dict[str, Any]] = [{"logprob": -0.5}, {"token": None, "top_logprobs": [{"logprob": -1.0}]}]
    body = inspect_answer(plan(), whole(TEXT, [*rows, {"token": TEXT}, *rows])).body
    assert [row.get("token") for row in body["choices"][0]["logprobs"]["content"]] == [None, None, TOLD, None, None]


@pytest.mark.parametrize("late", [0, 7, 40])
@pytest.mark.parametrize("kind", BYTES)
@pytest.mark.parametrize("size", [1, 3, 200])
def test_no_row_of_a_stream_spells_the_invented_name(size: int, kind: str, late: int) -> None:
    events = guarded(streamed(TEXT, kind, size, late=late))
    choices = [event["choices"][0] for event in events]
    assert "".join(choice["delta"].get("content") or "" for choice in choices) == TOLD
    rows = [row for choice in choices for row in (choice["logprobs"] or {}).get("content") or ()]
    for part in ("fi", "ern", "rn"):
        assert part not in spelt(rows)
    assert choices[-1]["finish_reason"] == "stop"


def test_a_stream_keeps_the_rows_of_what_follows() -> None:
    choices = [event["choices"][0] for event in guarded(streamed(TEXT, "none", 1))]
    rows = [row for choice in choices for row in (choice["logprobs"] or {}).get("content") or ()]
    assert spelt(rows).endswith(" She bakes \ufffd\ufffd\ufffd\ufffd daily.")


@pytest.mark.parametrize("kind", BYTES)
def test_parts_and_items_of_responses_lose_them_too(kind: str) -> None:
    part: dict[str, Any] = {"type": "output_text", "text": TEXT, "annotations": [], "logprobs": rows_for(TEXT, kind)}
    item = {"type": "message", "id": "m", "role": "assistant", "content": [part]}
    body = inspect_answer(plan("responses"), {"id": "r", "object": "response", "output": [item]}).body
    assert body["output"][0]["content"][0]["text"] == TOLD
    assert body["output"][0]["content"][0]["logprobs"] == []
    guard = StreamGuard(plan("responses"))
    (event,) = SseSplitter(1 << 20).push(
        write_event({"type": "response.output_item.done", "output_index": 0, "item": item})
    )
    raw = b"".join([*guard.push(event), *guard.end()])
    said = orjson.loads(raw.split(b"data: ")[1])["item"]["content"][0]
    assert (said["text"], said["logprobs"]) == (TOLD, [])
