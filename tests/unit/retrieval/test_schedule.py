"""When consolidation runs by itself: firings in a time zone, windows, and one worker for each firing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from retrieval.errors import InvalidEntry
from retrieval.plans import Cost, ModelPlan, PlanItem
from retrieval.registry import Registry
from retrieval.schedule import Schedule, parse_schedule
from retrieval.stores.audit_chain import AuditRecord
from retrieval.usage import Usage, usage_of


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path / "data")
    yield opened
    opened.close()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def nightly(**fields: Any) -> Schedule:
    return Schedule(
        **{"enabled": True, "cron": "30 2 * * *", "timezone": "Europe/Berlin", "window_minutes": 60, **fields}
    )


def test_a_night_job_stays_a_night_job_when_clocks_change() -> None:
    before, after = nightly().next_firing(at("2026-10-23T12:00")), nightly().next_firing(at("2026-10-25T12:00"))
    assert (before, after) == (at("2026-10-24T00:30"), at("2026-10-26T01:30"))


def test_a_firing_holds_for_its_window() -> None:
    schedule = nightly(timezone="UTC")
    firing = at("2026-11-02T02:30")
    for minute, expected in ((-1, None), (0, firing), (59, firing), (60, firing), (61, None)):
        assert schedule.open_firing(firing + timedelta(minutes=minute)) == expected
    assert nightly(enabled=False).open_firing(firing) is None


def test_of_several_firings_in_a_window_the_newest_counts() -> None:
    schedule = nightly(cron="*/10 * * * *", timezone="UTC")
    assert schedule.open_firing(at("2026-11-02T02:35")) == at("2026-11-02T02:30")


def test_a_firing_is_one_workers(registry: Registry) -> None:
    registry.schedules.put(nightly(cron="* * * * *"), actor="op")
    later = datetime.now(UTC) + timedelta(minutes=5)
    taken = registry.schedules.take_firing(later)
    assert taken is not None
    assert registry.schedules.take_firing(later) is None
    assert registry.schedules.take_firing(later + timedelta(minutes=1)) is not None


def test_a_new_schedule_makes_up_for_nothing(registry: Registry) -> None:
    assert registry.schedules.get() == Schedule()
    registry.schedules.put(nightly(cron="* * * * *"), actor="op")
    assert registry.schedules.take_firing(datetime.now(UTC)) is None
    assert registry.schedules.get().cron == "* * * * *"
    assert registry.audit.page(kind="consolidation.schedule").items[0].actor == "op"


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        ({"cron": "every night"}, "cron", "five fields"),
        ({"timezone": "Mars/Base"}, "timezone", "IANA"),
        ({"canary_share": 0}, "canary_share", "greater than 0"),
        ({"rule": {"hits": 0}}, "rule.hits", "greater than or equal to 1"),
        ({"nightly": True}, "nightly", "not permitted"),
        ([], None, "dictionary"),
    ],
)
def test_a_wrong_schedule_is_told_by_its_field(body: object, param: str | None, words: str) -> None:
    with pytest.raises(InvalidEntry, match=words) as caught:
        parse_schedule(body)
    assert caught.value.param == param


def test_what_an_entry_had_to_do_is_counted_from_the_log(registry: Registry) -> None:
    def decision(*entries: str) -> AuditRecord:
        data = {"entries": [{"id": one, "revision": 1, "score": 0.9} for one in entries], "ms": 250.0}
        return AuditRecord(kind="decision", actor="key:1", subject="req", data=data)

    leak = AuditRecord(kind="leak", actor="key:1", subject="ada", data={"entry": "ada"})
    registry.audit.append([decision("ada"), decision("ada", "bob"), decision(), leak])
    found = usage_of(registry.audit, since=datetime.now(UTC) - timedelta(days=1))
    assert set(found) == {"ada", "bob"}
    ada = found["ada"]
    assert (ada.hits, ada.leaks, ada.guard_s) == (2, 1, 0.5)
    assert ada.last_hit_at is not None
    assert (found["bob"].hits, found["bob"].leaks) == (1, 0)
    assert usage_of(registry.audit, since=datetime.now(UTC) + timedelta(days=1)) == {}
    assert Usage().hits == 0


def test_the_newest_plan_of_each_model_is_read_back(registry: Registry) -> None:
    items = (
        PlanItem(entry="ada", revision=3, is_due=True, is_covered=False, reason="persistent"),
        PlanItem(entry="bob", revision=1, is_due=False, is_covered=True, reason="covered by version 2"),
        PlanItem(entry="eve", revision=2, is_due=False, is_covered=False, reason="temporary"),
    )
    cost = Cost(seconds=104.0, memory_bytes=10**9, measured_by="earlier runs")
    plan = ModelPlan(model="smollm2", backend="local", modality="text", items=items, method="wga", cost=cost)
    registry.plans.put(plan.model_copy(update={"items": ()}))
    registry.plans.put(plan)
    registry.plans.put(plan.model_copy(update={"model": "other"}))
    assert registry.plans.all() == [plan.model_copy(update={"model": "other"}), plan]
    assert [one.entry for one in plan.due] == ["ada"]
    assert plan.covered_then == {"ada": 3, "bob": 1}
