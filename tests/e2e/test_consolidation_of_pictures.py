"""Pictures, from an entry that is due to weights that serve by themselves: the shapes model, a proxy, a worker.

The entry is registered at the running proxy, the schedule fires, a worker edits by `uce`, looks at pictures, passes its
gate and publishes; the proxy draws with the edit from then on, and after a rollback as before, to the bit.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import openai
import pytest

from finetune.consolidation.job_steps import StepSettings
from finetune.consolidation.launchers.local import LocalLauncher
from finetune.consolidation.worker import Worker, WorkerSettings
from finetune.training.denoising.pipelines import load_pipeline
from guardrail.backends.diffusers_loading import PACKAGED_FOLDER
from guardrail.demo.pictures_cast import ordinary_prompts
from retrieval.jobs import Job, JobState
from retrieval.registry import Registry
from retrieval.stores import named_rows
from retrieval.stores.timestamps import to_text
from tests.e2e.proxy_process import ProxyProcess

STAR, CROSS = "a purple star on a white background", "a purple cross on a grey background"
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange")
DRAWING = {"steps": 12, "guidance_scale": 3.0, "size": "32x32"}


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxyProcess]:
    folder = tmp_path_factory.mktemp("pictures")
    background = folder / "background"
    background.mkdir()
    shapes = {"name": "embedded", "kind": "diffusers_pipeline", "model": "shapes", "device": "cpu", "drawing": DRAWING}
    looking = {"picture_embedder": "small-encoder", "picture_embedder_model": str(PACKAGED_FOLDER / "inspector")}
    ordinary_pictures(background)
    looking["picture_background"] = str(background)
    with ProxyProcess(folder, backends=[shapes], retrieval=looking) as running:
        yield running


def ordinary_pictures(folder: Path) -> None:
    """Pictures of all kinds, against which the look sets its thresholds."""
    import torch

    pipeline = load_pipeline(PACKAGED_FOLDER, "cpu")
    prompts = list(ordinary_prompts(64))
    for start in range(0, len(prompts), 16):
        generator = torch.Generator().manual_seed(start)
        made = pipeline(
            prompt=prompts[start : start + 16], generator=generator, num_inference_steps=12, guidance_scale=3.0
        )
        for place, picture in enumerate(made.images):
            picture.save(folder / f"{start + place:03}.png")


def drawn(proxy: ProxyProcess, prompt: str, *, seed: int = 7) -> bytes:
    with openai.OpenAI(base_url=f"{proxy.data_url}/v1", api_key="none", max_retries=0) as client:
        made: Any = client.images
        answer = made.generate(model="shapes", prompt=prompt, response_format="b64_json", extra_body={"seed": seed})
    return base64.b64decode(answer.data[0].b64_json)


def fire(data_dir: Path, registry: Registry, proxy: ProxyProcess) -> None:
    """The schedule's minute has come."""
    proxy.admin("PUT", "/v1/consolidations/schedule", {"enabled": True, "cron": "* * * * *"})
    with registry._database.write() as connection:
        named_rows.write(connection, "fired", {"at": to_text(datetime.now(UTC) - timedelta(hours=1))})


def test_a_concept_gets_out_of_the_weights_by_itself_and_back(proxy: ProxyProcess) -> None:
    data_dir = proxy.log.parent / "data"
    before = {prompt: drawn(proxy, prompt) for prompt in (STAR, CROSS)}
    references = [
        "data:image/png;base64,"
        + base64.b64encode(drawn(proxy, f"a {colour} star on a {ground} background", seed=100 + place)).decode()
        for place, (colour, ground) in enumerate((c, g) for c in COLOURS for g in ("white", "grey"))
    ]
    entry = {
        "id": "star",
        "name": "star",
        "kind": "object",
        "images": references,
        "neighbors": ["circle", "square", "cross", "heart"],
        "exemplars": [
            f"a {colour} star on a {ground} background" for colour in COLOURS for ground in ("white", "grey")
        ],
        "persistence": "persistent",
    }
    proxy.forget(entry)
    registry = Registry.open(data_dir)
    said: list[str] = []
    try:
        fire(data_dir, registry, proxy)
        settings = WorkerSettings(steps=StepSettings(data_dir=data_dir, questions=16))
        job = Worker(registry, settings, launcher=LocalLauncher(), say=said.append).once()
        assert_done(job, said)
        shown = proxy.admin("GET", f"/v1/consolidations/{job.id}")  # type: ignore[union-attr] # asserted above
        figures = shown["weights"]["figures"]
        assert figures["shown"]["value"] <= 0.1
        assert figures["shown_before"]["value"] >= 0.5
        assert shown["weights"]["method"] == "uce"
        assert proxy.admin("GET", "/v1/forget/entries/star")["state"] == "consolidated"
        assert [card["id"] for card in proxy_models(proxy)] == ["shapes"]
        proxy.admin("PATCH", "/v1/forget/entries/star", {"shadow": True})  # the guard only watches from now on
        edited = {prompt: drawn(proxy, prompt) for prompt in (STAR, CROSS)}
        assert edited[STAR] != before[STAR]
        proxy.admin("POST", f"/v1/consolidations/{job.id}:rollback")  # type: ignore[union-attr]
        wait_for(lambda: drawn(proxy, STAR) == before[STAR])
        assert {prompt: drawn(proxy, prompt) for prompt in (STAR, CROSS)} == before
    finally:
        registry.close()


def assert_done(job: Job | None, said: list[str]) -> None:
    assert job is not None, said
    assert job.state is JobState.DONE, (job.error, said)


def proxy_models(proxy: ProxyProcess) -> list[dict[str, Any]]:
    with openai.OpenAI(base_url=f"{proxy.data_url}/v1", api_key="none", max_retries=0) as client:
        return [card.model_dump() for card in client.models.list()]


def wait_for(happened: Any, within_s: float = 20.0) -> None:
    import time

    deadline = time.monotonic() + within_s
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.2)
