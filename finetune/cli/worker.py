"""`expunge worker`: takes consolidation jobs until it is stopped.

Reads the options; what a worker does is `consolidation/worker.py`'s.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import threading
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

import click
import yaml
from pydantic import ValidationError

from finetune.cli.exits import BadInput
from finetune.consolidation.gate import GateLimits
from finetune.consolidation.job_steps import StepSettings
from finetune.consolidation.launchers import LAUNCHERS
from finetune.consolidation.launchers.local import LocalLauncher
from finetune.consolidation.launchers.ray_cluster import RayLauncher
from finetune.consolidation.worker import Worker, WorkerSettings
from retrieval.errors import RetrievalError
from retrieval.registry import Registry

_IDLE_S = 30.0


@click.command("worker")
@click.option("--data-dir", type=click.Path(path_type=Path, file_okay=False), required=True, help="The proxy's data.")
@click.option("--once", is_flag=True, help="Plan, carry out what is due now, and end.")
@click.option("--launcher", type=click.Choice(tuple(LAUNCHERS)), default="local", show_default=True)
@click.option(
    "--limits",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="YAML file with limits of the gate; null switches one off.",
)
@click.option(
    "--retain", type=click.Path(path_type=Path, exists=True), help="Corpus to keep. Default: the model's own answers."
)
@click.option("--retain-generated", type=click.IntRange(0), default=64, show_default=True, help="Own answers to keep.")
@click.option(
    "--questions", type=click.IntRange(1), default=40, show_default=True, help="Of a split, asked by the judge."
)
@click.option("--lease", "lease_s", type=click.FloatRange(5), default=60.0, show_default=True, help="Seconds.")
@click.option(
    "--publish-within", "publish_s", type=click.FloatRange(1), default=120.0, show_default=True, help="Seconds."
)
@click.option("--ray-address", envvar="RAY_ADDRESS", help="Of the cluster's dashboard, such as http://head:8265.")
@click.option("--gpus", type=click.FloatRange(0), default=0.0, show_default=True, help="GPUs of a job on Ray.")
@click.option("--idle-command", help="Jobs are only taken while this command ends with 0, such as a look at the GPU.")
def command(*, data_dir: Path, once: bool, launcher: str, limits: Path | None, **given: Any) -> None:
    """Take consolidation jobs: train, judge, hold against the gate, publish.

    A worker needs the data folder of the proxy and the weights of its models, and trains in a process of its own. It may be
    killed at any time: the next one goes on. Several may run; a job is one worker's at a time.
    """
    steps = StepSettings(
        data_dir=data_dir.resolve(),
        limits=_limits(limits),
        retain=given["retain"],
        retain_generated=given["retain_generated"],
        questions=given["questions"],
        publish_s=given["publish_s"],
    )
    idle = given["idle_command"]
    settings = WorkerSettings(
        steps=steps, lease_s=given["lease_s"], is_idle=(lambda: _is_idle(idle)) if idle else (lambda: True)
    )
    if not data_dir.is_dir():
        raise BadInput(f"{data_dir} is no folder; name the proxy's data folder (retrieval.data_dir).")
    try:
        registry = Registry.open(data_dir)
    except RetrievalError as error:
        raise BadInput(str(error)) from None
    made = RayLauncher(address=given["ray_address"] or "", gpus=given["gpus"]) if launcher == "ray" else LocalLauncher()
    worker = Worker(registry, settings, launcher=made, say=_say)
    stop = threading.Event()

    def end(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    for one in (signal.SIGTERM, signal.SIGINT):
        signal.signal(one, end)
    _say(f"Worker {worker.name} takes jobs of {data_dir}.")
    try:
        if once:
            while not stop.is_set() and worker.once(stop) is not None:
                continue
        else:
            worker.run(stop)
    finally:
        registry.close()


def _limits(path: Path | None) -> GateLimits:
    """Raises `BadInput` for a file that holds no limits."""
    if path is None:
        return GateLimits()
    try:
        return GateLimits.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")) or {})
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in fault["loc"])
        raise BadInput(f"{path}: {place}: {fault['msg']}. Known: {', '.join(GateLimits.model_fields)}.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise BadInput(f"{path} cannot be read as YAML: {error}") from None


def _is_idle(said: str) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 # the operator's own command
            shlex.split(said), capture_output=True, timeout=_IDLE_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _say(line: str) -> None:
    click.echo(f"{datetime.now(UTC):%H:%M:%S} {line}", err=True)
