"""The proxy benchmark's own honesty: its arithmetic, its traffic, its result file, and a real run over the thin proxy."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import orjson
import pytest
from click.testing import CliRunner

from benchmarks import load, report, traffic
from benchmarks.cli import main
from benchmarks.mock_backend import STREAM_EVENTS, chat_reply, stream_events
from benchmarks.plan import Bench, Plan
from benchmarks.processes import ServerFailed, running
from benchmarks.proxy_guard import read_counts
from benchmarks.proxy_passing import measure_outside
from benchmarks.targets import mock_backend, thin_proxy
from guardrail.decision import Action
from guardrail.metrics import Metrics

TINY = Plan(runs=1, pairs=10, rps_seconds_s=0.2, concurrency=2, stream_pairs=2, streams=4, stream_concurrency=2)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1.0), (50, 2.5), (99, 3.97), (100, 4.0)])
def test_percentiles_interpolate_between_the_closest_values(percent: float, expected: float) -> None:
    assert load.percentile([4.0, 1.0, 3.0, 2.0], percent) == pytest.approx(expected)


def test_a_percentile_of_nothing_is_an_error_and_not_zero() -> None:
    with pytest.raises(ValueError, match="at least one"):
        load.percentile([], 50)


def test_added_latency_is_the_median_of_differences_within_pairs() -> None:
    paired = load.Paired(direct_ms=(1.0, 10.0, 2.0), proxied_ms=(3.0, 11.0, 5.0))
    assert paired.added_p50_ms == 2.0


def test_no_two_prompts_are_equal_and_a_seed_gives_them_again() -> None:
    for prompts in (traffic.everyday_prompts, traffic.nearby_prompts):
        first = list(islice(prompts(7), 500))
        assert len(set(first)) == 500
        assert first == list(islice(prompts(7), 500))


def test_entries_have_different_names_that_no_prompt_contains() -> None:
    entries = list(traffic.entries(10_000, seed=1))
    names = {entry["name"] for entry in entries}
    assert len(names) == 10_000
    surnames = {name.split()[1].lower() for name in names}
    for prompt in [*islice(traffic.everyday_prompts(1), 100), *islice(traffic.nearby_prompts(1), 100)]:
        assert surnames.isdisjoint(prompt.lower().replace(",", "").replace(".", "").split())


def test_the_mock_backend_answers_as_large_as_it_promises() -> None:
    assert 400 < len(chat_reply()) < 700
    events = stream_events()
    assert len(events) == STREAM_EVENTS
    assert events[-1] == b"data: [DONE]\n\n"
    assert load.CONTENT_DELTA.search(events[0]) is None
    assert load.CONTENT_DELTA.search(events[1])


def test_figures_are_medians_and_what_was_not_measured_is_absent() -> None:
    runs = report.Runs()
    for value in (3.0, 1.0, 2.0):
        runs.add(pass_added_p50_ms=value)
    assert runs.figures() == {"pass_added_p50_ms": 2.0}
    assert runs.samples()["pass_added_p50_ms"] == {"runs": [3.0, 1.0, 2.0], "min": 1.0, "max": 3.0}


def test_the_proxys_own_metrics_tell_which_tier_settled_a_text_and_what_was_decided() -> None:
    metrics = Metrics(treatments=["ignorance", "refusal"])
    metrics.first_tier("settled", texts=3)
    metrics.first_tier("encoded")
    metrics.decision(Action.TREAT, "ignorance")
    metrics.decision(Action.TREAT, "refusal")
    metrics.decision(Action.PASS, None)
    counts = read_counts(metrics.text())
    assert counts.tiers == {"settled": 3.0, "encoded": 1.0}
    assert counts.decisions == {"treat": 2.0, "pass": 1.0}


async def test_a_run_over_the_thin_proxy_measures_every_passing_figure(tmp_path: Path) -> None:
    with (
        mock_backend(work_dir=tmp_path, core=None, gap_ms=1.0) as mock,
        thin_proxy(backend=mock.url, work_dir=tmp_path, core=None) as proxy,
    ):
        bench = Bench(plan=TINY, mock_url=mock.url, work_dir=tmp_path, core=None, say=lambda _: None)
        await measure_outside(bench, url=proxy.url, pid=proxy.pid)
        assert proxy.rss_mb() > 10
    figures = bench.runs.figures()
    assert set(figures) == {
        "pass_added_p50_ms",
        "pass_added_p99_ms",
        "pass_rps",
        "pass_stream_added_p50_ms",
        "stream_cpu_us_per_chunk",
        "paced_stream_cpu_us_per_chunk",
        "rss_mb",
    }
    assert figures["pass_rps"] > 0


async def test_an_answer_that_is_not_200_ends_the_measurement(tmp_path: Path) -> None:
    with mock_backend(work_dir=tmp_path, core=None, gap_ms=1.0) as mock:
        async with load.session() as client:
            with pytest.raises(load.LoadFailed, match="answered 500"):
                await load.post(client, mock.url, b"not json")


def test_a_server_that_ends_while_starting_is_told_with_its_log(tmp_path: Path) -> None:
    command = ["python3", "-c", "print('no licence today'); raise SystemExit(3)"]
    with (
        pytest.raises(ServerFailed, match=r"(?s)status 3.*no licence today"),
        running("broken", command, url="http://127.0.0.1:9", ready_path="/", work_dir=tmp_path),
    ):
        pass


def test_a_result_file_is_read_back_and_drawn(tmp_path: Path) -> None:
    runs = report.Runs()
    runs.add(pass_rps=100.0)
    result = report.BenchResult(
        config=report.dated({"quick": True}),
        versions=report.versions(),
        hardware=report.hardware(),
        figures=runs.figures(),
        samples=runs.samples(),
    )
    path = tmp_path / "new folder" / "proxy.json"
    report.write(result, path)
    assert report.read(path) == result
    assert set(json.loads(path.read_text())) == {"config", "versions", "hardware", "figures", "samples"}
    drawn = CliRunner().invoke(main, ["plot", str(path), "--out", str(tmp_path / "proxy.png")])
    assert drawn.exit_code == 0, drawn.output
    assert (tmp_path / "proxy.png").read_bytes().startswith(b"\x89PNG")


def test_a_file_that_is_no_result_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_bytes(orjson.dumps({"figures": {}}))
    told = CliRunner().invoke(main, ["plot", str(path), "--out", str(tmp_path / "x.png")])
    assert told.exit_code == 2
    assert "not a result file" in told.output


def test_a_target_without_the_mock_backends_port_is_bad_input(tmp_path: Path) -> None:
    told = CliRunner().invoke(main, ["proxy", "--out", str(tmp_path / "r.json"), "--target", "http://127.0.0.1:9"])
    assert told.exit_code == 2
    assert "--mock-port" in told.output
