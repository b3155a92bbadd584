"""What the proxy counts and times, as Prometheus metrics behind typed methods.

No metric knows an entry, a tenant, a key, a prompt or an answer: every label value comes from a closed set (endpoints,
statuses, actions, configured treatments and backends), and a value outside its set is counted as "other". Times are
seconds (`_seconds`), lengths are characters (`_chars`). Label children are bound once and kept, so that counting costs
about a microsecond.

With several workers the counts live in files of one folder (`prepare_multiprocess`, called before the workers start)
and any worker's `text` tells the sum. prometheus_client chooses between memory and files when it is first imported,
hence it is imported here only when a `Metrics` is made.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args

from guardrail.decision import Action, EvidenceKind, OnLeak

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
MULTIPROCESS_ENV: Final = "PROMETHEUS_MULTIPROC_DIR"
OTHER: Final = "other"

ENDPOINTS: Final = frozenset(
    {
        "chat_completions",
        "completions",
        "responses",
        "embeddings",
        "images",
        "image_files",
        "models",
        "health",
        "passthrough",
        "admin",
    }
)
Tier = Literal["lexical", "static", "encoder", "conversation", "total"]
Detector = Literal["lexical", "semantic", "conversation", "image", "cascade"]
FirstTier = Literal["settled", "encoded"]
FailureMode = Literal["fail_closed", "fail_open"]
Author = Literal["model", "expunge"]
BackendErrorKind = Literal["unavailable", "timeout", "overloaded", "broken_off", "bad_answer"]
CallerRefusal = Literal["unauthenticated", "forbidden", "rate_limited"]
GaugeMode = Literal["livesum", "livemax"]

_REQUEST_BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0)
_FINE_BUCKETS_S = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
_REGISTER_BUCKETS_S = (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0)
_HELD_BUCKETS_CHARS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 512.0, 4096.0)


def prepare_multiprocess(folder: Path) -> None:
    """Make `folder` the shared place of all workers' counts, emptied of an earlier run's. Call before workers start."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for stale in folder.glob("*.db"):
        stale.unlink(missing_ok=True)
    os.environ[MULTIPROCESS_ENV] = str(folder)


def worker_ended(pid: int) -> None:
    """Take an ended worker's gauges out of the sum; its counters stay. No effect with a single process."""
    folder = os.environ.get(MULTIPROCESS_ENV)
    if folder is None:
        return
    for prefix in ("gauge_livesum", "gauge_livemax"):
        Path(folder, f"{prefix}_{pid}.db").unlink(missing_ok=True)


class _Family:
    """The label sets of one metric. `closed` puts a value outside its set as "other"."""

    def __init__(self, *known: frozenset[str]) -> None:
        self._known = known

    def closed(self, values: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(value if value in known else OTHER for value, known in zip(values, self._known, strict=True))


class _Counters(_Family):
    def __init__(self, counter: Counter, *known: frozenset[str]) -> None:
        super().__init__(*known)
        self._counter = counter
        self._children: dict[tuple[str, ...], Counter] = {}

    def add(self, *values: str, amount: float = 1.0) -> None:
        child = self._children.get(values)
        if child is None:
            closed = self.closed(values)
            child = self._counter.labels(*closed)
            # Only known values are remembered: callers could otherwise grow the table.
            self._children[closed] = child
        child.inc(amount)


class _Histograms(_Family):
    def __init__(self, histogram: Histogram, *known: frozenset[str]) -> None:
        super().__init__(*known)
        self._histogram = histogram
        self._children: dict[tuple[str, ...], Histogram] = {}

    def observe(self, amount: float, *values: str) -> None:
        child = self._children.get(values)
        if child is None:
            closed = self.closed(values)
            child = self._histogram.labels(*closed)
            self._children[closed] = child
        child.observe(amount)


class _Factory:
    """Makes metrics with the product's prefix in one registry."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def counter(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
        from prometheus_client import Counter

        return Counter(f"expunge_{name}", text, labels, registry=self._registry)

    def counters(self, name: str, text: str, **known: Iterable[str]) -> _Counters:
        return _Counters(self.counter(name, text, tuple(known)), *map(frozenset, known.values()))

    def histogram(self, name: str, text: str, buckets: tuple[float, ...], labels: tuple[str, ...] = ()) -> Histogram:
        from prometheus_client import Histogram

        return Histogram(f"expunge_{name}", text, labels, registry=self._registry, buckets=buckets)

    def histograms(self, name: str, text: str, buckets: tuple[float, ...], **known: Iterable[str]) -> _Histograms:
        return _Histograms(self.histogram(name, text, buckets, tuple(known)), *map(frozenset, known.values()))

    def gauge(self, name: str, text: str, mode: GaugeMode) -> Gauge:
        from prometheus_client import Gauge

        return Gauge(f"expunge_{name}", text, registry=self._registry, multiprocess_mode=mode)


class Metrics:
    """Everything that is counted. One per process; `treatments` and `backends` are the configured names."""

    def __init__(self, *, treatments: Collection[str] = (), backends: Collection[str] = ()) -> None:
        from prometheus_client import CollectorRegistry, ProcessCollector

        self._registry = CollectorRegistry()
        self._multiprocess_dir = os.environ.get(MULTIPROCESS_ENV)
        if self._multiprocess_dir is None:
            ProcessCollector(registry=self._registry)
        make = _Factory(self._registry)
        self._of_traffic(make)
        self._of_forgetting(make, {*treatments, "none"})
        self._of_parts(make, backends)

    def _of_traffic(self, make: _Factory) -> None:
        statuses = map(str, range(100, 600))
        reasons = get_args(CallerRefusal)
        self._requests = make.counters("requests", "Requests answered.", endpoint=ENDPOINTS, status=statuses)
        self._request_seconds = make.histograms(
            "request_seconds", "From a request to its answer's end.", _REQUEST_BUCKETS_S, endpoint=ENDPOINTS
        )
        self._in_flight = make.gauge("requests_in_flight", "Requests under way.", "livesum")
        self._disconnects = make.counters("client_disconnects", "Callers that hung up early.", endpoint=ENDPOINTS)
        self._refused_callers = make.counters("refused_callers", "Requests without a usable key.", reason=reasons)

    def _of_forgetting(self, make: _Factory, treatments: Collection[str]) -> None:
        self._decisions = make.counters("decisions", "The policy's decisions.", action=Action, treatment=treatments)
        self._leaks = make.counters("leaks", "Leaks caught on the way out.", on_leak=OnLeak, kind=EvidenceKind)
        self._answers = make.counters("treated_answers", "Treated answers by writer.", author=get_args(Author))
        self._held_chars = make.histogram("held_chars", "Most characters a stream kept back.", _HELD_BUCKETS_CHARS)
        self._entries = make.gauge("entries_enforced", "Entries that take part in decisions.", "livemax")
        self._seq = make.gauge("registry_seq", "The registry's change number that decisions rest on.", "livemax")
        self._register_seconds = make.histogram(
            "register_seconds", "From an entry's arrival to its enforcement.", _REGISTER_BUCKETS_S
        )

    def _of_parts(self, make: _Factory, backends: Collection[str]) -> None:
        self._detector_seconds = make.histograms(
            "detector_seconds", "Time of detection by tier.", _FINE_BUCKETS_S, tier=get_args(Tier)
        )
        self._detector_failures = make.counters(
            "detector_failures", "Detectors that failed.", detector=get_args(Detector), mode=get_args(FailureMode)
        )
        self._first_tier = make.counters(
            "first_tier", "Texts settled by the first tier, or passed on.", outcome=get_args(FirstTier)
        )
        self._backend_errors = make.counters(
            "backend_errors", "Calls that a backend failed.", backend=backends, kind=get_args(BackendErrorKind)
        )
        self._audit_dropped = make.counter("audit_dropped", "Audit records that found the queue full.")

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """A request was answered in full."""
        self._requests.add(endpoint, str(status))
        self._request_seconds.observe(seconds, endpoint)

    def decision(self, action: Action, treatment: str | None) -> None:
        """The policy decided."""
        self._decisions.add(action.value, treatment or "none")

    def leak(self, on_leak: OnLeak, kind: EvidenceKind) -> None:
        """Forbidden text was about to leave and did not."""
        self._leaks.add(on_leak.value, kind.value)

    def treated_answer(self, author: Author) -> None:
        """A treated answer left: written by the model itself, or put in its place by Expunge."""
        self._answers.add(author)

    def detector(self, tier: Tier, seconds: float) -> None:
        """A tier of detection took its time."""
        self._detector_seconds.observe(seconds, tier)

    def detector_failure(self, detector: Detector, mode: FailureMode) -> None:
        """A detector failed; `mode` says what then happened to the request."""
        self._detector_failures.add(detector, mode)

    def first_tier(self, outcome: FirstTier, texts: int = 1) -> None:
        """The first tier decided `texts` texts alone, or had to ask the encoder."""
        self._first_tier.add(outcome, amount=texts)

    def backend_error(self, backend: str, kind: BackendErrorKind) -> None:
        """A backend failed a call."""
        self._backend_errors.add(backend, kind)

    def refused_caller(self, reason: CallerRefusal) -> None:
        """A request came without a usable key, or too often."""
        self._refused_callers.add(reason)

    def client_disconnect(self, endpoint: str) -> None:
        """A caller hung up; the backend call was cancelled."""
        self._disconnects.add(endpoint)

    def audit_dropped(self, records: int = 1) -> None:
        """Audit records found the queue full (the log holds a gap record)."""
        self._audit_dropped.inc(records)

    def request_started(self) -> None:
        """One more request is under way."""
        self._in_flight.inc()

    def request_ended(self) -> None:
        """One request less is under way."""
        self._in_flight.dec()

    def entries_enforced(self, entries: int, *, seq: int) -> None:
        """How many entries decisions now rest on, and at which change number."""
        self._entries.set(entries)
        self._seq.set(seq)

    def registered(self, seconds: float) -> None:
        """An entry is enforced `seconds` after its request came in."""
        self._register_seconds.observe(seconds)

    def held(self, chars: int) -> None:
        """A stream kept this many characters back at its longest."""
        self._held_chars.observe(chars)

    def text(self) -> bytes:
        """All metrics in Prometheus text format; with several workers, the sum of all."""
        from prometheus_client import CollectorRegistry, generate_latest

        if self._multiprocess_dir is None:
            return generate_latest(self._registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        merged: CollectorRegistry = CollectorRegistry()
        MultiProcessCollector(merged, path=self._multiprocess_dir)  # type: ignore[no-untyped-call]  # untyped library
        return generate_latest(merged)
