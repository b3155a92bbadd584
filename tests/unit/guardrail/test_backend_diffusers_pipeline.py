"""The diffusion backend over tiny random pipelines of every family: bare pictures to the bit, steering, errors."""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
import torch
from PIL import Image

from guardrail.backends import create
from guardrail.backends.diffusers_loading import load
from guardrail.backends.diffusers_painters import PainterApart, PainterHere
from guardrail.backends.diffusers_pipeline import DiffusersPipeline
from guardrail.backends.protocol import Backend, BackendCall, Capability
from guardrail.errors import ApiError, BackendError, ConfigError
from guardrail.pictures import Steering
from guardrail.settings import BackendSettings, DrawingSettings
from tests.fakes.stub_pipelines import LoadStub
from tests.fakes.tiny_pipelines import FAMILIES, NUMPY_2, PIXELS, save_tiny

pytestmark = pytest.mark.filterwarnings(NUMPY_2)

STEPS = 2
PROMPT = "a red circle by strypov"
SMALL = DrawingSettings(steps=STEPS, size=f"{PIXELS}x{PIXELS}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: save_tiny(family, tmp_path_factory.mktemp(family)) for family in FAMILIES}


@asynccontextmanager
async def running(backend: Backend) -> AsyncIterator[Backend]:
    await backend.start()
    yield backend
    await backend.aclose()


def of(folder: Path, **changed: Any) -> Backend:
    settings: dict[str, Any] = {"models": {"tiny": "tiny"}, "device": "cpu", "drawing": SMALL, **changed}
    return create(BackendSettings(name="m", kind="diffusers_pipeline", model=str(folder), **settings))


def call(steering: Steering | None = None, path: str = "/v1/images/generations", **fields: Any) -> BackendCall:
    body = {"prompt": PROMPT, "model": "tiny", **fields}
    return BackendCall(path=path, body=orjson.dumps(body), model="tiny", steering=steering)


async def ask(backend: Backend, sent: BackendCall) -> tuple[int, Any]:
    answer = await backend.send(sent)
    return answer.status, orjson.loads(b"".join([chunk async for chunk in answer.chunks()]))


async def draw(backend: Backend, steering: Steering | None = None, **fields: Any) -> list[bytes]:
    """The pictures as pixels."""
    status, body = await ask(backend, call(steering, **fields))
    assert status == 200, body
    return [pixels(base64.b64decode(item["b64_json"])) for item in body["data"]]


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


def bare(folder: Path, seed: int, **arguments: Any) -> bytes:
    """What diffusers draws without us."""
    from diffusers import DiffusionPipeline

    make: Any = DiffusionPipeline
    pipeline = make.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(seed)
    size = {"width": PIXELS, "height": PIXELS, "num_inference_steps": STEPS}
    picture: Image.Image = pipeline(PROMPT, generator=generator, **{**size, **arguments}).images[0]
    return picture.convert("RGB").tobytes()


class Marking:
    """A steering that changes nothing, and notes what it was given; its callback notes the steps."""

    name = "marking"

    def __init__(self, **changes: Any) -> None:
        self.changes = changes
        self.given: Mapping[str, Any] = {}
        self.steps: list[int] = []
        self.is_open = False

    @contextmanager
    def attached(self, pipeline: Any, arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        self.given, self.is_open = arguments, True
        try:
            yield {**arguments, **self.changes, "callback_on_step_end": self.after_step}
        finally:
            self.is_open = False

    def after_step(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        self.steps.append(step)
        return tensors


@pytest.mark.parametrize("family", FAMILIES)
async def test_without_steering_a_picture_is_the_bare_pipelines_to_the_bit(
    family: str, folders: dict[str, Path]
) -> None:
    async with running(of(folders[family])) as backend:
        first, second = await draw(backend, seed=7, n=2)
        assert first == bare(folders[family], 7)
        assert await draw(backend, seed=8) == [second]
        assert first != second


@pytest.mark.parametrize(("family", "expected"), [("sd15", True), ("sdxl", True), ("sd3", True), ("flux", False),
                                                  ("flux_dev", False)])  # fmt: skip
async def test_who_follows_negative_prompts_is_read_from_the_pipeline(
    family: str, expected: bool, folders: dict[str, Path]
) -> None:
    async with running(of(folders[family])) as backend:
        assert {Capability.IMAGES, Capability.STEERING} <= backend.capabilities
        assert (Capability.NEGATIVE_PROMPT in backend.capabilities) is expected
        status, body = await ask(backend, call(negative_prompt="a star", seed=1))
        assert (status == 200) is expected
        if not expected:
            assert body["error"]["param"] == "negative_prompt"


async def test_what_the_caller_asks_for_reaches_the_pipeline(folders: dict[str, Path]) -> None:
    folder = folders["sd15"]
    asked: dict[str, Any] = {"num_inference_steps": 3, "guidance_scale": 2.0, "negative_prompt": "a star"}
    async with running(of(folder, drawing=DrawingSettings())) as backend:
        drawn = await draw(backend, seed=5, size="64x128", **asked)
    assert drawn == [bare(folder, 5, width=64, height=128, **asked)]


async def test_an_answer_has_the_seeds_and_a_usage_and_the_format_asked_for(folders: dict[str, Path]) -> None:
    async with running(of(folders["sd15"])) as backend:
        status, body = await ask(backend, call(n=2, output_format="jpeg", output_compression=50, seed=2**40))
    assert status == 200
    assert body["output_format"] == "jpeg"
    assert [item["seed"] for item in body["data"]] == [2**40, 2**40 + 1]
    assert body["usage"]["output_tokens"] == 2 * PIXELS * PIXELS // 256
    assert Image.open(io.BytesIO(base64.b64decode(body["data"][0]["b64_json"]))).format == "JPEG"


async def test_a_steering_is_attached_for_its_request_only(folders: dict[str, Path]) -> None:
    folder = folders["sd15"]
    same, other = Marking(), Marking(prompt="a blue star")
    async with running(of(folder)) as backend:
        untouched = await draw(backend, seed=3)
        assert await draw(backend, same, seed=3) == untouched
        assert await draw(backend, other, seed=3) != untouched
        assert await draw(backend, seed=3) == untouched
    assert same.steps == [0, 1]
    assert same.given["prompt"] == PROMPT
    assert same.given["num_images_per_prompt"] == 1
    assert not same.is_open


async def test_a_steering_with_diffusers_own_callbacks_gets_the_tensors_it_names(folders: dict[str, Path]) -> None:
    from diffusers.callbacks import PipelineCallback

    base: Any = PipelineCallback

    class Looking(base):  # type: ignore[misc]  # a class of diffusers is not typed
        tensor_inputs = ["latents", "prompt_embeds"]  # noqa: RUF012 - as diffusers' own have it
        seen: list[set[str]] = []  # noqa: RUF012

        def callback_fn(self, pipeline: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            self.seen.append(set(tensors))
            return tensors

    looking = Looking()

    class Steered:
        name = "looking"

        @contextmanager
        def attached(self, pipeline: Any, arguments: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
            yield {**arguments, "callback_on_step_end": looking}

    async with running(of(folders["sd15"])) as backend:
        await draw(backend, Steered(), seed=3)
    assert looking.seen == [{"latents", "prompt_embeds"}] * STEPS


async def test_a_steering_that_raises_is_a_500_without_its_words_and_the_next_picture_is_fine(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    async with running(of(folders["sd15"])) as backend:
        untouched = await draw(backend, seed=3)
        broken = Marking(height="Secret Name")
        with pytest.raises(BackendError) as caught:
            await backend.send(call(broken, seed=3))
        assert (caught.value.status, caught.value.should_retry) == (500, False)
        assert "Secret" not in str(caught.value) + caplog.text
        assert not broken.is_open
        assert await draw(backend, seed=3) == untouched
        assert (await backend.health()).facts["in_flight"] == 0


async def test_a_prompt_that_is_cut_is_not_quoted_in_a_log(
    folders: dict[str, Path], caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    async with running(of(folders["sd15"])) as backend:
        await draw(backend, prompt="a red circle " * 60 + "Secretname", seed=1)
    printed = capfd.readouterr()
    assert "secretname" not in (caplog.text + printed.err + printed.out).lower()


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"size": "70x64"}, 400, "size"),
        ({"size": "8x8"}, 400, "size"),
        ({"size": "4096x4096"}, 400, "size"),
        ({"model": "other"}, 404, "model"),
        ({"prompt": ""}, 400, "prompt"),
        ({"stream": True}, 400, "stream"),
    ],
)
async def test_bad_input_is_answered_before_anything_is_drawn(
    fields: dict[str, Any], status: int, param: str, tmp_path: Path, folders: dict[str, Path]
) -> None:
    async with running(of(folders["sd15"])) as backend:
        got, body = await ask(backend, call(**fields))
    assert (got, body["error"]["param"]) == (status, param)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/embeddings", "/v1/images/edits"])
async def test_other_routes_are_not_found(path: str, tmp_path: Path) -> None:
    async with running(stub(tmp_path)) as backend:
        status, body = await ask(backend, call(path=path))
        assert (status, body["error"]["code"]) == (404, "not_found")
        assert await backend.count_prompt(call(path=path)) is None


def stub(folder: Path, **changed: Any) -> DiffusersPipeline:
    settings: dict[str, Any] = {"models": {"tiny": "tiny"}, **changed}
    own = BackendSettings(name="m", kind="diffusers_pipeline", **settings)
    return DiffusersPipeline(own, painter=PainterHere(LoadStub(folder)))


async def test_hanging_up_stops_the_drawing(tmp_path: Path) -> None:
    async with running(stub(tmp_path)) as backend:
        task = asyncio.create_task(backend.send(call(prompt="slow")))
        async with asyncio.timeout(60):
            while not (await backend.health()).facts["steps_done"]:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            while (await backend.health()).facts["steps_done"] is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert (await backend.health()).facts["generating"] == 0
        assert len(await draw(backend)) == 1


async def test_a_drawing_that_takes_too_long_is_a_504(tmp_path: Path) -> None:
    async with running(stub(tmp_path, total_timeout_s=0.3)) as backend:
        with pytest.raises(BackendError) as caught:
            await backend.send(call(prompt="slow"))
        assert (caught.value.status, caught.value.code) == (504, "backend_timeout")


async def test_more_than_may_wait_are_refused_with_retry_after(tmp_path: Path) -> None:
    async with running(stub(tmp_path, max_waiting=0)) as backend:
        slow = asyncio.create_task(backend.send(call(prompt="slow")))
        async with asyncio.timeout(60):
            while not (await backend.health()).facts["generating"]:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
        with pytest.raises(ApiError) as caught:
            await backend.send(call())
        assert caught.value.status == 429
        slow.cancel()


async def test_a_tenant_who_fills_the_queue_makes_room_for_another_and_is_told_so(tmp_path: Path) -> None:
    def of_tenant(key: str) -> BackendCall:
        return dataclasses.replace(call(prompt="slow"), fair_key=key)

    async with running(stub(tmp_path, max_waiting=1)) as backend:
        tasks = [asyncio.create_task(backend.send(of_tenant("a"))) for _ in range(2)]
        async with asyncio.timeout(60):
            while (await backend.health()).facts["generating"] != 2:  # noqa: ASYNC110 - there is no event for it
                await asyncio.sleep(0.01)
            tasks.append(asyncio.create_task(backend.send(of_tenant("b"))))
            with pytest.raises(ApiError) as caught:
                await tasks[1]
        assert (caught.value.status, (await backend.health()).facts["generating"]) == (429, 2)
        for task in tasks:
            task.cancel()


async def test_a_painter_in_another_process_that_dies_is_started_again(tmp_path: Path) -> None:
    settings = BackendSettings(name="m", kind="diffusers_pipeline", models={"tiny": "tiny"})
    backend = DiffusersPipeline(settings, painter=PainterApart(LoadStub(tmp_path), name="m"))
    async with running(backend):
        assert len(await draw(backend, prompt="die once")) == 1
        with pytest.raises(BackendError) as caught:
            await backend.send(call(prompt="die"))
        assert caught.value.status == 502
        assert len(await draw(backend)) == 1
        assert (await backend.health()).ok


async def test_calls_under_way_fail_when_the_backend_is_closed(tmp_path: Path) -> None:
    backend = stub(tmp_path)
    await backend.start()
    task = asyncio.create_task(backend.send(call(prompt="slow")))
    async with asyncio.timeout(60):
        while not (await backend.health()).facts["steps_done"]:  # noqa: ASYNC110 - there is no event for it
            await asyncio.sleep(0.01)
        await backend.aclose()
        with pytest.raises(BackendError):
            await task
    assert not (await backend.health()).ok
    with pytest.raises(BackendError):
        await backend.send(call())


def test_a_folder_without_a_pipeline_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no model_index\.json"):
        load(str(tmp_path))
    with pytest.raises(ConfigError, match="no such folder"):
        load(str(tmp_path / "absent"))
    (tmp_path / "model_index.json").write_text('{"_class_name": "NoSuchPipeline"}')
    with pytest.raises(ConfigError, match="cannot be loaded as a pipeline"):
        load(str(tmp_path))


def test_drawing_settings_belong_to_the_kind_that_draws() -> None:
    from guardrail.settings import parse

    def of_kind(kind: str, **fields: Any) -> dict[str, Any]:
        return {"backends": [{"name": "m", "kind": kind, **fields}]}

    parse(of_kind("diffusers_pipeline", drawing={"sizes": ["512x512"], "steps": 20}))
    with pytest.raises(ConfigError, match="leave drawing out"):
        parse(of_kind("echo", drawing={"steps": 20}))
    with pytest.raises(ConfigError, match="WIDTHxHEIGHT"):
        parse(of_kind("diffusers_pipeline", drawing={"sizes": ["large"]}))
    with pytest.raises(ConfigError, match="leave picture_hosts out"):
        parse(of_kind("diffusers_pipeline", picture_hosts=["images.example"]))
    parse(of_kind("litellm_provider", models={"dall-e-3": "openai/dall-e-3"}, picture_hosts=["images.example"]))
    with pytest.raises(ConfigError, match="workers: 1"):
        parse({**of_kind("diffusers_pipeline"), "server": {"workers": 2}})
