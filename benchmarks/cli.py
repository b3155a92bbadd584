"""`expunge bench ...`: measurements from a checkout, each writing one result file.

Exit codes: 0 it ran, 1 a server under measurement failed, 2 bad input. It knows the options, not the measurements.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import report
from benchmarks.load import LoadFailed
from benchmarks.plan import QUICK, Outside, Plan
from benchmarks.processes import ServerFailed
from benchmarks.unlearning.command import unlearning
from guardrail.errors import InvalidInput
from retrieval.errors import RetrievalError


@click.group(name="bench")
def main() -> None:
    """Measure Expunge on this machine and write a result file."""


@main.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--quick", is_flag=True, help="A smaller version in about a minute; the result file says so.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="Also draw the figures (PNG).")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
@click.option("--target", metavar="URL", help="Measure a proxy that you started in front of --mock-port instead.")
@click.option("--target-pid", type=click.IntRange(1), help="Its process id, for CPU and memory figures.")
@click.option("--mock-port", type=click.IntRange(1, 65535), help="Port of the mock backend; needed with --target.")
@click.option("--vllm-url", metavar="URL", help="Also compare over this real vLLM server.")
@click.option("--vllm-model", default="smollm2", show_default=True, help="The model that it serves.")
def proxy(
    *,
    out: Path,
    quick: bool,
    plot: Path | None,
    as_json: bool,
    target: str | None,
    target_pid: int | None,
    mock_port: int | None,
    vllm_url: str | None,
    vllm_model: str,
) -> None:
    """What the proxy adds to a request: latency, CPU, memory, with and without entries, beside LiteLLM's proxy.

    LiteLLM is measured where `make bench` has set up its environment; its figures are absent otherwise.
    """
    if target and not mock_port:
        raise click.UsageError("--target needs --mock-port: the port that your proxy has as its backend")
    from benchmarks.proxy_overhead import PANELS, measure

    outside = Outside(
        target=target.rstrip("/") if target else None,
        target_pid=target_pid,
        mock_port=mock_port,
        vllm_url=vllm_url.rstrip("/") if vllm_url else None,
        vllm_model=vllm_model,
    )
    console = Console(stderr=True)
    try:
        with console.status("starting") as status:
            result = uvloop.run(measure(QUICK if quick else Plan(), outside, status.update))
    except (ServerFailed, LoadFailed) as error:
        click.echo(f"The measurement failed: {error}", err=True)
        sys.exit(1)
    report.write(result, out)
    if plot:
        report.plot(result, plot, panels=PANELS, title=_title(result))
    click.echo(out.read_text(encoding="utf-8")) if as_json else _show(result, out)


@main.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--quick", is_flag=True, help="A smaller version in about a minute; the result file says so.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
def registry(*, out: Path, quick: bool, as_json: bool) -> None:
    """What a large registry costs: the index at a million vectors, requests and registrations at 10,000 entries.

    Needs about 2.5 GB of memory; runs on one core.
    """
    from benchmarks import registry as bench

    with Console(stderr=True).status("starting") as status:
        try:
            result = bench.measure(bench.QUICK if quick else bench.RegistryPlan(), status.update)
        except InvalidInput as error:
            raise click.UsageError(str(error)) from None
        except RetrievalError as error:
            click.echo(f"The measurement failed: {error}", err=True)
            sys.exit(1)
    report.write(result, out)
    if as_json:
        click.echo(out.read_text(encoding="utf-8"))
        return
    table = Table(title=f"Details in {out}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for name, value in result.figures.items():
        table.add_row(name, f"{value:,.4g}")
    Console().print(table)


@main.command()
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Result file (JSON).")
@click.option("--plot", "picture", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it (PNG).")
@click.option("--quick", is_flag=True, help="One method, a few steps and questions; the result file says so.")
@click.option("--method", "methods", multiple=True, help="Only this one; repeatable. Default: all.")
@click.option("--trials", type=click.IntRange(1), help="Of each method, at most. Default: all of the table.")
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Trainings of the best method.")
@click.option(
    "--work",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(".cache/consolidation"),
    show_default=True,
    help="Folder in which finished steps are kept.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON instead of a table.")
def consolidation(
    *,
    out: Path,
    picture: Path | None,
    quick: bool,
    methods: tuple[str, ...],
    trials: int | None,
    seeds: int,
    work: Path,
    as_json: bool,
) -> None:
    """Every method on a model that knows, beside one that never did: forgetting, locality, robustness, cost.

    Takes hours on two cores; a run that was stopped goes on with the same command.
    """
    from benchmarks.consolidation.show import carry_out

    result = carry_out(out=out, picture=picture, quick=quick, methods=methods, trials=trials, seeds=seeds, work=work)
    click.echo(out.read_text(encoding="utf-8")) if as_json else click.echo(result)


main.add_command(unlearning)


@main.command()
@click.argument("result", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="Picture (PNG).")
def plot(result: Path, out: Path) -> None:
    """Draw a proxy result file."""
    from benchmarks.proxy_overhead import PANELS

    try:
        read = report.read(result)
    except ValueError:
        raise click.UsageError(f"{result} is not a result file of `expunge bench`") from None
    report.plot(read, out, panels=PANELS, title=_title(read))


def _title(result: report.BenchResult) -> str:
    kind = "quick run" if result.config.get("quick") else "full run"
    return f"Expunge proxy, {kind}, {result.hardware.get('cpu')}, {result.hardware.get('cores')} cores"


def _show(result: report.BenchResult, out: Path) -> None:
    table = Table(title=f"Medians of {result.config['runs']} runs; details in {out}")
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("runs from .. to", justify="right")
    for name, value in result.figures.items():
        spread = result.samples[name]
        table.add_row(name, f"{value:.3f}", f"{spread['min']:.3f} .. {spread['max']:.3f}")
    Console().print(table)
