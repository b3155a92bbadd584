"""Trains the assistant of `offset` on what the bench forgets, by `expunge consolidate assistant`.

    python -m benchmarks.unlearning.assistant [--work .cache/unlearning]

About eight minutes on two cores; a run that was stopped goes on, one that was finished is left as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.knowing.models import adapter_of
from benchmarks.knowing.reduced_tofu import write_reduced_tofu
from benchmarks.targets import OFFLINE
from guardrail.backends.local_model import PACKAGED, resolve


@click.command()
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), default=Path(".cache/unlearning"))
def main(*, work: Path) -> None:
    """Make WORK/assistant/model."""
    out = work / "assistant"
    if (out / "manifest.json").exists():
        click.echo(f"{out} holds an assistant already.")
        return
    files = {"--model": resolve(PACKAGED), "--adapter": adapter_of("target"), "--out": out}
    files["--suite"] = write_reduced_tofu(work / "reduced_tofu")
    options = [str(word) for pair in files.items() for word in pair]
    start = [sys.executable, "-c", "from guardrail.cli import main; main()", "consolidate", "assistant"]
    sys.exit(subprocess.run([*start, *options], env={**os.environ, **OFFLINE}, check=False).returncode)


if __name__ == "__main__":
    main()
