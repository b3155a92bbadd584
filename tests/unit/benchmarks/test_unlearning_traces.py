"""What the unlearning bench makes of the proxy's records: waiting until they are written, and who wrote an answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from benchmarks.processes import ServerFailed
from benchmarks.unlearning import traces
from benchmarks.unlearning.traces import NATURAL, Trace, Traces

NOTHING = "I don't know who that is."


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_PAUSE_S", 0.0)


def decided(
    request: str, action: str = "treat", treatment: str | None = "stand_in", shape: str = "pure"
) -> dict[str, Any]:
    data = {"action": action, "treatment": treatment, "shape": shape}
    return {"kind": "decision", "subject": request, "data": data}


def leaked(request: str, on_leak: str) -> dict[str, Any]:
    return {"kind": "leak", "subject": "entry", "data": {"request": request, "on_leak": on_leak}}


class Log:
    """A log that grows by a record at each look, in pages of two."""

    def __init__(self, *records: Mapping[str, Any]) -> None:
        self.records, self.written, self.cursors = records, 0, list[str]()

    def page(self, cursor: str) -> Mapping[str, Any]:
        self.cursors.append(cursor)
        self.written = min(self.written + 1, len(self.records))
        start = int(cursor or 0)
        more = self.written > start + 2
        return {
            "data": self.records[start : min(start + 2, self.written)],
            "has_more": more,
            "next_cursor": str(start + 2) if more else None,
        }


def test_it_waits_for_every_decision_and_then_until_nothing_more_comes() -> None:
    log = Log(
        {"kind": "entry.created", "subject": "entry", "data": {}},
        decided("a"),
        decided("b", "pass", None),
        leaked("a", "rewrite"),
        leaked("a", "stop"),
    )
    read = Traces(log.page)
    found = read.of({"a", "b"})
    assert found["a"] == Trace(treatment="stand_in", leaks=2, begun_anew=True, mended=True)
    assert found["b"] == Trace()
    assert not found["b"].treated
    log.records = (*log.records, decided("c", "refuse", "refusal"))
    assert read.of({"c"})["c"].treatment == "refusal"
    assert log.cursors[-1] == "4"  # what was read as a whole page is not read again


def test_a_log_that_lacks_a_decision_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "_LIMIT_S", 0.0)
    with pytest.raises(ServerFailed, match="lacks decisions"):
        Traces(Log(decided("a")).page).of({"a", "b"})


def test_an_answer_that_leaked_without_anything_having_been_met_was_treated() -> None:
    found = Traces(Log(decided("a", "pass", None), leaked("a", "rewrite")).page).of({"a"})["a"]
    assert found.treated
    assert found.begun_anew


@pytest.mark.parametrize(
    ("trace", "text", "author"),
    [
        (Trace(), "Anything.", None),
        (Trace(treatment="stand_in"), None, None),
        (Trace(treatment="stand_in"), "She was born in Rome.", "model"),
        (Trace(treatment="stand_in", leaks=1, begun_anew=True), "She was born in Rome.", "model"),
        (Trace(treatment="stand_in", leaks=1, mended=True), "She was born.", "both"),
        (Trace(treatment="ignorance", leaks=2, begun_anew=True), NOTHING, "expunge"),
        (Trace(treatment="ignorance"), NOTHING, "model"),
        (Trace(treatment="ignorance", is_mixed=True), f"{NOTHING}\n\nRome lies in Italy.", "both"),
        (Trace(treatment="ignorance", is_mixed=True), NOTHING, "expunge"),
        (Trace(treatment="refusal"), "I can't help with that.", "expunge"),
        (Trace(treatment="substitute"), "There is nothing that I could tell about this.", "expunge"),
    ],
)
def test_who_wrote_an_answer_follows_from_the_records_and_the_fixed_words(
    trace: Trace, text: str | None, author: str | None
) -> None:
    assert NOTHING in NATURAL
    assert trace.author(text) == author
