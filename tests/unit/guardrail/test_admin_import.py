"""Importing NDJSON: whole or line by line, told by line number, and the same file twice changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import orjson
import pytest

from guardrail.api.admin.body import read_lines
from tests.fakes.admin_services import AdminBench

URL = "/v1/forget/entries:import"


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data", server={"max_body_bytes": 4096})
    yield bench
    bench.registry.close()


@pytest.fixture
async def client(bench: AdminBench) -> AsyncIterator[httpx.AsyncClient]:
    async with bench.client() as client:
        yield client


def _lines(*bodies: object) -> bytes:
    return b"\n".join(orjson.dumps(body) for body in bodies)


async def test_a_stream_is_registered_whole_and_enforced_before_the_answer(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    raw = _lines(*({"id": f"e{number}", "name": f"Name {number}"} for number in range(150)))
    answer = (await client.post(URL, content=b"\n" + raw + b"\n\n")).json()
    assert (answer["created"], answer["unchanged"], answer["failed"]) == (150, 0, 0)
    assert [line["line"] for line in answer["lines"]] == list(range(2, 152))
    assert bench.registry.entry_count() == 150
    assert bench.seen_seqs == [bench.registry.seq()]
    assert len(bench.embedded) == 150


async def test_importing_a_file_again_changes_nothing_even_without_ids(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    raw = _lines({"name": "Ada"}, {"name": "Bob", "aliases": ["B."]}, {"name": "Ada"})
    first = (await client.post(URL, content=raw)).json()
    assert (first["created"], first["unchanged"]) == (2, 1)
    for atomic in ("true", "false"):
        again = (await client.post(URL, content=raw, params={"atomic": atomic})).json()
        assert (again["created"], again["unchanged"]) == (0, 3)
    assert bench.registry.entry_count() == 2


@pytest.mark.parametrize(
    ("bad", "param", "says"),
    [
        (b'{"name": ""}', "name", "Line 2: Field 'name'"),
        (b'{"name": "x"', None, "Line 2: The line is not valid JSON"),
        (b"\xff", None, "Line 2: The line is not UTF-8"),
        (b'{"name": "x", "treatment": "magic"}', "treatment", "Unknown treatment"),
        (b'{"id": "a", "name": "Other"}', "id", "Line 2: The entry 'a' exists"),
    ],
)
async def test_one_wrong_line_stops_an_atomic_import_before_anything_is_written(
    bench: AdminBench, client: httpx.AsyncClient, bad: bytes, param: str | None, says: str
) -> None:
    raw = b"\n".join([b'{"id": "a", "name": "Ada"}', bad, b'{"name": "Cid"}'])
    answer = await client.post(URL, content=raw)
    assert answer.status_code in {400, 409}
    error = answer.json()["error"]
    assert says in error["message"]
    assert "Nothing was registered" in error["message"]
    assert error["param"] == param
    assert bench.registry.entry_count() == 0


async def test_an_atomic_conflict_with_the_registry_names_its_line(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    await client.post("/v1/forget/entries", json={"id": "b", "name": "Bob"})
    answer = await client.post(URL, content=_lines({"name": "Ada"}, {"id": "b", "name": "Bert"}))
    assert answer.status_code == 409
    assert answer.json()["error"]["message"].startswith("Line 2: ")
    assert bench.registry.entry_count() == 1


async def test_line_by_line_registers_what_is_right_and_reports_the_rest(
    bench: AdminBench, client: httpx.AsyncClient
) -> None:
    await client.post("/v1/forget/entries", json={"id": "b", "name": "Bob"})
    given = [{"id": "a", "name": "Ada"}, {"name": "x", "nome": "y"}, {"id": "b", "name": "Bert"}]
    raw = _lines(*given, {"id": "c", "name": "Cid"})
    answer = (await client.post(URL, content=raw, params={"atomic": "false"})).json()
    assert (answer["created"], answer["failed"]) == (2, 2)
    assert [(line["line"], line["status"]) for line in answer["lines"]] == [
        (1, "created"),
        (2, "error"),
        (3, "error"),
        (4, "created"),
    ]
    assert answer["lines"][1]["error"]["param"] == "nome"
    assert answer["lines"][2]["error"]["code"] == "conflict"
    assert bench.registry.get("c").entry.name == "Cid"


async def test_a_line_beyond_the_limit_is_413_with_its_number(bench: AdminBench, client: httpx.AsyncClient) -> None:
    raw = _lines({"name": "Ada"}, {"name": "x", "description": "y" * 5000})
    answer = await client.post(URL, content=raw)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"].startswith("Line 2 is larger than 4096 bytes")
    assert bench.registry.entry_count() == 0


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_are_the_same_however_the_stream_is_cut(size: int) -> None:
    raw = b'{"a":1}\r\n\n  {"b":"\xc3\xa4"}\n{"c":3}'

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(raw), size):
            yield raw[start : start + size]

    lines = [line async for line in read_lines(chunks(), line_limit_bytes=100)]
    assert [(line.number, line.raw) for line in lines] == [(1, b'{"a":1}'), (3, b'{"b":"\xc3\xa4"}'), (4, b'{"c":3}')]
