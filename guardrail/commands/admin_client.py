"""Talking to the admin API: over HTTP to a running proxy, or in this process on the data folder when none runs.

Both ways give the same answers, because the offline way runs the same admin app without a listener. Knows no command.
An answer below 400 is decoded JSON; a 4xx becomes `BadInput`, a 5xx or an unreachable proxy `CommandFailed`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import orjson

from guardrail.commands.options import BadInput, CommandFailed, load_settings
from guardrail.errors import ApiError
from guardrail.serving_lock import serving_lock
from guardrail.settings import AuthSettings, Settings

TIMEOUT_S: Final = 600.0


class AdminClient(Protocol):
    """Sends one request to the admin API."""

    def send(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: bytes | None = None) -> Any:
        """The decoded answer. Raises `BadInput` or `CommandFailed`."""
        ...


def entry_path(entry_id: str) -> str:
    """The URL path of one entry."""
    return f"/v1/forget/entries/{urllib.parse.quote(entry_id, safe='')}"


def _decoded(status: int, raw: bytes) -> Any:
    try:
        answer = orjson.loads(raw)
    except orjson.JSONDecodeError:
        raise CommandFailed(
            f"The answer ({status}) is not from an Expunge admin listener; check --admin-url."
        ) from None
    if status < 400:
        return answer
    error = answer.get("error") if isinstance(answer, dict) else None
    message = error.get("message") if isinstance(error, dict) else None
    failure = BadInput if status < 500 else CommandFailed
    raise failure(str(message or f"The admin listener answered {status}."))


class HttpAdmin:
    """A running proxy's admin listener."""

    def __init__(self, base_url: str, key: str | None) -> None:
        parts = urllib.parse.urlsplit(base_url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise BadInput(f"'{base_url}' is no address; --admin-url looks like http://127.0.0.1:8001.")
        self._base_url = base_url.rstrip("/")
        self._key = key
        # A proxy on this machine is not reached through the environment's web proxy.
        handlers = [urllib.request.ProxyHandler({})] if _is_local(parts.hostname) else []
        self._opener = urllib.request.build_opener(*handlers)

    def send(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: bytes | None = None) -> Any:
        """One HTTP request."""
        url = f"{self._base_url}{path}{_query(query)}"
        request = urllib.request.Request(url, data=body, method=method)  # noqa: S310 - the scheme was checked
        request.add_header("content-type", "application/json")
        if self._key:
            request.add_header("authorization", f"Bearer {self._key}")
        try:
            with self._opener.open(request, timeout=TIMEOUT_S) as answer:
                return _decoded(answer.status, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return _decoded(error.code, error.read())
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise CommandFailed(
                f"No proxy answers at {self._base_url} ({reason}). Start one with `expunge serve`, or add --offline "
                "to work on the data folder."
            ) from None


class OfflineAdmin:
    """The admin app in this process, over the data folder; nothing listens."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def send(self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: bytes | None = None) -> Any:
        """One call of the app."""
        status, raw = asyncio.run(self._call(method, path, _query(query).removeprefix("?"), body or b""))
        return _decoded(status, raw)

    async def _call(self, method: str, path: str, query: str, body: bytes) -> tuple[int, bytes]:
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": urllib.parse.unquote(path),
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(b"host", b"offline"), (b"content-type", b"application/json")],
            "client": None,
            "server": None,
        }
        status, parts = 500, list[bytes]()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Mapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                parts.append(message.get("body", b""))

        await self._app(scope, receive, send)
        return status, b"".join(parts)


def _query(query: Mapping[str, Any] | None) -> str:
    given = {key: value for key, value in (query or {}).items() if value is not None}
    return f"?{urllib.parse.urlencode(given)}" if given else ""


def _is_local(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def offline_admin(settings: Settings) -> Iterator[OfflineAdmin]:
    """The admin app over the data folder. Raises `DataFolderInUse` while a proxy serves from it."""
    from guardrail.api.admin.app import build_admin_app
    from guardrail.api.admin.services import AdminServices
    from guardrail.api.admin.treatment_table import check_values, known_treatments
    from retrieval.registry import Registry

    async def no_other_reader() -> None:
        """Nobody decides by the registry while no proxy runs."""

    async def needs_a_proxy(_body: object, _caller: object) -> Mapping[str, Any]:
        raise ApiError("A dry run needs a running proxy: start `expunge serve` and leave --offline out.", status=400)

    async def not_serving() -> Mapping[str, Any]:
        return {"ready": False}

    # Whoever can open the data folder needs no key.
    settings = settings.model_copy(update={"auth": AuthSettings(required=False)})
    with serving_lock(settings.retrieval.data_dir):
        registry = Registry.open(settings.retrieval.data_dir)
        try:
            services = AdminServices(
                settings=settings,
                registry=registry,
                embed=lambda _entry, _edits: [],  # the proxy makes missing memory when it starts
                after_change=no_other_reader,
                build_memory=lambda _record: None,
                explain_match=needs_a_proxy,
                treatments=known_treatments(),
                check_values=check_values,
                readiness=not_serving,
                metrics_text=lambda: b"",
            )
            yield OfflineAdmin(build_admin_app(services))
        finally:
            registry.close()


@contextmanager
def connect(*, config: Path | None, admin_url: str | None, key: str | None, offline: bool) -> Iterator[AdminClient]:
    """The way to the admin API that the options ask for."""
    settings = load_settings(config)
    if offline:
        with offline_admin(settings) as client:
            yield client
        return
    host = settings.server.admin_host
    shown = f"[{host}]" if ":" in host else host
    yield HttpAdmin(admin_url or f"http://{shown}:{settings.server.admin_port}", key)
