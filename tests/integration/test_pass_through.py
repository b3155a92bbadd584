"""What is not touched leaves as it came, byte for byte: with nothing to forget, and with entries that are not met."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fakes.openai_server import FakeOpenAIServer
from tests.integration.running import Running, running, server_backend, settings_for
from tests.integration.world import OTHER_ENTRY, PATHS

# Spacing, escapes, number formats, an unknown field and a repeated key: all of it is the caller's business.
ODD = {
    "chat": rb'{ "model":"fake-model" ,"messages":[{"role":"user","content":"h\u00e9 \/ {\"model\": 1}",'
    rb'"x_new":[1.0,1e5]}],"x_seed":12345678901234567, "x_seed" : 1.50 ,"stream":%s}',
    "completions": rb'{"prompt" : "hello","model":"fake-model","x_new":{"deep":[null,true]},"stream":%s}' + b"\n",
    "responses": rb'{"input":[{"role":"user","content":[{"type":"input_text","text":"hi"}]}],"model":"fake-model",'
    rb'"x_new":"\ud83d\ude00","stream":%s}',
}
STREAM = (
    b": a comment\n\n"
    b'data: {"id":"x","object":"chat.completion.chunk","created":1,"model":"fake-model","x_new":{"a":1.0},'
    b'"choices":[{"index":0,"delta":{"role":"assistant","content":"h\\u00e9","x_more":null},"finish_reason":null}]}\n\n'
    b'event: odd\r\ndata: {"id":"x","model":"fake-model","choices":[{"index":0,"delta":{"content":" yo"},'
    b'"finish_reason":"stop","stop_reason":null}]}\r\n\r\n'
    b"data: [DONE]\n\n"
)
WHOLE = (
    b'{ "id":"x","model":"fake-model", "x_new":[1.0,1e5,"\\u00e9"],"choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"h\\u00e9llo","x_more":null},"finish_reason":"stop","stop_reason":null}]}\n'
)
SSE = {"content-type": "text/event-stream; charset=utf-8"}


@pytest.fixture(params=["nothing to forget", "unrelated entries"])
async def proxy(request: pytest.FixtureRequest, relay: Running) -> Running:
    if request.param == "unrelated entries":
        await relay.forget(**OTHER_ENTRY)
    return relay


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", PATHS)
async def test_a_request_reaches_the_backend_with_its_own_bytes(
    proxy: Running, upstream: FakeOpenAIServer, endpoint: str, stream: bool
) -> None:
    body = ODD[endpoint].replace(b"%s", b"true" if stream else b"false")
    headers = {"x-trace": "7", "authorization": "Bearer sk-callers-own"}
    answer = await proxy.raw(PATHS[endpoint] + "?x=1&y=%20", body, headers=headers)
    assert answer.status == 200
    call = upstream.calls[-1]
    assert call.body == body
    assert call.target == PATHS[endpoint] + "?x=1&y=%20"
    assert call.headers["x-trace"] == "7"
    assert "sk-callers-own" not in str(call.headers)


async def test_an_answer_comes_back_with_the_backends_bytes(proxy: Running, upstream: FakeOpenAIServer) -> None:
    upstream.behave(error=(200, WHOLE, {"x-backend": "kept"}))
    answer = await proxy.raw(PATHS["chat"], ODD["chat"].replace(b"%s", b"false"))
    assert answer.raw == WHOLE
    assert answer.headers["x-backend"] == "kept"
    assert answer.headers["content-length"] == str(len(WHOLE))


async def test_a_stream_comes_back_with_the_backends_bytes(proxy: Running, upstream: FakeOpenAIServer) -> None:
    upstream.behave(error=(200, STREAM, SSE))
    answer = await proxy.raw(PATHS["chat"], ODD["chat"].replace(b"%s", b"true"))
    assert answer.raw == STREAM


@pytest.mark.parametrize("endpoint", PATHS)
async def test_an_ordinary_stream_equals_a_direct_one(
    proxy: Running, upstream: FakeOpenAIServer, endpoint: str
) -> None:
    body = ODD[endpoint].replace(b"%s", b"true")
    through = await proxy.raw(PATHS[endpoint], body)
    async with proxy.session.post(upstream.url + PATHS[endpoint], data=body) as direct:
        assert through.raw == await direct.read()


async def test_a_backends_error_passes_with_its_words(proxy: Running, upstream: FakeOpenAIServer) -> None:
    error = b'{"error":{"message":"top_p must be in (0, 1]","type":"BadRequestError","param":"top_p","code":400}}'
    upstream.behave(error=(400, error, {"x-backend": "kept"}))
    answer = await proxy.raw(PATHS["chat"], ODD["chat"].replace(b"%s", b"false"))
    assert (answer.status, answer.headers["x-backend"]) == (400, "kept")
    assert answer.error == {
        "message": "top_p must be in (0, 1]",
        "type": "BadRequestError",
        "param": "top_p",
        "code": "400",
    }


@pytest.mark.parametrize("forgets", [False, True], ids=["nothing to forget", "unrelated entries"])
async def test_a_renamed_model_changes_nothing_but_the_name(
    upstream: FakeOpenAIServer, tmp_path: Path, forgets: bool
) -> None:
    settings = settings_for(tmp_path / "data")
    async with running(settings, [server_backend(upstream.url, models={"public": "fake-model"})]) as proxy:
        if forgets:
            await proxy.forget(**OTHER_ENTRY)
        for stream in (b"false", b"true"):
            body = ODD["chat"].replace(b"%s", stream)
            asked = body.replace(b'"model":"fake-model"', b'"model":"public"')
            upstream.behave(error=(200, STREAM, SSE) if stream == b"true" else (200, WHOLE, {}))
            answer = await proxy.raw(PATHS["chat"], asked)
            assert upstream.calls[-1].body == body
            assert b"fake-model" not in answer.raw
            if not forgets:
                sent = STREAM if stream == b"true" else WHOLE
                assert answer.raw == sent.replace(b'"fake-model"', b'"public"')
        listed = await proxy.raw("/v1/models")
        assert [card["id"] for card in listed.json["data"]] == ["public"]
        assert (await proxy.raw("/v1/embeddings", {"model": "public", "input": "hi"})).status == 200


async def test_an_embeddings_answer_carries_the_public_name(upstream: FakeOpenAIServer, tmp_path: Path) -> None:
    settings = settings_for(tmp_path / "data")
    async with running(settings, [server_backend(upstream.url, models={"public": "fake-model"})]) as proxy:
        answer = await proxy.raw("/v1/embeddings", {"model": "public", "input": ["hi"]})
        assert answer.json["model"] == "public"


async def test_other_routes_pass_with_path_query_and_bytes(relay: Running, upstream: FakeOpenAIServer) -> None:
    upstream.behave(error=(200, b"\x00\xff raw", {"content-type": "application/octet-stream"}))
    answer = await relay.raw("/v1/audio/a%2Fb%20c?q=%2F", b"\x01\x02", headers={"content-type": "audio/wav"})
    assert (answer.status, answer.raw) == (200, b"\x00\xff raw")
    assert upstream.calls[-1].target == "/v1/audio/a%2Fb%20c?q=%2F"
    assert upstream.calls[-1].body == b"\x01\x02"
    for path in ("/v1/x/%2e%2e/%2e%2e/metrics", "/v1/x/..%2f..%2fmetrics"):
        assert (await relay.raw(path)).status == 404, "a way out of /v1"
