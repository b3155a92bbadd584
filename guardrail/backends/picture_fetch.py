"""Fetches a picture that an image server answered by address, and nothing else.

An answer's address is a stranger's word: a server (or whoever got into its answer) could have the proxy call the inside of
its own network. Followed is only the server's own origin, which the operator configured, and https to hosts that he named,
whose addresses must all be public; the connection is opened to the very addresses that were checked. The upstream key goes
to the server's own origin alone. No redirects, no proxy settings, limited in time and bytes. Messages name the host, never
the address's path. Times in seconds.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from guardrail.errors import BackendError

LIMIT_BYTES = 32 * 1024 * 1024
TIMEOUT_S = 30.0
CHUNK_BYTES = 64 * 1024


class PictureFetcher:
    """`base_url` is the server's own; `hosts` are the others that may be asked. Use as an async context."""

    def __init__(
        self,
        *,
        base_url: str | None = None,
        hosts: Iterable[str] = (),
        key: str | None = None,
        limit_bytes: int = LIMIT_BYTES,
        timeout_s: float = TIMEOUT_S,
        resolver: AbstractResolver | None = None,
    ) -> None:
        """`key`: the server's own. `resolver` stands in for the machine's own."""
        self._own = URL(base_url).origin() if base_url else None
        self._hosts = frozenset(host.lower().rstrip(".") for host in hosts)
        self._own_headers = {} if key is None else {"authorization": f"Bearer {key}"}
        self._limit_bytes = limit_bytes
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._resolver = resolver
        self._sessions: tuple[aiohttp.ClientSession, aiohttp.ClientSession] | None = None

    async def __aenter__(self) -> PictureFetcher:
        resolver = self._resolver or aiohttp.ThreadedResolver()
        own = aiohttp.TCPConnector(resolver=resolver)
        strange = aiohttp.TCPConnector(resolver=_PublicOnly(resolver), use_dns_cache=False)
        self._sessions = (self._session(own), self._session(strange))
        return self

    async def __aexit__(self, *exc: object) -> None:
        for session in self._sessions or ():
            await session.close()
        self._sessions = None

    def _session(self, connector: aiohttp.TCPConnector) -> aiohttp.ClientSession:
        jar = aiohttp.DummyCookieJar()
        return aiohttp.ClientSession(connector=connector, timeout=self._timeout, cookie_jar=jar, trust_env=False)

    async def fetch(self, address: str) -> bytes:
        """The bytes behind an address; raises `BackendError` (502, 504) for one that may not be or cannot be had."""
        url, is_own = self._allowed(address)
        if self._sessions is None:
            raise RuntimeError("fetch is called outside of the fetcher's context")
        session = self._sessions[0 if is_own else 1]
        try:
            async with session.get(
                url, allow_redirects=False, headers=self._own_headers if is_own else None
            ) as response:
                if response.status != 200:
                    raise _refused(f"was answered with status {response.status}")
                return await self._read(response)
        except TimeoutError:
            raise BackendError(
                "A picture's address did not answer in time.", status=504, type="server_error", code="backend_timeout"
            ) from None
        except (aiohttp.ClientError, OSError):
            raise _refused("could not be reached") from None

    def _allowed(self, address: str) -> tuple[URL, bool]:
        """The address, and whether it is the server's own. Raises `BackendError` for any that may not be followed."""
        try:
            url = URL(address)
            host = (url.host or "").lower().rstrip(".")
            is_own = self._own is not None and url.scheme in ("http", "https") and url.origin() == self._own
        except ValueError:
            raise _refused("is none") from None
        if url.user is not None or url.password is not None:
            raise _refused("holds a user name or a password")
        if is_own:
            return url, True
        if url.scheme != "https" or url.port != 443:
            raise _refused("is neither the server's own nor https at port 443")
        if host not in self._hosts:
            raise _refused("is at a host that is not named; name it in the backend's picture_hosts if it may be asked")
        # Addresses written as numbers never reach a resolver.
        if _is_address(host) and not is_public(host):
            raise _refused("is no public one")
        return url, False

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(CHUNK_BYTES):
            body += chunk
            if len(body) > self._limit_bytes:
                raise _refused(f"holds more than {self._limit_bytes} bytes")
        return bytes(body)


class _PublicOnly(AbstractResolver):
    """Resolves like another one, but only to public addresses: one private among them, and there is none."""

    def __init__(self, resolver: AbstractResolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        if not found or not all(is_public(one["host"]) for one in found):
            raise OSError(None, "no public address")
        return found

    async def close(self) -> None:
        """The other resolver is not ours to close."""


def is_public(address: str) -> bool:
    """True for an address that anybody may reach; one that wraps another (IPv4 in IPv6) is judged by both."""
    try:
        read: Any = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if read.version == 4:
        return _is_open(read)
    if read.ipv4_mapped is not None:
        return _is_open(read.ipv4_mapped)
    wrapped = [read.sixtofour, *(read.teredo or ())]
    if read in _NAT64:
        wrapped.append(ipaddress.IPv4Address(int(read) & 0xFFFFFFFF))
    return _is_open(read) and all(_is_open(one) for one in wrapped if one is not None)


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _is_open(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and not address.is_reserved


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _refused(what: str) -> BackendError:
    return BackendError(
        f"The address of a picture that the image server gave {what}.",
        status=502,
        type="server_error",
        code="backend_bad_answer",
    )
