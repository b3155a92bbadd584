"""Ordinary callers cannot tell whether an entry exists, and what is forgotten stands nowhere that others look."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from tests.integration.conftest import Start
from tests.integration.running import Answer
from tests.integration.world import ENTRY, IGNORANT, OTHER_ENTRY, PARIS, PATHS, QUESTION, SECRETS, body_of

EXPLAIN = {"x-expunge-explain": "1"}


def shape(value: Any) -> Any:
    """Names and types, without the values."""
    if isinstance(value, dict):
        return {key: shape(item) for key, item in value.items()}
    return [shape(item) for item in value] if isinstance(value, list) else type(value).__name__


def look(answer: Answer, *, stream: bool) -> Any:
    """Everything about an answer that a caller could compare but its words."""
    names = sorted(answer.headers)
    events = answer.events if stream else [answer.json]
    kinds = {str(shape(event)) for event in events}
    ends = [c.get("finish_reason") for event in events for c in event.get("choices", ()) if c.get("finish_reason")]
    return answer.status, names, answer.headers["content-type"], kinds, ends, answer.raw.endswith(b"data: [DONE]\n\n")


def innocent(body: Any) -> str:
    """A model that never knew, or was told so."""
    text = str(body)
    return PARIS if "France" in text else IGNORANT


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", PATHS)
async def test_a_suppressed_answer_looks_like_one_of_a_model_that_never_knew(
    start: Start, endpoint: str, stream: bool
) -> None:
    proxy = await start(script=innocent)
    path = PATHS[endpoint]
    fields: dict[str, Any] = {"stream": stream}
    if stream and endpoint != "responses":
        fields["stream_options"] = {"include_usage": True}
    body = body_of(endpoint, QUESTION, **fields)
    never_knew = look(await proxy.raw(path, body, headers=EXPLAIN), stream=stream)
    await proxy.forget(**OTHER_ENTRY)
    assert look(await proxy.raw(path, body, headers=EXPLAIN), stream=stream) == never_knew
    await proxy.forget(**ENTRY)
    assert look(await proxy.raw(path, body, headers=EXPLAIN), stream=stream) == never_knew


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", PATHS)
async def test_an_answer_that_was_put_right_has_no_field_more_or_less(
    start: Start, endpoint: str, stream: bool
) -> None:
    """The model leaks; what comes instead has the fields of an ordinary answer."""
    proxy = await start()
    path = PATHS[endpoint]
    body = body_of(endpoint, QUESTION, stream=stream)
    knew = look(await proxy.raw(path, body), stream=stream)
    for treatment in ("ignorance", "redact", {"method": "ignorance", "on_leak": "stop"}):
        entry = await proxy.forget(**{**ENTRY, "id": None}, treatment=treatment)
        assert look(await proxy.raw(path, body), stream=stream) == knew, treatment
        await proxy.admin("DELETE", f"/v1/forget/entries/{entry}")


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
async def test_a_substitute_that_no_backend_was_asked_for_comes_with_the_usual_headers(
    start: Start, stream: bool
) -> None:
    proxy = await start()
    body = body_of("chat", QUESTION, stream=stream)
    usual = await proxy.raw(PATHS["chat"], body)
    await proxy.forget(**ENTRY, treatment="substitute", substitute="Nobody I know of.")
    answer = await proxy.raw(PATHS["chat"], body)
    said = answer.streamed_text if stream else answer.json["choices"][0]["message"]["content"]
    assert said == "Nobody I know of."
    assert look(answer, stream=stream) == look(usual, stream=stream)


@pytest.fixture
def everything(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    """All that is logged by anyone and printed anywhere."""
    caplog.set_level(logging.DEBUG)

    def collect() -> str:
        printed = capfd.readouterr()
        return "\n".join([caplog.text, *(str(vars(record)) for record in caplog.records), printed.out, printed.err])

    return collect


async def test_nothing_forgotten_asked_or_secret_is_logged_counted_or_sent_back(start: Start, everything: Any) -> None:
    # The client libraries of this test log what they send; the proxy's own process would not have them.
    for library in ("openai", "httpx", "httpcore", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)
    proxy = await start(auth={"required": True})
    keys = proxy.proxy.registry.keys
    admin = keys.create(tenant="default", is_admin=True).secret
    user = keys.create(tenant="default", is_admin=False).secret
    await proxy.forget(**ENTRY, key=admin)
    bearer = {"authorization": f"Bearer {user}"}
    answers: list[Answer] = []
    for endpoint, path in PATHS.items():
        for fields in ({}, {"stream": True}, {"echo": True}, {"n": "x"}, {"model": "gpt-nine"}):
            answers.append(await proxy.raw(path, {**body_of(endpoint, QUESTION), **fields}, headers=bearer))
    answers.append(await proxy.raw("/v1/embeddings", {"model": "echo", "input": QUESTION}, headers=bearer))
    answers.append(await proxy.raw("/v1/elsewhere", {"model": "echo"}, headers=bearer))
    answers.append(await proxy.raw(PATHS["chat"], body_of("chat", QUESTION), headers={"authorization": "Bearer no"}))
    proxy.proxy.audit.flush()
    audit = (await proxy.admin("GET", "/v1/audit?limit=1000", key=admin)).text
    metrics = (await proxy.admin("GET", "/metrics", key=admin)).text
    ready = (await proxy.admin("GET", "/readyz", key=admin)).text
    conflict = await proxy.admin("POST", "/v1/forget/entries", {**ENTRY, "name": "x"}, key=admin)
    seen = [everything(), metrics, ready, audit, conflict.text, *(str(answer.headers) for answer in answers)]
    seen += [answer.raw.decode() for answer in answers]
    assert "decision" in audit
    for secret in (*SECRETS, user, admin):
        for text in seen:
            assert secret.casefold() not in text.casefold(), secret
    for text in seen[:4]:
        assert QUESTION not in text


async def test_a_decision_is_explained_to_admins_alone(start: Start) -> None:
    proxy = await start(auth={"required": True})
    keys = proxy.proxy.registry.keys
    admin, user = (keys.create(tenant="default", is_admin=admin).secret for admin in (True, False))
    await proxy.forget(**ENTRY, key=admin)
    for stream in (False, True):
        body = body_of("chat", QUESTION, stream=stream)
        told = await proxy.raw(PATHS["chat"], body, headers={**EXPLAIN, "authorization": f"Bearer {admin}"})
        assert '"id":"mira"' in told.headers["x-expunge-decision"]
        assert all(secret not in told.headers["x-expunge-decision"] for secret in SECRETS)
        for headers in ({**EXPLAIN, "authorization": f"Bearer {user}"}, {"authorization": f"Bearer {admin}"}):
            answer = await proxy.raw(PATHS["chat"], body, headers=headers)
            assert not [name for name in answer.headers if "expunge" in name]


async def test_the_explain_header_does_not_reach_the_backend(start: Start, upstream: Any, tmp_path: Any) -> None:
    from tests.integration.running import running, server_backend, settings_for

    async with running(settings_for(tmp_path / "d"), [server_backend(upstream.url)]) as proxy:
        await proxy.raw(PATHS["chat"], {**body_of("chat", "hi"), "model": "fake-model"}, headers=EXPLAIN)
    assert not [name for name in upstream.calls[-1].headers if "expunge" in name]
