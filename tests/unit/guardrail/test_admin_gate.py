"""Without keys, the admin API is for this machine only."""

from __future__ import annotations

import pytest

from guardrail.api.admin.gate import refuse_strangers
from guardrail.errors import ApiError


def scope(**headers: str) -> dict[str, object]:
    return {"headers": [(name.encode(), value.encode()) for name, value in headers.items()]}


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8001"},
        {"host": "localhost:8001", "origin": "http://localhost:3000"},
        {"host": "[::1]:8001"},
        {"host": "expunge:8001"},
        {},
    ],
)
def test_this_machine_may_administer(headers: dict[str, str]) -> None:
    refuse_strangers(scope(**headers))


@pytest.mark.parametrize(
    "headers",
    [
        {"host": "127.0.0.1:8001", "origin": "https://evil.example"},
        {"host": "127.0.0.1:8001", "origin": "null"},
        {"host": "rebound.example:8001"},
    ],
)
def test_a_web_page_and_a_name_bound_to_this_address_may_not(headers: dict[str, str]) -> None:
    with pytest.raises(ApiError) as refused:
        refuse_strangers(scope(**headers))
    assert refused.value.status == 403
