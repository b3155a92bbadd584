"""A long measurement carried out: what is written, drawn and told, and how it ends where it does not succeed."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import report
from benchmarks.processes import ServerFailed
from benchmarks.stages import Tell, carry_out
from finetune.cli.exits import Stopped
from finetune.errors import InvalidPlan

RESULT = report.BenchResult(config={}, versions={}, hardware={}, figures={"leak": 0.25}, samples={})


def draw(_: report.BenchResult, path: Path) -> None:
    path.write_bytes(b"drawn")


def told(result: report.BenchResult) -> str:
    return f"| leak | {result.figures['leak']} |"


def carried_out(tmp_path: Path, error: BaseException | None = None, *, picture: Path | None = None) -> str:
    def measure(tell: Tell) -> report.BenchResult:
        tell("asking", 1, 2)
        if error is not None:
            raise error
        return RESULT

    return carry_out(measure, out=tmp_path / "r.json", picture=picture, plot=draw, table=told)


def test_a_result_is_written_and_its_table_says_where(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = carried_out(tmp_path)
    assert table == f"| leak | 0.25 |\n\nDetails in {tmp_path / 'r.json'}."
    assert report.read(tmp_path / "r.json") == RESULT
    assert [one.name for one in tmp_path.iterdir()] == ["r.json"]
    assert "asking" in capsys.readouterr().err


def test_a_picture_is_drawn_where_one_is_asked_for(tmp_path: Path) -> None:
    carried_out(tmp_path, picture=tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes() == b"drawn"


@pytest.mark.parametrize("error", [InvalidPlan("No such plan."), ServerFailed("No such server.")])
def test_a_measurement_that_fails_ends_with_1_and_writes_nothing(
    error: Exception, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        carried_out(tmp_path, error, picture=tmp_path / "r.png")
    assert ended.value.code == 1
    assert f"The measurement failed: {error}" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_measurement_that_is_stopped_ends_with_130_and_says_that_it_goes_on(tmp_path: Path) -> None:
    with pytest.raises(Stopped, match="the same command goes on") as ended:
        carried_out(tmp_path, KeyboardInterrupt())
    assert ended.value.exit_code == 130
    assert not list(tmp_path.iterdir())
