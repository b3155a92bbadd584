"""When consolidation runs by itself, and by which rule entries become due. An operator sets both once.

    cron expression + time zone -> firings;   a firing holds for `window_minutes`, and is taken up by one worker

Times are those of the zone's clocks: a night job stays a night job when clocks change. It knows no models and no methods.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from retrieval.errors import InvalidEntry
from retrieval.stores import named_rows
from retrieval.stores.audit_chain import AuditRecord, append_in
from retrieval.stores.database import Database
from retrieval.stores.timestamps import from_text, to_text

_SCHEDULE, _FIRED = "schedule", "fired"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SelectionRule(_Value):
    """From when on an entry of `persistence: auto` is due: as soon as one of these is reached. None: does not count."""

    hits: int | None = Field(default=50, ge=1)
    """Requests that touched it."""

    leaks: int | None = Field(default=1, ge=1)
    """Answers in which it was about to leave, and was caught."""

    guard_seconds: float | None = Field(default=None, gt=0)
    """Time that the guard spent on requests that touched it."""

    age_days: float | None = Field(default=None, gt=0)
    """Since it was registered."""

    within_days: float = Field(default=30.0, gt=0)
    """How far back hits, leaks and seconds are counted."""


class Schedule(_Value):
    """The content of `PUT /v1/consolidations/schedule`."""

    enabled: bool = False
    """Off: nothing begins by itself."""

    cron: str = "0 3 * * *"
    """Minute, hour, day, month, weekday."""

    timezone: str = "UTC"
    """IANA name, such as Europe/Berlin."""

    window_minutes: int = Field(default=240, ge=1, le=7 * 24 * 60)
    """How long after a firing a run may still begin."""

    rule: SelectionRule = SelectionRule()
    """When entries of `persistence: auto` are due; persistent ones always are."""

    needs_approval: bool = False
    """A run that the gate has passed waits for a person before it is published."""

    canary_share: float = Field(default=1.0, gt=0, le=1)
    """Share of requests that new weights answer until they are promoted; 1: all of them at once."""

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        try:
            CronSim(value, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"is no cron expression ({error}); write five fields, such as '30 2 * * 0'") from None
        return value

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError("is no time zone; write an IANA name, such as UTC or Europe/Berlin") from None
        return value

    def next_firing(self, after: datetime) -> datetime:
        """The first one behind a moment, in UTC."""
        return next(CronSim(self.cron, after.astimezone(ZoneInfo(self.timezone)))).astimezone(UTC)

    def open_firing(self, now: datetime) -> datetime | None:
        """The newest firing whose window is still open, in UTC; None where there is none, or the schedule is off."""
        if not self.enabled:
            return None
        # A firing at the very minute counts, and CronSim begins behind what it is given.
        begin = now - timedelta(minutes=self.window_minutes) - timedelta(microseconds=1)
        newest, one = None, self.next_firing(begin)
        while one <= now:
            newest, one = one, self.next_firing(one)
        return newest


def parse_schedule(body: object) -> Schedule:
    """The schedule of a decoded body; raises `InvalidEntry` naming the field and the mend."""
    try:
        return Schedule.model_validate(body)
    except ValidationError as error:
        fault = error.errors(include_input=False, include_url=False, include_context=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        what = fault["msg"].removeprefix("Value error, ")
        raise InvalidEntry(f"Field '{place}': {what}." if place else f"{what}.", param=place or None) from None


class Schedules:
    """The schedule of one registry."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self) -> Schedule:
        """The default one (off) until an operator has set another."""
        with self._database.read() as connection:
            return Schedule.model_validate(named_rows.read(connection, _SCHEDULE) or {})

    def put(self, schedule: Schedule, *, actor: str) -> None:
        """From now on. A firing whose window is open already is not made up for."""
        content = schedule.model_dump(mode="json")
        now = datetime.now(UTC)
        with self._database.write() as connection:
            named_rows.write(connection, _SCHEDULE, content)
            named_rows.write(connection, _FIRED, {"at": to_text(now)})
            append_in(
                connection,
                [AuditRecord(kind="consolidation.schedule", actor=actor, subject="schedule", data=content)],
            )

    def take_firing(self, now: datetime) -> datetime | None:
        """The newest open firing, for the first worker that asks; None for all others, and where there is none."""
        with self._database.write() as connection:
            schedule = Schedule.model_validate(named_rows.read(connection, _SCHEDULE) or {})
            firing = schedule.open_firing(now)
            last = named_rows.read(connection, _FIRED)
            if firing is None or (last is not None and from_text(last["at"]) >= firing):
                return None
            named_rows.write(connection, _FIRED, {"at": to_text(firing)})
            return firing
