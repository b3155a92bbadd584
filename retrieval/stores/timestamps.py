"""Times as the tables keep them: RFC 3339, UTC, microseconds, 27 characters, so that text order is time order."""

from __future__ import annotations

from datetime import UTC, datetime

from retrieval.errors import InvalidEntry


def to_text(moment: datetime) -> str:
    """Fixed-width text of an aware time; raises `InvalidEntry` where UTC cannot express it (years 1 and 9999)."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        raise InvalidEntry("The time lies outside the years 1-9999 in UTC; send one inside.") from None
    return utc.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def optional_text(moment: datetime | None) -> str | None:
    """`to_text`, or None."""
    return None if moment is None else to_text(moment)


def from_text(text: str) -> datetime:
    """The time that `to_text` wrote."""
    return datetime.fromisoformat(text)


def now_text() -> str:
    """Now."""
    return to_text(datetime.now(UTC))
