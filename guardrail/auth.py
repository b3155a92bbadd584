"""Who calls: turns a request's key into a `Caller`, or into a 401, 403 or 429 in OpenAI shape.

It knows keys and how often they may call, not what is asked: `check_model` is handed the model's name. Keys are looked
up by SHA-256, so neither the cache nor a log ever holds a secret; the store compares in constant time. What the store
said is kept until anything in the registry changes: a revoked key fails from the next request on, and a known key
costs no database read.

Rates are requests per minute and key, counted by each worker on its own (`_per_min`). Time is monotonic seconds (`_s`).
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Final, TypeVar

from guardrail.decision import Caller
from guardrail.errors import ApiError, ConfigError, overloaded, unknown_model

if TYPE_CHECKING:
    from retrieval.registry import Registry

_Value = TypeVar("_Value")
Headers = Iterable[tuple[bytes, bytes]]

SECRET_LIMIT_BYTES: Final = 512
CACHED_KEYS: Final = 10_000
CACHED_STRANGERS: Final = 4_096
LOOKUPS_AT_ONCE: Final = 4

_OPEN_USER = Caller()
_OPEN_ADMIN = Caller(is_admin=True)


def unauthenticated() -> ApiError:
    """401. One message for a missing, a malformed, an unknown and a revoked key: callers learn nothing from it."""
    return ApiError(
        "A valid API key is required: send it as `Authorization: Bearer <key>`. "
        "Keys are made with `expunge keys create`.",
        status=401,
        type="authentication_error",
        code="invalid_api_key",
    )


def forbidden() -> ApiError:
    """403: a user key where an admin key is needed."""
    return ApiError(
        "This key may not administer forget entries: use one made with `expunge keys create --admin`.",
        status=403,
        type="permission_error",
        code="admin_key_required",
    )


def secret_of(headers: Headers) -> bytes | None:
    """The key in `Authorization: Bearer` or, without that, in `x-api-key`. Header names are lower-case, as in ASGI."""
    api_key: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.partition(b" ")
            return secret.strip() if scheme.lower() == b"bearer" else None
        if name == b"x-api-key":
            api_key = value.strip()
    return api_key


def may_use(caller: Caller, model: str) -> bool:
    """True if the caller's key covers this public model name."""
    return "*" in caller.models or model in caller.models


def visible_models(caller: Caller, served: Iterable[str]) -> list[str]:
    """The served models that the caller may know of."""
    return [model for model in served if may_use(caller, model)]


def check_model(caller: Caller, model: str, served: Iterable[str]) -> None:
    """Raises 404 `model_not_found` for a model that is not served, and alike for one outside the key's scope."""
    visible = visible_models(caller, served)
    if model not in visible:
        raise unknown_model(model, visible)


@dataclass(slots=True)
class _Bucket:
    """A token bucket: full at first, refilled at the key's rate."""

    tokens: float
    filled_at_s: float

    def take(self, rate_per_min: int, now_s: float) -> float:
        """Take one token; 0.0, or the seconds until there is one."""
        refill = (now_s - self.filled_at_s) * rate_per_min / 60.0
        self.tokens = min(float(rate_per_min), self.tokens + refill)
        self.filled_at_s = now_s
        if self.tokens >= 1.0:
            self.tokens -= 1.0
            return 0.0
        return (1.0 - self.tokens) * 60.0 / rate_per_min


class Authenticator:
    """Authenticates requests of one event loop. With `required` false every request is the default tenant's.

    Raises `ConfigError` if keys are required and there is no registry to hold them.
    """

    def __init__(
        self, registry: Registry | None, *, required: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        if required and registry is None:
            raise ConfigError("auth.required: keys live in the registry; open one or set auth.required: false")
        self._registry = registry
        self._required = required
        self._clock = clock
        self._seen_seq = -1
        self._callers: OrderedDict[bytes, Caller] = OrderedDict()
        self._strangers: OrderedDict[bytes, None] = OrderedDict()
        self._buckets: dict[str, _Bucket] = {}
        # Wrong keys must not be able to fill the thread pool that detection shares.
        self._lookups = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    @property
    def required(self) -> bool:
        """True if callers need keys."""
        return self._required

    async def authenticate(self, headers: Headers, *, admin_listener: bool = False) -> Caller:
        """The caller of a request. Raises `ApiError`: 401 without a valid key, 403 on the admin listener without an
        admin key, 429 with `retry-after` when the key calls too often.
        """
        if not self._required:
            return _OPEN_ADMIN if admin_listener else _OPEN_USER
        secret = secret_of(headers)
        if not secret or len(secret) > SECRET_LIMIT_BYTES:
            raise unauthenticated()
        self._drop_if_changed()
        digest = sha256(secret).digest()
        caller = self._callers.get(digest)
        if caller is None:
            if digest in self._strangers:
                raise unauthenticated()
            caller = await self._look_up(secret, digest)
        if caller.rate_limit_per_min is not None:
            self._count(caller.key_id, caller.rate_limit_per_min)
        if admin_listener and not caller.is_admin:
            raise forbidden()
        return caller

    def _drop_if_changed(self) -> None:
        if self._registry is None:
            return
        seq = self._registry.signal.read()
        if seq != self._seen_seq:
            self._callers.clear()
            self._strangers.clear()
            self._seen_seq = seq

    async def _look_up(self, secret: bytes, digest: bytes) -> Caller:
        registry = self._registry
        if registry is None:
            raise unauthenticated()
        try:
            text = secret.decode("ascii")
        except UnicodeDecodeError:
            raise unauthenticated() from None
        seq = self._seen_seq
        async with self._lookups:
            record = await asyncio.to_thread(registry.keys.verify, text)
        # An answer that was read before a change must not outlive it in the cache.
        fresh = seq == self._seen_seq == registry.signal.read()
        if record is None:
            if fresh:
                _keep(self._strangers, digest, None, CACHED_STRANGERS)
            raise unauthenticated()
        caller = Caller(
            tenant=record.tenant,
            key_id=record.key_id,
            is_admin=record.is_admin,
            models=tuple(record.models),
            rate_limit_per_min=record.rate_limit_per_min,
        )
        if fresh:
            _keep(self._callers, digest, caller, CACHED_KEYS)
        return caller

    def _count(self, key_id: str, rate_per_min: int) -> None:
        now_s = self._clock()
        bucket = self._buckets.get(key_id)
        if bucket is None:
            bucket = self._buckets[key_id] = _Bucket(float(rate_per_min), now_s)
        wait_s = bucket.take(rate_per_min, now_s)
        if wait_s > 0.0:
            raise overloaded(
                f"This key may send {rate_per_min} requests a minute; wait before the next.",
                status=429,
                retry_after_s=wait_s,
            )


def _keep(cache: OrderedDict[bytes, _Value], digest: bytes, value: _Value, limit: int) -> None:
    cache[digest] = value
    if len(cache) > limit:
        cache.popitem(last=False)
