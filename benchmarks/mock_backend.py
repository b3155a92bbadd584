"""A model server that costs nothing: fixed answers, so that what is measured is whatever stands in front of it.

Raw ASGI, run as a process of its own: `python -m benchmarks.mock_backend --port 8190`. A chat request gets about
0.5 kB of JSON, a streamed one 34 events, each sent by itself: as fast as they go from the model `mock`, and every
`--gap-ms` milliseconds from `mock-paced`. Paced events arrive one by one, as from a real model, and each wakes the
proxy up; fast ones arrive several at a time, as from many callers at once.
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

import orjson
import uvicorn

MODEL: Final = "mock"
PACED_MODEL: Final = "mock-paced"
STREAM_EVENTS: Final = 34
TEXT: Final = (
    "The kettle is on and the kitchen smells of toast while rain runs down the window and somebody in the next room "
    "hums a tune that nobody can name before the day begins"
)
WORDS: Final = tuple(TEXT.split())

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]
Receive = Callable[[], Awaitable[Message]]


def chat_reply() -> bytes:
    """The whole answer of a chat request that does not stream."""
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 40, "completion_tokens": len(WORDS), "total_tokens": 40 + len(WORDS)}
    return orjson.dumps({**_head("chat.completion"), "choices": [choice], "usage": usage})


def stream_events() -> list[bytes]:
    """The events of a streamed chat answer: role, words, finish reason, `[DONE]`."""
    deltas: list[tuple[dict[str, str], str | None]] = [({"role": "assistant", "content": ""}, None)]
    deltas += [({"content": f"{word} "}, None) for word in WORDS[: STREAM_EVENTS - 3]]
    deltas.append(({}, "stop"))
    events = []
    for delta, finish in deltas:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        events.append(b"data: " + orjson.dumps({**_head("chat.completion.chunk"), "choices": [choice]}) + b"\n\n")
    return [*events, b"data: [DONE]\n\n"]


def _head(kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-0123456789abcdef", "object": kind, "created": 1_700_000_000, "model": MODEL}


class MockBackend:
    """The ASGI application."""

    def __init__(self, *, gap_s: float) -> None:
        self._gap_s = gap_s
        self._reply = chat_reply()
        self._events = stream_events()
        cards = [{"id": name, "object": "model", "owned_by": "mock"} for name in (MODEL, PACED_MODEL)]
        self._models = orjson.dumps({"object": "list", "data": cards})

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        if scope["method"] == "GET":
            await _answer(send, self._models)
            return
        body = b""
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        request = orjson.loads(body)
        if request.get("stream"):
            await self._stream(send, gap_s=self._gap_s if request.get("model") == PACED_MODEL else 0.0)
        else:
            await _answer(send, self._reply)

    async def _stream(self, send: Send, *, gap_s: float) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for event in self._events:
            await asyncio.sleep(gap_s)
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _answer(send: Send, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    """Serve until told to stop."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--gap-ms", type=float, default=1.0)
    arguments = parser.parse_args()
    app = MockBackend(gap_s=arguments.gap_ms / 1000)
    uvicorn.run(app, port=arguments.port, log_level="warning", access_log=False, lifespan="off", loop="uvloop")


if __name__ == "__main__":
    main()
