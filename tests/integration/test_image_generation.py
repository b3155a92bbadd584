"""Pictures through the running proxy: the real data plane over a real tiny Stable Diffusion pipeline."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pytest
from openai import BadRequestError
from PIL import Image

from guardrail.backends import create
from guardrail.backends.diffusers_painters import PainterHere
from guardrail.backends.diffusers_pipeline import DiffusersPipeline
from guardrail.backends.protocol import Backend
from guardrail.picture_planning import PicturePlanner
from guardrail.settings import BackendSettings, DrawingSettings
from retrieval.pictures import PictureBook
from tests.fakes.small_pictures import data_url, encoded, painted_file
from tests.fakes.stub_pipelines import LoadStub
from tests.fakes.tiny_pipelines import NUMPY_2, PIXELS, save_tiny
from tests.fakes.waiting import until
from tests.integration.running import (
    Running,
    echo_backend,
    listening,
    running,
    server_backend,
    settings_for,
)
from tests.integration.world import ENTRY, QUESTION

if TYPE_CHECKING:
    from retrieval.picture_embedders.protocol import Vectors

pytestmark = pytest.mark.filterwarnings(NUMPY_2)

PATH = "/v1/images/generations"
NAME = "strypov"
PROMPT = f"a red circle by {NAME}"
OTHER = "a blue square on white"
LIKE_BANDS = "a house in the rain with some lines"
"""To the tiny pipeline's encoder it is like "bands of two tones", to no detector."""
DRAWING = DrawingSettings(steps=2, size=f"{PIXELS}x{PIXELS}")
STYLE: dict[str, Any] = {"name": NAME, "kind": "style"}
FORMED = {"model": "tiny", "seed": 7}


class SameOnly:
    """An embedder to which only the very same pixels are alike; everything is, while `all_alike`."""

    name = "same-only"
    dim = 64
    fingerprint = "same-only 1"
    threshold = 0.9

    def __init__(self, *, all_alike: bool = False) -> None:
        self.all_alike = all_alike
        self.fails = False

    def embed(self, pictures: Sequence[Image.Image]) -> Vectors:
        """See the protocol."""
        if self.fails:
            raise RuntimeError(f"no memory for {NAME}")
        rows = np.empty((len(pictures), self.dim), dtype=np.float32)
        for row, picture in zip(rows, pictures, strict=True):
            pixels = b"" if self.all_alike else picture.convert("RGB").tobytes()
            seed = int.from_bytes(hashlib.sha256(pixels).digest()[:8], "big")
            row[:] = np.random.default_rng(seed).standard_normal(self.dim)
        return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("sd15", tmp_path_factory.mktemp("sd15"))


@asynccontextmanager
async def drawing(
    folder: Path, data_dir: Path, *, embedder: SameOnly | None = None, **sections: Any
) -> AsyncIterator[Running]:
    """A proxy over the tiny pipeline; with an embedder, pictures are looked at."""
    own = BackendSettings(
        name="m", kind="diffusers_pipeline", model=str(folder), models={"tiny": "tiny"}, device="cpu", drawing=DRAWING
    )
    settings = settings_for(data_dir, **sections)
    book = PictureBook(settings.retrieval, embedder=embedder) if embedder is not None else None
    async with running(settings, [(own, create(own)), echo_backend()], pictures=book) as proxy:
        yield proxy


async def drawn(proxy: Running, prompt: str = PROMPT, **fields: Any) -> list[bytes]:
    """The pictures by the real client."""
    made: Any = proxy.client().images
    extra = {"seed": fields.pop("seed", 7), **fields.pop("extra", {})}
    answer = await made.generate(prompt=prompt, model="tiny", extra_body=extra, **fields)
    return [base64.b64decode(item.b64_json) for item in answer.data]


def bare(folder: Path, prompt: str, seed: int) -> bytes:
    """What diffusers draws without us, as pixels."""
    import torch
    from diffusers import DiffusionPipeline

    make: Any = DiffusionPipeline
    pipeline = make.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(seed)
    picture = pipeline(prompt, generator=generator, width=PIXELS, height=PIXELS, num_inference_steps=2).images[0]
    return bytes(picture.convert("RGB").tobytes())


def pixels(content: bytes) -> bytes:
    return Image.open(io.BytesIO(content)).convert("RGB").tobytes()


async def test_an_entry_changes_the_next_picture_and_its_revocation_brings_it_back(
    folder: Path, tmp_path: Path
) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await drawn(proxy)
        entry_id = await proxy.forget(**STYLE)
        treated = await drawn(proxy)
        assert pixels(treated[0]) != pixels(before[0])
        answer = await proxy.admin("DELETE", f"/v1/forget/entries/{entry_id}")
        assert answer.status_code in (200, 204)
        assert await drawn(proxy) == before


async def test_an_untouched_prompt_gives_the_bare_pipelines_picture_to_the_bit(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        without = await proxy.raw(PATH, {"prompt": OTHER, **FORMED})
        assert pixels(base64.b64decode(without.json["data"][0]["b64_json"])) == bare(folder, OTHER, 7)
        await proxy.forget(**STYLE, images=[data_url(painted_file("red", 1))])
        after = await proxy.raw(PATH, {"prompt": OTHER, **FORMED})
        assert after.json["data"] == without.json["data"]


async def test_a_treated_answer_looks_like_any_other_from_outside(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await proxy.raw(PATH, {"prompt": PROMPT, "n": 2, **FORMED})
        await proxy.forget(**STYLE)
        after = await proxy.raw(PATH, {"prompt": PROMPT, "n": 2, **FORMED})
        assert after.json["usage"] == before.json["usage"]
        assert list(after.json) == list(before.json)
        assert [list(item) for item in after.json["data"]] == [list(item) for item in before.json["data"]]
        assert [item["seed"] for item in after.json["data"]] == [7, 8]
        assert set(after.headers) == set(before.headers)
        assert NAME.encode() not in after.raw


async def test_only_an_admin_who_asks_is_told_what_was_found(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        await proxy.forget(**STYLE, id="style")
        answer = await proxy.raw(PATH, {"prompt": PROMPT, **FORMED}, headers={"x-expunge-explain": "1"})
        assert "x-expunge-decision" not in answer.headers
        told = (await proxy.admin("POST", "/v1/forget/match", {"prompt": PROMPT, "model": "tiny"})).json()
        assert told["plan"]["treatment"].startswith("prototype")
        assert told["matches"][0]["id"] == "style"
        other = (await proxy.admin("POST", "/v1/forget/match", {"prompt": OTHER, "model": "tiny"})).json()
        assert other["plan"]["treatment"] is None


async def test_the_dry_run_takes_values_that_only_some_servers_know(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        await proxy.forget(**STYLE, id="style")
        body = {"prompt": PROMPT, "model": "tiny", "size": "1K", "style": "realistic_image"}
        told = await proxy.admin("POST", "/v1/forget/match", body)
        assert told.status_code == 200, told.text
        assert told.json()["matches"][0]["id"] == "style"


async def test_only_the_picture_that_shows_an_entry_is_drawn_anew(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        before = await drawn(proxy, OTHER, n=3)
        shown = data_url(before[1])
        await proxy.forget("the second", kind="object", images=[shown])
        after = await drawn(proxy, OTHER, n=3)
        assert (after[0], after[2]) == (before[0], before[2])
        assert pixels(after[1]) != pixels(before[1])
        assert 'expunge_leaks_total{kind="picture",on_leak="rewrite"}' in await proxy.metrics()


async def test_where_every_picture_shows_an_entry_a_plain_one_is_given(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path, embedder=SameOnly(all_alike=True)) as proxy:
        await proxy.forget("everything", kind="object", images=[data_url(painted_file("red", 1))])
        (picture,) = await drawn(proxy, OTHER)
        opened = Image.open(io.BytesIO(picture))
        assert opened.size == (PIXELS, PIXELS)
        assert len(set(opened.convert("RGB").tobytes())) == 1


async def test_nothing_leaves_that_nobody_could_look_at(
    folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    embedder = SameOnly()
    async with drawing(folder, tmp_path, embedder=embedder) as proxy:
        await proxy.forget("the first", kind="object", images=[data_url(painted_file("red", 1))])
        embedder.fails = True
        answer = await proxy.raw(PATH, {"prompt": OTHER, **FORMED})
        assert answer.status == 503
        assert answer.error["code"] == "overloaded"
        assert NAME not in caplog.text


async def test_an_entry_in_shadow_changes_no_picture(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        before = await drawn(proxy)
        await proxy.forget(**STYLE, images=[data_url(before[0])], shadow=True)
        assert await drawn(proxy) == before


async def test_an_entry_covers_the_kinds_of_answers_that_it_names(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await drawn(proxy)
        said = (await proxy.chat(QUESTION)).json["choices"]
        await proxy.forget(**STYLE, modalities=["text"])
        await proxy.forget(**{**ENTRY, "treatment": "refusal"}, modalities=["image"])
        assert await drawn(proxy) == before
        assert (await proxy.chat(QUESTION)).json["choices"] == said
        refused = await proxy.raw(PATH, {"prompt": QUESTION, **FORMED})
        assert refused.status == 400


async def test_another_tenants_entry_changes_no_picture(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await drawn(proxy)
        await proxy.forget(**STYLE, scope={"tenants": ["somebody-else"]})
        assert await drawn(proxy) == before


async def test_an_open_refusal_is_an_error_that_is_not_retried(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        await proxy.forget(**STYLE, treatment="refusal")
        with pytest.raises(BadRequestError) as caught:
            await drawn(proxy)
        assert caught.value.code == "content_policy_violation"
        assert caught.value.response.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("treatment", ["negative_prompt", "sld", "safree", "rewrite", "prototype", "blank"])
async def test_every_treatment_draws(folder: Path, tmp_path: Path, treatment: str) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await drawn(proxy)
        await proxy.forget(**STYLE, treatment=treatment)
        after = await drawn(proxy)
        assert pixels(after[0]) != pixels(before[0])
        assert Image.open(io.BytesIO(after[0])).size == (PIXELS, PIXELS)
        counted = await proxy.metrics()
        assert counted[f'expunge_decisions_total{{action="treat",treatment="{treatment}"}}'] == 1


@pytest.mark.parametrize("forgets", [False, True], ids=["untouched", "treated"])
async def test_a_picture_can_be_had_by_its_address_and_by_it_alone(folder: Path, tmp_path: Path, forgets: bool) -> None:
    async with drawing(folder, tmp_path) as proxy:
        if forgets:
            await proxy.forget(**STYLE)
        (expected,) = await drawn(proxy)
        made: Any = proxy.client().images
        answer = await made.generate(prompt=PROMPT, model="tiny", response_format="url", extra_body={"seed": 7})
        url = answer.data[0].url
        assert answer.data[0].b64_json is None
        assert url.startswith(f"{proxy.url}/v1/images/files/")
        async with proxy.session.get(url) as fetched:
            assert fetched.headers["content-type"] == "image/png"
            assert await fetched.read() == expected
        missing = await proxy.raw("/v1/images/files/guessed")
        assert missing.status == 404


@pytest.mark.parametrize("forgets", [False, True], ids=["nothing to forget", "something"])
@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": ""}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"n": 99}, "n"),
        ({"size": "large"}, "size"),
        ({"size": "8192x8192"}, "size"),
        ({"size": "63x63"}, "size"),
        ({"seed": -1}, "seed"),
        ({"stream": True}, "stream"),
        ({"response_format": "gif"}, "response_format"),
        ({"model": "echo"}, "model"),
    ],
)
async def test_bad_input_is_a_clear_4xx(
    folder: Path, tmp_path: Path, fields: dict[str, Any], param: str, forgets: bool
) -> None:
    async with drawing(folder, tmp_path) as proxy:
        if forgets:
            await proxy.forget(**STYLE)
        answer = await proxy.raw(PATH, {"prompt": PROMPT, **FORMED, **fields})
        assert answer.status == 400
        assert answer.error["param"] == param
        assert (await proxy.raw(PATH, {"prompt": PROMPT, "model": "absent"})).status == 404
        assert (await proxy.raw(PATH, b"{")).status == 400
        assert (await proxy.raw(PATH)).status == 405


@pytest.mark.parametrize("forgets", [False, True], ids=["untouched", "treated"])
async def test_a_caller_who_hangs_up_ends_the_drawing(tmp_path: Path, forgets: bool) -> None:
    own = BackendSettings(name="m", kind="diffusers_pipeline", models={"tiny": "tiny"})
    backend = DiffusersPipeline(own, painter=PainterHere(LoadStub(tmp_path)))
    async with running(settings_for(tmp_path / "data"), [(own, backend)]) as proxy:
        if forgets:
            await proxy.forget("slow", kind="object", treatment="negative_prompt")
        call = asyncio.create_task(proxy.session.post(proxy.url + PATH, json={"prompt": "slow", "model": "tiny"}))

        async def has_begun() -> bool:
            return bool((await backend.health()).facts["steps_done"])

        async def is_idle() -> bool:
            facts = (await backend.health()).facts
            return facts["in_flight"] == 0 and facts["generating"] == 0 and facts["steps_done"] is None

        await until(has_begun)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await until(is_idle)


async def test_no_log_tells_of_an_entry(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
            await proxy.forget(**STYLE)
            assert (await proxy.raw(PATH, {"prompt": PROMPT, **FORMED})).status == 200  # the client itself logs
            metrics = (await proxy.admin("GET", "/metrics")).text
    assert NAME not in caplog.text
    assert NAME not in metrics


async def test_a_watched_prompt_below_the_gate_gives_the_bare_picture_and_above_it_another(
    folder: Path, tmp_path: Path
) -> None:
    async with drawing(folder, tmp_path / "closed", policy={"picture_gate": 1.0}) as proxy:
        before = await drawn(proxy, OTHER)
        await proxy.forget(**STYLE)
        assert await drawn(proxy, OTHER) == before
    async with drawing(folder, tmp_path / "open", policy={"picture_gate": 1e-9}) as proxy:
        await proxy.forget("bands of two tones", kind="style")
        told = (await proxy.admin("POST", "/v1/forget/match", {"prompt": LIKE_BANDS, "model": "tiny"})).json()
        assert told["matches"] == []  # so that only the watch can have seen it
        assert pixels((await drawn(proxy, LIKE_BANDS))[0]) != bare(folder, LIKE_BANDS, 7)


async def test_naming_one_entry_does_not_end_the_watch_over_the_others(folder: Path, tmp_path: Path) -> None:
    named = f"{LIKE_BANDS} by {NAME}"
    async with drawing(folder, tmp_path / "unwatched") as proxy:
        await proxy.forget(**STYLE)
        before = await drawn(proxy, named)
    async with drawing(folder, tmp_path / "watched", policy={"picture_gate": 1e-9}) as proxy:
        await proxy.forget(**STYLE)
        assert await drawn(proxy, named) == before
        await proxy.forget("bands of two tones", kind="style")
        assert await drawn(proxy, named) != before


async def test_a_treatment_for_pictures_leaves_words_to_their_default(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        await proxy.forget(**{**ENTRY, "treatment": "prototype"})
        answer = await proxy.chat(QUESTION)
        assert answer.status == 200
        told = (
            await proxy.admin("POST", "/v1/forget/match", {"messages": [{"role": "user", "content": QUESTION}]})
        ).json()
        assert told["decision"]["treatment"] == "ignorance"


class ImageServer:
    """An OpenAI-compatible image server; `refuses` are fields that it does not know. With an `address` it answers by it."""

    def __init__(self, *, refuses: Sequence[str] = ()) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.address = ""
        self.keys: list[bytes] = []
        self._refuses = refuses

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            raw, more = raw + message["body"], message.get("more_body", False)
        status, answer = 200, {"object": "list", "data": [{"id": "there", "object": "model"}]}
        if raw:
            status, answer = self._answered(orjson.loads(raw))
        if scope["path"] == "/red.png":
            self.keys += [value for name, value in scope["headers"] if name == b"authorization"]
        body = painted_file("red", 1) if scope["path"] == "/red.png" else orjson.dumps(answer)
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _answered(self, body: dict[str, Any]) -> tuple[int, Any]:
        self.bodies.append(body)
        unknown = [name for name in self._refuses if name in body]
        if unknown:
            message = f"Unknown parameter '{unknown[0]}' beside {body['prompt']}"
            return 400, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
        shade = len(body["prompt"]) % 256
        picture = base64.b64encode(encoded(Image.new("RGB", (8, 8), (shade, 0, 0)))).decode()
        read = len(body["prompt"]) * 2
        usage = {"input_tokens": read, "output_tokens": 10, "total_tokens": read + 10}
        if self.address:
            return 200, {"created": 1, "data": [{"url": f"{self.address}/red.png"}]}
        item = {"b64_json": picture, "revised_prompt": f"Drawn: {body['prompt']}"}
        return 200, {"created": 1, "data": [item] * body.get("n", 1), "usage": usage}


@pytest.mark.parametrize("refuses", [(), ("negative_prompt",)], ids=["knows negative prompts", "does not"])
async def test_another_image_server_is_sent_a_prompt_without_the_entry(
    tmp_path: Path, refuses: tuple[str, ...]
) -> None:
    server = ImageServer(refuses=refuses)
    async with listening(server) as url:
        made: tuple[BackendSettings, Backend] = server_backend(url, negative_prompts=True)
        async with running(settings_for(tmp_path), [made]) as proxy:
            body = {"prompt": PROMPT, "model": "there", "n": 2, "prompt_2": f"by {NAME}"}
            before = await proxy.raw(PATH, body)
            assert orjson.loads(orjson.dumps(server.bodies[-1])) == body
            await proxy.forget(**STYLE)
            after = await proxy.raw(PATH, body)
            sent = server.bodies[-1]
            assert after.status == 200
            assert NAME not in sent["prompt"]
            assert "prompt_2" not in sent
            assert (NAME in sent.get("negative_prompt", "")) is not bool(refuses)
            assert after.json["usage"] == before.json["usage"]
            assert [item["revised_prompt"] for item in after.json["data"]] == [PROMPT, PROMPT]


async def test_a_name_in_a_field_that_only_some_servers_read_is_seen(tmp_path: Path) -> None:
    server = ImageServer()
    async with listening(server) as url, running(settings_for(tmp_path), [server_backend(url)]) as proxy:
        await proxy.forget(**STYLE)
        await proxy.raw(PATH, {"prompt": OTHER, "model": "there", "extra": {"prompts": [f"by {NAME}"]}})
        assert "extra" not in server.bodies[-1]


async def test_a_name_behind_more_texts_than_are_read_is_not_sent(tmp_path: Path) -> None:
    server = ImageServer()
    body = {"prompt": OTHER, "model": "there", "a": ["x"] * 64, "prompt_2": f"by {NAME}"}
    async with listening(server) as url, running(settings_for(tmp_path), [server_backend(url)]) as proxy:
        assert (await proxy.raw(PATH, body)).status == 200
        await proxy.forget(**STYLE, shadow=True, id="style")
        assert (await proxy.raw(PATH, body)).status == 200
        await proxy.forget("another", kind="style")
        answer = await proxy.raw(PATH, body)
        assert (answer.status, answer.error["param"]) == (400, "prompt_2")
        assert len(server.bodies) == 2


async def test_a_servers_own_style_is_passed_on_and_read(tmp_path: Path) -> None:
    server = ImageServer()
    async with listening(server) as url, running(settings_for(tmp_path), [server_backend(url)]) as proxy:
        await proxy.forget(**STYLE)
        plain = "realistic_image"
        for prompt, style in ((OTHER, plain), (PROMPT, plain), (PROMPT, f"by {NAME}"), (PROMPT, NAME)):
            assert (await proxy.raw(PATH, {"prompt": prompt, "model": "there", "style": style})).status == 200
        assert [body.get("style") for body in server.bodies] == [plain, plain, None, None]
        assert [NAME in orjson.dumps(body).decode() for body in server.bodies] == [False] * 4


async def test_a_long_prompt_is_planned_beside_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[str]()
    plan = PicturePlanner.plan

    def noted(self: PicturePlanner, *given: Any) -> Any:
        threads.append(threading.current_thread().name)
        return plan(self, *given)

    monkeypatch.setattr(PicturePlanner, "plan", noted)
    async with listening(ImageServer()) as url, running(settings_for(tmp_path), [server_backend(url)]) as proxy:
        await proxy.forget(**STYLE)
        assert (await proxy.raw(PATH, {"prompt": PROMPT, "model": "there"})).status == 200
    assert len(threads) == 1
    assert threads[0] != threading.main_thread().name


async def test_a_picture_that_a_server_answers_by_address_is_looked_at_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UPSTREAM_KEY", "sk-upstream")
    server = ImageServer()
    async with listening(server) as url:
        server.address = url
        settings = settings_for(tmp_path)
        book = PictureBook(settings.retrieval, embedder=SameOnly())
        backend = server_backend(url, api_key_env="UPSTREAM_KEY")
        settings = settings.model_copy(update={"backends": (backend[0],)})
        async with running(settings, [backend], pictures=book) as proxy:
            body = {"prompt": OTHER, "model": "there"}
            before = await proxy.raw(PATH, body)
            assert before.json["data"] == [{"url": f"{url}/red.png"}]
            await proxy.forget("a blot", kind="object", images=[data_url(painted_file("blue", 1))])
            assert (await proxy.raw(PATH, body)).raw == before.raw
            assert server.keys == [b"Bearer sk-upstream"]
            await proxy.forget("another", kind="object", images=[data_url(painted_file("red", 1))])
            (item,) = (await proxy.raw(PATH, body)).json["data"]
            assert len(set(pixels(base64.b64decode(item["b64_json"])))) == 1
            server.address = "http://127.0.0.1:1"
            assert (await proxy.raw(PATH, body)).status == 502
