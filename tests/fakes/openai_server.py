"""A small OpenAI-compatible server over a real socket, for tests of backends and as the mock model of benchmarks.

It answers every POST with the same text, and plays a server's troubles on request: slowness before and within an
answer, a connection that breaks off (before the headers or in the middle), odd error bodies, other models' names. It
counts calls, keeps the last ones (unless told not to) and counts calls that the client gave up. Bodies are made once
per `Behaviour`, so serving costs little. Times in seconds. Run it alone with
`python -m tests.fakes.openai_server --port 8100 --words 32`.
"""

from __future__ import annotations

import argparse
import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, NoReturn, Self

import orjson
from aiohttp import web

from guardrail.backends.responses_shape import ResponsesShape
from guardrail.backends.shapes import ChatShape, CompletionShape, Head, Piece, Shape, Usage

KEPT_CALLS = 256
CREATED = 1_700_000_000
_CUT = "fake.cut"
_SHAPES: dict[str, tuple[str, Callable[[Head], Shape]]] = {
    "/v1/chat/completions": ("chatcmpl-", ChatShape),
    "/v1/completions": ("cmpl-", CompletionShape),
    "/v1/responses": ("resp_", ResponsesShape),
}


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How the server answers.

    `text` is split into words, one a chunk. `error` is (status, body, headers) for every POST. `break_after_chunks`
    cuts the connection after so many chunks (0: after the headers; of a whole answer: after half its body).
    `drop_first` cuts that many connections before any answer. `models` empty accepts every model name.
    """

    text: str = "The quick brown fox jumps over the lazy dog."
    models: tuple[str, ...] = ("fake-model",)
    delay_s: float = 0.0
    chunk_delay_s: float = 0.0
    break_after_chunks: int | None = None
    drop_first: int = 0
    error: tuple[int, bytes, dict[str, str]] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    keep_calls: bool = True


@dataclass(frozen=True, kw_only=True)
class Received:
    """A call as it came over the wire."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    peer_port: int


class FakeOpenAIServer:
    """`async with FakeOpenAIServer() as server: server.url`; `server.behaviour` may be replaced at any time."""

    def __init__(self, behaviour: Behaviour = Behaviour()) -> None:
        self._prepared: dict[tuple[str, str, bool, bool], list[bytes]] = {}
        self._behaviour = behaviour
        self._runner: web.ServerRunner | None = None
        self.url = ""
        self.calls: deque[Received] = deque(maxlen=KEPT_CALLS)
        self.count = 0
        self.active = 0
        self.cancelled = 0
        self._dropped = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = asyncio.Event()

    @property
    def behaviour(self) -> Behaviour:
        """How the next call is answered."""
        return self._behaviour

    def behave(self, **changes: Any) -> None:
        """Change some of the behaviour."""
        self._behaviour = replace(self._behaviour, **changes)
        self._prepared.clear()
        self._dropped = 0

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen; port 0 takes a free one, told by `url`."""
        # Without handler cancellation a hung-up client would go unnoticed, and it is what we count.
        self._runner = web.ServerRunner(
            web.Server(self._handle, handler_cancellation=True), access_log=None, shutdown_timeout=0.5
        )
        await self._runner.setup()
        site = web.TCPSite(self._runner, host, port)
        await site.start()
        taken = self._runner.addresses[0]
        self.url = f"http://{taken[0]}:{taken[1]}"

    async def stop(self) -> None:
        """Stop listening and drop every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def until_called(self) -> None:
        """Wait until a call is under way."""
        await self._busy.wait()

    async def until_idle(self) -> None:
        """Wait until no call is under way."""
        await self._idle.wait()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/tokenize":  # counts no prompts; not one of the calls that tests look at
            return web.Response(status=404)
        self.active += 1
        self.count += 1
        self._idle.clear()
        self._busy.set()
        try:
            return await self._answer(request)
        except (asyncio.CancelledError, ConnectionResetError):
            self.cancelled += _CUT not in request
            raise
        finally:
            self.active -= 1
            if not self.active:
                self._idle.set()
                self._busy.clear()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        how = self._behaviour
        raw = await request.read()
        if how.keep_calls:
            self._keep(request, raw)
        if self._dropped < how.drop_first:
            self._dropped += 1
            _cut(request)
        if how.delay_s and request.method == "POST":
            await asyncio.sleep(how.delay_s)
        if request.method == "GET":
            cards = [{"id": name, "object": "model", "created": CREATED, "owned_by": "fake"} for name in how.models]
            return _json({"object": "list", "data": cards}, how)
        if how.error is not None:
            status, body, headers = how.error
            return web.Response(status=status, body=body, headers={"content-type": "application/json", **headers})
        asked = orjson.loads(raw)
        if how.models and asked.get("model") not in how.models:
            return _unknown_model(str(asked.get("model")))
        if request.path == "/v1/embeddings":
            return _json(_embeddings(asked), how)
        parts = self._parts(request.path, asked)
        return await (self._stream(request, parts) if asked.get("stream") else self._whole(request, parts[0]))

    def _keep(self, request: web.BaseRequest, raw: bytes) -> None:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        headers = {name.lower(): value for name, value in request.headers.items()}
        port = peer[1] if peer else 0
        self.calls.append(
            Received(method=request.method, target=request.raw_path, headers=headers, body=raw, peer_port=port)
        )

    def _parts(self, path: str, asked: dict[str, Any]) -> list[bytes]:
        """The SSE events of a stream, or the one body of a whole answer."""
        stream = bool(asked.get("stream"))
        usage_asked = bool((asked.get("stream_options") or {}).get("include_usage"))
        key = (path, str(asked.get("model")), stream, usage_asked)
        if key not in self._prepared:
            self._prepared[key] = self._prepare(*key)
        return self._prepared[key]

    def _prepare(self, path: str, model: str, stream: bool, usage_asked: bool) -> list[bytes]:
        prefix, kind = _SHAPES.get(path, _SHAPES["/v1/chat/completions"])
        shape: Shape = kind(Head(id=f"{prefix}fake", model=model, created=CREATED, include_usage=usage_asked))
        first, *others = self._behaviour.text.split(" ")
        pieces = [Piece(text=first), *(Piece(text=f" {word}") for word in others), Piece(finish="stop")]
        usage = Usage(prompt=7, completion=len(pieces) - 1)
        if not stream:
            return [shape.whole(pieces, usage)]
        events = [*shape.opening(), *(event for piece in pieces for event in shape.event(piece))]
        return events + shape.closing(usage)

    async def _whole(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        how = self._behaviour
        headers = {"content-type": "application/json", **how.headers}
        if how.break_after_chunks is None:
            return web.Response(body=body, headers=headers)
        answer = web.StreamResponse(headers=headers)
        answer.content_length = len(body)
        await answer.prepare(request)
        await answer.write(body[: len(body) // 2])
        _cut(request)

    async def _stream(self, request: web.BaseRequest, events: list[bytes]) -> web.StreamResponse:
        how = self._behaviour
        answer = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8", **how.headers})
        await answer.prepare(request)
        for place, event in enumerate(events):
            if place == how.break_after_chunks:
                _cut(request)
            if how.chunk_delay_s:
                await asyncio.sleep(how.chunk_delay_s)
            await answer.write(event)
        await answer.write_eof()
        return answer


def _cut(request: web.BaseRequest) -> NoReturn:
    """Close the connection without an end of the answer."""
    request[_CUT] = True
    if request.transport is not None:
        request.transport.close()
    raise ConnectionResetError("cut on purpose")


def _json(data: dict[str, Any], how: Behaviour) -> web.Response:
    return web.Response(body=orjson.dumps(data), headers={"content-type": "application/json", **how.headers})


def _unknown_model(model: str) -> web.Response:
    """vLLM's own words and shape: the code is a number."""
    message = f"The model `{model}` does not exist."
    error = {"message": message, "type": "NotFoundError", "param": "model", "code": 404}
    return web.Response(status=404, body=orjson.dumps({"error": error}), content_type="application/json")


def _embeddings(asked: dict[str, Any]) -> dict[str, Any]:
    texts = asked["input"] if isinstance(asked["input"], list) else [asked["input"]]
    data = [{"object": "embedding", "index": place, "embedding": [0.1, 0.2]} for place in range(len(texts))]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    return {"object": "list", "data": data, "model": asked.get("model"), "usage": usage}


async def _serve(arguments: argparse.Namespace) -> None:
    text = " ".join(f"word{place}" for place in range(arguments.words))
    behaviour = Behaviour(
        text=text, models=(), delay_s=arguments.delay, chunk_delay_s=arguments.chunk_delay, keep_calls=False
    )
    server = FakeOpenAIServer(behaviour)
    await server.start(arguments.host, arguments.port)
    print(server.url, flush=True)
    await asyncio.Event().wait()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description="A fake OpenAI-compatible server with a fixed answer.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port, printed")
    parser.add_argument("--words", type=int, default=32, help="words of the answer; one streamed chunk each")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--chunk-delay", type=float, default=0.0, help="seconds between streamed chunks")
    asyncio.run(_serve(parser.parse_args()))


if __name__ == "__main__":
    main()
