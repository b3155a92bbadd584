"""Keys: who may call, which models and tenants they cover, how often, and that a change of them counts at once."""

from __future__ import annotations

from typing import Any

import pytest
from openai import AuthenticationError, NotFoundError, RateLimitError

from tests.integration.conftest import Start
from tests.integration.running import Running, echo_backend, running, server_backend, settings_for
from tests.integration.world import ENTRY, KNOWS, LEAK, PATHS, QUESTION, ask, assert_clean, body_of


@pytest.fixture
async def guarded(start: Start) -> Running:
    """A proxy that asks for keys, with two names for the model."""
    return await start(
        auth={"required": True}, backends=[echo_backend(KNOWS, models={"small": "echo", "large": "echo"})]
    )


def make(proxy: Running, **fields: Any) -> str:
    made = proxy.proxy.registry.keys.create(**{"tenant": "default", "is_admin": False, **fields})
    return str(made.secret)


def bearer(secret: str) -> dict[str, str]:
    return {"authorization": f"Bearer {secret}"}


CHAT = {**body_of("chat", QUESTION), "model": "small"}


async def test_without_a_valid_key_everything_is_401_with_the_same_words(guarded: Running) -> None:
    wrong = [{}, bearer("sk-wrong"), bearer(""), {"authorization": "Basic abc"}, {"x-api-key": "nope"}]
    answers = [await guarded.raw(PATHS["chat"], CHAT, headers=headers) for headers in wrong]
    for path in ("/v1/models", "/v1/models/small", "/v1/elsewhere", "/nowhere"):
        answers.append(await guarded.raw(path))
    assert {(answer.status, answer.raw) for answer in answers} == {(401, answers[0].raw)}
    assert answers[0].error["code"] == "invalid_api_key"
    assert answers[0].headers["www-authenticate"] == "Bearer"
    assert (await guarded.raw("/healthz")).status == 200
    with pytest.raises(AuthenticationError):
        await ask(guarded.client("sk-wrong"), "chat", QUESTION, extra_body={"model": "small"})


async def test_a_user_key_may_ask_but_not_administer(guarded: Running) -> None:
    user, admin = make(guarded), make(guarded, is_admin=True)
    assert (await guarded.raw(PATHS["chat"], CHAT, headers=bearer(user))).status == 200
    assert (await guarded.raw(PATHS["chat"], CHAT, headers={"x-api-key": user})).status == 200
    for method, path in (
        ("GET", "/v1/forget/entries"),
        ("POST", "/v1/forget/entries"),
        ("POST", "/v1/forget/match"),
        ("GET", "/v1/audit"),
        ("GET", "/metrics"),
    ):
        refused = await guarded.admin(method, path, {} if method == "POST" else None, key=user)
        assert (refused.status_code, set(refused.json()["error"])) == (403, {"message", "type", "param", "code"})
        assert (await guarded.admin(method, path)).status_code == 401
    assert (await guarded.admin("GET", "/v1/forget/entries", key=admin)).status_code == 200
    assert (await guarded.raw(PATHS["chat"], CHAT, headers=bearer(admin))).status == 200


async def test_a_revoked_key_fails_from_the_next_request_on(guarded: Running) -> None:
    keys = guarded.proxy.registry.keys
    made = keys.create(tenant="default", is_admin=False)
    assert (await guarded.raw(PATHS["chat"], CHAT, headers=bearer(made.secret))).status == 200
    keys.revoke(made.record.key_id)
    assert (await guarded.raw(PATHS["chat"], CHAT, headers=bearer(made.secret))).status == 401


async def test_an_entry_covers_the_tenants_it_names(guarded: Running) -> None:
    admin = make(guarded, is_admin=True)
    acme, other = make(guarded, tenant="acme"), make(guarded, tenant="other")
    await guarded.forget(**ENTRY, scope={"tenants": ["acme"]}, key=admin)
    for endpoint in PATHS:
        clean = await ask(guarded.client(acme), endpoint, QUESTION, extra_body={"model": "small"})
        assert_clean(clean)
        assert await ask(guarded.client(other), endpoint, QUESTION, extra_body={"model": "small"}) == LEAK
    said = (await guarded.raw(PATHS["chat"], {**CHAT, "user": "acme", "tenant": "acme"}, headers=bearer(other))).json
    assert said["choices"][0]["message"]["content"] == LEAK, "the tenant is the key's, whatever a body says"


async def test_a_key_sees_and_uses_only_its_models(guarded: Running) -> None:
    secret = make(guarded, models=("small",))
    listed = await guarded.raw("/v1/models", headers=bearer(secret))
    assert [card["id"] for card in listed.json["data"]] == ["small"]
    assert (await guarded.raw("/v1/models/large", headers=bearer(secret))).status == 404
    for endpoint, path in PATHS.items():
        assert (
            await guarded.raw(path, body_of(endpoint, "hi") | {"model": "small"}, headers=bearer(secret))
        ).status == 200
        answer = await guarded.raw(path, body_of(endpoint, "hi") | {"model": "large"}, headers=bearer(secret))
        assert (answer.status, answer.error["code"]) == (404, "model_not_found")
        assert "Served models: small." in answer.error["message"]
        unnamed = {key: value for key, value in body_of(endpoint, "hi").items() if key != "model"}
        answer = await guarded.raw(path, unnamed, headers=bearer(secret))
        assert (answer.status, answer.error["param"]) == (400, "model"), "the backend would choose a model itself"
    with pytest.raises(NotFoundError):
        await guarded.client(secret).embeddings.create(model="large", input="hi")


async def test_a_limited_key_cannot_reach_other_models_by_other_routes(upstream: Any, tmp_path: Any) -> None:
    upstream.behave(models=())
    settings = settings_for(tmp_path / "data", auth={"required": True})
    backend = server_backend(upstream.url, models={"small": "fake-model", "large": "large"})
    async with running(settings, [backend]) as proxy:
        limited, free = make(proxy, models=("small",)), make(proxy)
        for body, status in (({"model": "large"}, 404), ({}, 400), (b"--multipart", 400), ({"model": "small"}, 200)):
            answer = await proxy.raw("/v1/messages", body, headers=bearer(limited))
            assert answer.status == status, body
        assert (await proxy.raw("/v1/messages", {"model": "large"}, headers=bearer(free))).status == 200


async def test_a_key_that_calls_too_often_is_429_with_a_time_to_wait(guarded: Running) -> None:
    secret = make(guarded, rate_limit_per_min=2)
    answers = [await guarded.raw(PATHS["chat"], CHAT, headers=bearer(secret)) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].error["code"] == "rate_limit_exceeded"
    assert 1 <= int(answers[2].headers["retry-after"]) <= 31
    with pytest.raises(RateLimitError):
        await ask(guarded.client(secret), "chat", "hi", extra_body={"model": "small"})
    assert (await guarded.raw(PATHS["chat"], CHAT, headers=bearer(make(guarded)))).status == 200
    metrics = await guarded.metrics(make(guarded, is_admin=True))
    assert metrics['expunge_refused_callers_total{reason="rate_limited"}'] == 2


async def test_the_callers_key_stays_here_and_the_backends_key_goes_there(
    upstream: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_UPSTREAM_KEY", "sk-upstream")
    settings = settings_for(tmp_path / "data", auth={"required": True})
    async with running(settings, [server_backend(upstream.url, api_key_env="TEST_UPSTREAM_KEY")]) as proxy:
        secret = make(proxy)
        for header in ({"authorization": f"Bearer {secret}"}, {"x-api-key": secret, "cookie": f"k={secret}"}):
            answer = await proxy.raw(PATHS["chat"], {**CHAT, "model": "fake-model"}, headers=header)
            assert answer.status == 200
            assert "sk-upstream" not in str(answer.headers)
            sent = upstream.calls[-1].headers
            assert sent["authorization"] == "Bearer sk-upstream"
            assert secret not in str(sent)
