"""Fetching a picture by address: only from where the operator lets it, never from inside of the network."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from guardrail.backends.picture_fetch import PictureFetcher, is_public
from guardrail.errors import BackendError


class Fixed(AbstractResolver):
    """Every host has the same address."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        return [ResolveResult(hostname=host, host=self.address, port=port, family=family, proto=0, flags=0)]

    async def close(self) -> None:
        return None


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    async def picture(request: web.Request) -> web.Response:
        return web.Response(body=b"picture")

    async def large(request: web.Request) -> web.Response:
        return web.Response(body=b"x" * 5000)

    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("/picture")

    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async def key(request: web.Request) -> web.Response:
        return web.Response(text=request.headers.get("authorization", "none"))

    app = web.Application()
    app.router.add_get("/key", key)
    app.router.add_get("/picture", picture)
    app.router.add_get("/large", large)
    app.router.add_get("/away", away)
    app.router.add_get("/slow", slow)
    running = TestServer(app)
    await running.start_server()
    yield running
    await running.close()


async def refused(fetcher: PictureFetcher, address: str) -> BackendError:
    async with fetcher:
        with pytest.raises(BackendError) as caught:
            await fetcher.fetch(address)
    return caught.value


async def test_the_servers_own_pictures_are_fetched_even_at_a_private_address(server: TestServer) -> None:
    async with PictureFetcher(base_url=str(server.make_url("/v1"))) as fetcher:
        assert await fetcher.fetch(str(server.make_url("/picture"))) == b"picture"


async def test_the_upstream_key_goes_to_the_servers_own_origin_alone(
    server: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = str(server.make_url("/"))
    async with PictureFetcher(base_url=base, key="sk-own") as fetcher:
        assert await fetcher.fetch(base + "key") == b"Bearer sk-own"
    async with PictureFetcher(base_url=base) as fetcher:
        assert await fetcher.fetch(base + "key") == b"none"
    sent = list[object]()

    def get(session: aiohttp.ClientSession, url: object, **options: object) -> None:
        sent.append(options.get("headers"))
        raise aiohttp.ClientError

    monkeypatch.setattr(aiohttp.ClientSession, "get", get)
    await refused(PictureFetcher(base_url=base, hosts=("images.example",), key="sk-own"), "https://images.example/a")
    assert sent == [None]


async def test_limits_hold_for_the_servers_own_pictures_too(server: TestServer) -> None:
    base = str(server.make_url("/"))
    large = await refused(PictureFetcher(base_url=base, limit_bytes=1000), str(server.make_url("/large")))
    assert (large.status, large.code) == (502, "backend_bad_answer")
    slow = await refused(PictureFetcher(base_url=base, timeout_s=0.2), str(server.make_url("/slow")))
    assert slow.status == 504


async def test_a_redirect_is_not_followed(server: TestServer) -> None:
    error = await refused(PictureFetcher(base_url=str(server.make_url("/"))), str(server.make_url("/away")))
    assert "status 302" in str(error)


@pytest.mark.parametrize(
    "address",
    [
        "http://images.example/a.png",
        "https://images.example:8443/a.png",
        "https://elsewhere.example/a.png",
        "https://user:key@images.example/a.png",
        "file:/etc/hostname",
        "ftp://images.example/a.png",
        "https://127.0.0.1/a.png",
        "//images.example/a.png",
        "a.png",
        "https://[::1",
    ],
)
async def test_other_addresses_are_not_followed(address: str) -> None:
    resolver = Fixed("93.184.216.34")
    fetcher = PictureFetcher(base_url="http://127.0.0.1:1", hosts=("images.example",), resolver=resolver)
    error = await refused(fetcher, address)
    assert error.status == 502
    assert "a.png" not in str(error)
    assert resolver.asked == []


async def test_an_allowed_host_with_a_private_address_is_not_asked(server: TestServer) -> None:
    resolver = Fixed("127.0.0.1")
    fetcher = PictureFetcher(hosts=("Images.example.",), resolver=resolver)
    error = await refused(fetcher, "https://images.example/picture")
    assert "could not be reached" in str(error)
    assert resolver.asked == ["images.example"]


async def test_a_private_address_in_numbers_is_refused_though_it_is_named() -> None:
    error = await refused(PictureFetcher(hosts=("169.254.169.254",)), "https://169.254.169.254/latest")
    assert "no public one" in str(error)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("93.184.216.34", True),
        ("2606:2800:220:1:248:1893:25c8:1946", True),
        ("::ffff:93.184.216.34", True),
        ("10.0.0.1", False),
        ("127.0.0.1", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("2002:a00:1::", False),
        ("no address", False),
    ],
)
def test_public_addresses_are_told_from_all_others(address: str, expected: bool) -> None:
    assert is_public(address) is expected
