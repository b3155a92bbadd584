"""Keys become callers; wrong keys, frequent callers and foreign models are refused without telling why."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from guardrail.auth import Authenticator, check_model, may_use, secret_of
from guardrail.decision import Caller
from guardrail.errors import ApiError, ConfigError, unknown_model
from retrieval.entry import ForgetEntry
from retrieval.registry import Registry


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    registry = Registry.open(tmp_path / "data")
    yield registry
    registry.close()


def _bearer(secret: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), (b"authorization", b"Bearer " + secret.encode())]


async def test_a_key_tells_tenant_scope_and_role_by_either_header(registry: Registry) -> None:
    key = registry.keys.create(tenant="acme", is_admin=False, models=("small",), rate_limit_per_min=9, label="app")
    authenticator = Authenticator(registry, required=True)
    caller = await authenticator.authenticate(_bearer(key.secret))
    assert caller == Caller(
        tenant="acme", key_id=key.record.key_id, is_admin=False, models=("small",), rate_limit_per_min=9
    )
    assert await authenticator.authenticate([(b"x-api-key", key.secret.encode())]) == caller


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic dXNlcjpwYXNz")],
        [(b"authorization", b"Bearer xk-unknown-secret")],
        [(b"authorization", b"Bearer " + b"x" * 10_000)],
        [(b"x-api-key", "schlüssel".encode())],
    ],
)
async def test_every_unusable_key_gets_the_same_401(registry: Registry, headers: list[tuple[bytes, bytes]]) -> None:
    authenticator = Authenticator(registry, required=True)
    with pytest.raises(ApiError) as missing:
        await authenticator.authenticate([])
    for _ in range(2):  # the second answer comes from the cache
        with pytest.raises(ApiError) as refused:
            await authenticator.authenticate(headers)
        assert refused.value.status == 401
        assert refused.value.code == "invalid_api_key"
        assert refused.value.message == missing.value.message


async def test_a_revoked_key_fails_at_the_next_request_although_it_was_cached(registry: Registry) -> None:
    key = registry.keys.create(tenant="acme", is_admin=False)
    authenticator = Authenticator(registry, required=True)
    await authenticator.authenticate(_bearer(key.secret))
    registry.keys.revoke(key.record.key_id)
    with pytest.raises(ApiError) as refused:
        await authenticator.authenticate(_bearer(key.secret))
    assert refused.value.status == 401


async def test_a_known_key_is_not_looked_up_again_until_the_registry_changes(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = registry.keys.create(tenant="acme", is_admin=False)
    asked: list[str] = []
    verify = registry.keys.verify

    def counting(secret: str) -> object:
        asked.append(secret)
        return verify(secret)

    monkeypatch.setattr(registry.keys, "verify", counting)
    authenticator = Authenticator(registry, required=True)
    for _ in range(3):
        await authenticator.authenticate(_bearer(key.secret))
    assert len(asked) == 1
    registry.create(ForgetEntry(name="Somebody"), actor="test")
    await authenticator.authenticate(_bearer(key.secret))
    assert len(asked) == 2


async def test_strangers_do_not_grow_the_cache_without_bound(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("guardrail.auth.CACHED_STRANGERS", 3)
    authenticator = Authenticator(registry, required=True)
    for number in range(8):
        with pytest.raises(ApiError):
            await authenticator.authenticate(_bearer(f"xk-wrong-{number}"))
    assert len(authenticator._strangers) == 3


async def test_a_key_that_calls_too_often_gets_429_and_the_seconds_to_wait(registry: Registry) -> None:
    key = registry.keys.create(tenant="acme", is_admin=False, rate_limit_per_min=2)
    other = registry.keys.create(tenant="acme", is_admin=False, rate_limit_per_min=2)
    clock = Clock()
    authenticator = Authenticator(registry, required=True, clock=clock)
    for _ in range(2):
        await authenticator.authenticate(_bearer(key.secret))
    with pytest.raises(ApiError) as refused:
        await authenticator.authenticate(_bearer(key.secret))
    assert (refused.value.status, refused.value.code) == (429, "rate_limit_exceeded")
    assert refused.value.retry_after_s == pytest.approx(30.0)
    await authenticator.authenticate(_bearer(other.secret))
    registry.create(ForgetEntry(name="Somebody"), actor="test")  # drops the key cache, not the count
    with pytest.raises(ApiError):
        await authenticator.authenticate(_bearer(key.secret))
    clock.now_s += 30.0
    await authenticator.authenticate(_bearer(key.secret))


async def test_the_admin_listener_wants_an_admin_key(registry: Registry) -> None:
    user = registry.keys.create(tenant="acme", is_admin=False)
    admin = registry.keys.create(tenant="acme", is_admin=True)
    authenticator = Authenticator(registry, required=True)
    with pytest.raises(ApiError) as refused:
        await authenticator.authenticate(_bearer(user.secret), admin_listener=True)
    assert refused.value.status == 403
    assert (await authenticator.authenticate(_bearer(admin.secret), admin_listener=True)).is_admin
    assert (await authenticator.authenticate(_bearer(admin.secret))).is_admin


async def test_without_required_keys_everyone_is_the_default_tenant() -> None:
    authenticator = Authenticator(None, required=False)
    assert await authenticator.authenticate([]) == Caller(tenant="default")
    assert await authenticator.authenticate([], admin_listener=True) == Caller(tenant="default", is_admin=True)


def test_required_keys_without_a_registry_are_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match=r"auth\.required"):
        Authenticator(None, required=True)


def test_a_model_outside_the_keys_scope_looks_like_an_unknown_model() -> None:
    caller = Caller(models=("small",))
    served = ["small", "large"]
    check_model(caller, "small", served)
    check_model(Caller(), "large", served)
    assert not may_use(caller, "large")
    for model in ("large", "none-such"):
        with pytest.raises(ApiError) as refused:
            check_model(caller, model, served)
        assert refused.value.message == unknown_model(model, ["small"]).message
        assert (refused.value.status, refused.value.code) == (404, "model_not_found")


def test_the_bearer_header_wins_over_x_api_key() -> None:
    assert secret_of([(b"x-api-key", b"a"), (b"authorization", b"bearer b")]) == b"b"
    assert secret_of([(b"x-api-key", b"a")]) == b"a"
