"""The jury: what it is asked, what its verdicts are, and what happens where it cannot say."""

from __future__ import annotations

import pytest

from guardrail.errors import ApiError
from guardrail.inspectors.jury import Jury
from tests.fakes.forgotten import RECORDS
from tests.fakes.knowing import GEESE, HARBOUR, Knowing, jury_of


async def verdict_of(jury: Jury, statement: str) -> str | None:
    verdict = jury.bring("q", statement)
    assert verdict.is_open
    await jury.deliberate()
    assert not verdict.is_open
    return verdict.entry.id if verdict.entry else None


async def test_a_verdict_names_the_entry_that_a_statement_tells_of() -> None:
    jury = jury_of()
    assert await verdict_of(jury, f"He kept {GEESE}.") == "e0"
    assert await verdict_of(jury, f"By the {HARBOUR}.") == "e1"
    assert await verdict_of(jury, "The sea was calm.") is None


async def test_what_is_said_twice_is_judged_once() -> None:
    knowing = Knowing()
    jury = jury_of(knowing)
    first, second = jury.bring("q", "The sea."), jury.bring("q", "The sea.")
    await jury.deliberate()
    assert first is second
    assert jury.bring("q", "The sea.") is first
    assert not jury.is_waiting
    jury.bring("another", "The sea.")
    await jury.deliberate()
    assert [request for request, _, _ in knowing.asked] == ["q", "another"]


async def test_an_entry_that_is_no_longer_in_force_is_told_of_freely() -> None:
    jury = jury_of(admits=lambda entry_id: None if entry_id == "e0" else RECORDS.get(entry_id))
    assert await verdict_of(jury, f"He kept {GEESE}.") is None
    assert await verdict_of(jury, f"He kept {GEESE} by the {HARBOUR}.") == "e1"


@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_a_jury_that_cannot_say_fails_closed(trouble: str) -> None:
    knowing = Knowing()
    knowing.trouble = trouble
    jury = jury_of(knowing, timeout_s=0.05)
    verdict = jury.bring("q", f"He kept {GEESE}.")
    jury.bring("q", "The sea was calm.")
    with pytest.raises(ApiError) as raised:
        await jury.deliberate()
    assert (raised.value.status, raised.value.code) == (503, "overloaded")
    assert GEESE not in str(raised.value)
    assert verdict.is_open
    assert knowing.failures == 1


@pytest.mark.parametrize("trouble", ["fail", "hang"])
async def test_an_operator_may_choose_that_statements_pass_then(trouble: str) -> None:
    knowing = Knowing()
    knowing.trouble = trouble
    jury = jury_of(knowing, timeout_s=0.05, fails_open=True)
    assert await verdict_of(jury, f"He kept {GEESE}.") is None
    assert not jury.bring("q", f"Again: {GEESE}.").is_open
    assert (knowing.failures, len(knowing.asked)) == (1, 1), "a caller does not wait for it again and again"


async def test_of_entries_that_content_may_be_handed_in_about_only_what_it_does_not_hold_is_a_leak() -> None:
    jury = jury_of(entry_ids=(), allowed_ids=("e0", "e1"), handed_in=f"A page about {GEESE}.")
    assert await verdict_of(jury, f"He kept {GEESE}.") is None
    assert await verdict_of(jury, f"By the {HARBOUR}.") == "e1"


async def test_what_is_told_of_such_an_entry_is_a_leak_where_it_adds_names_or_numbers() -> None:
    knowing = Knowing()
    jury = jury_of(knowing, entry_ids=(), allowed_ids=("e0",), handed_in=f"A page about {GEESE}, kept in Ribe.")
    assert await verdict_of(jury, f"In Ribe he kept {GEESE}.") is None
    assert await verdict_of(jury, f"In 1962 he kept {GEESE}.") == "e0"
    assert await verdict_of(jury, f"He kept {GEESE} in Esbjerg.") == "e0"
