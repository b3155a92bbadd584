"""Pictures made of others through the running proxy: OpenAI's client, the real data plane, a real tiny pipeline."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import BadRequestError
from PIL import Image

from guardrail.openai_wire import picture_edits
from tests.fakes.small_pictures import data_url, encoded, painted_file
from tests.fakes.tiny_pipelines import NUMPY_2, PIXELS, save_tiny
from tests.integration.running import Answer, Running, listening, running, server_backend, settings_for
from tests.integration.test_image_generation import NAME, OTHER, PROMPT, STYLE, SameOnly, drawing, pixels

pytestmark = pytest.mark.filterwarnings(NUMPY_2)

PATH = "/v1/images/edits"
STEPS = {"seed": 7, "strength": 0.75, "num_inference_steps": 4}


def square(colour: str = "red", side: int = PIXELS) -> bytes:
    return encoded(Image.new("RGB", (side, side), colour))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny("sd15", tmp_path_factory.mktemp("sd15"))


async def edited(proxy: Running, prompt: str = PROMPT, *, picture: bytes | None = None, **fields: Any) -> list[bytes]:
    """The pictures by the real client."""
    made: Any = proxy.client().images
    image = ("p.png", square() if picture is None else picture, "image/png")
    extra = {**STEPS, **fields.pop("extra", {})}
    answer = await made.edit(image=image, prompt=prompt, model="tiny", extra_body=extra, **fields)
    return [base64.b64decode(item.b64_json) for item in answer.data]


async def sent(proxy: Running, files: dict[str, bytes], **texts: str) -> Answer:
    """A form as it stands."""
    named = {name: (f"{name}.png", content, "image/png") for name, content in files.items()}
    request = httpx.Request("POST", "http://there", files=named, data={"model": "tiny", **texts})
    return await proxy.raw(PATH, request.read(), headers={"content-type": request.headers["content-type"]})


def bare(folder: Path, prompt: str) -> bytes:
    """What diffusers makes of the red square without us, as pixels."""
    import torch
    from diffusers import AutoPipelineForImage2Image

    make: Any = AutoPipelineForImage2Image
    pipeline = make.from_pretrained(str(folder), local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    picture = pipeline(
        prompt,
        image=Image.open(io.BytesIO(square())).convert("RGB"),
        strength=STEPS["strength"],
        num_inference_steps=STEPS["num_inference_steps"],
        generator=torch.Generator("cpu").manual_seed(7),
    ).images[0]
    return bytes(picture.convert("RGB").tobytes())


async def test_an_untouched_edit_is_the_bare_pipelines_and_an_entry_changes_it(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        (before,) = await edited(proxy)
        assert pixels(before) == bare(folder, PROMPT)
        entry_id = await proxy.forget(**STYLE)
        assert pixels((await edited(proxy))[0]) != pixels(before)
        assert pixels((await edited(proxy, OTHER))[0]) == bare(folder, OTHER)
        await proxy.admin("DELETE", f"/v1/forget/entries/{entry_id}")
        assert await edited(proxy) == [before]


@pytest.mark.parametrize("treatment", ["negative_prompt", "sld", "safree", "rewrite", "prototype", "closed_form"])
async def test_every_treatment_works_from_a_picture(folder: Path, tmp_path: Path, treatment: str) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await edited(proxy, n=2)
        await proxy.forget(**STYLE, treatment=treatment)
        after = await edited(proxy, n=2)
        assert all(pixels(one) != pixels(other) for one, other in zip(after, before, strict=True))
        counted = await proxy.metrics()
        assert counted[f'expunge_decisions_total{{action="treat",treatment="{treatment}"}}'] == 1


async def test_a_treated_answer_looks_like_any_other_from_outside(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path) as proxy:
        before = await sent(proxy, {"image": square()}, prompt=PROMPT, seed="7")
        await proxy.forget(**STYLE)
        after = await sent(proxy, {"image": square()}, prompt=PROMPT, seed="7")
        assert before.status == after.status == 200
        assert after.json["usage"] == before.json["usage"]
        assert list(after.json) == list(before.json)
        assert set(after.headers) == set(before.headers)
        assert NAME.encode() not in after.raw


async def test_a_handed_in_picture_of_an_entry_does_not_come_back(folder: Path, tmp_path: Path) -> None:
    shown = square("red")
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        before = await edited(proxy, OTHER, picture=shown)
        other = await edited(proxy, OTHER, picture=square("blue"))
        await proxy.forget("a thing", kind="object", images=[data_url(shown)])
        assert await edited(proxy, OTHER, picture=shown) != before  # nobody named it
        assert await edited(proxy, OTHER, picture=square("blue")) == other


async def test_a_mask_is_looked_at_like_a_picture(folder: Path, tmp_path: Path) -> None:
    mask = Image.new("RGBA", (PIXELS, PIXELS), (0, 90, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, PIXELS // 2, PIXELS))
    seen = Image.new("RGB", mask.size, "white")
    seen.paste((0, 90, 0), (PIXELS // 2, 0, PIXELS, PIXELS))
    file = ("m.png", encoded(mask), "image/png")
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        before = await edited(proxy, OTHER, mask=file)
        await proxy.forget("a thing", kind="object", images=[data_url(encoded(seen))])
        assert await edited(proxy, OTHER, mask=file) != before


async def test_what_still_shows_an_entry_is_drawn_from_nothing(folder: Path, tmp_path: Path) -> None:
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        (result,) = await edited(proxy, OTHER)
        await proxy.forget("a thing", kind="object", images=[data_url(result)], treatment="blank")
        (after,) = await edited(proxy, OTHER)
        assert pixels(after) != pixels(result)
        assert Image.open(io.BytesIO(after)).size == (PIXELS, PIXELS)
        grey = encoded(Image.new("RGB", (PIXELS, PIXELS), (128, 128, 128)))
        (from_grey,) = await edited(proxy, "a picture", picture=grey, extra={"strength": 1.0})
        assert len(set(pixels(after))) > 1  # drawn, no plain tile
        assert Image.open(io.BytesIO(from_grey)).size == (PIXELS, PIXELS)


async def test_outside_the_mask_the_picture_stays(folder: Path, tmp_path: Path) -> None:
    mask = Image.new("RGBA", (PIXELS, PIXELS), (0, 0, 0, 255))
    mask.paste((0, 0, 0, 0), (0, 0, PIXELS // 2, PIXELS))
    async with drawing(folder, tmp_path) as proxy:
        (picture,) = await edited(proxy, OTHER, mask=("m.png", encoded(mask), "image/png"))
        opened = Image.open(io.BytesIO(picture)).convert("RGB")
        right = opened.crop((PIXELS // 2, 0, PIXELS, PIXELS))
        assert right.getcolors() == [(right.width * right.height, (255, 0, 0))]
        left = opened.crop((0, 0, PIXELS // 2, PIXELS))
        assert left.getcolors() != [(left.width * left.height, (255, 0, 0))]


@pytest.mark.parametrize(
    ("side", "size", "expected"), [(PIXELS + 3, None, PIXELS), (3 * PIXELS, f"{PIXELS}x{PIXELS}", PIXELS)]
)
async def test_the_picture_is_drawn_in_its_own_size_or_that_asked_for(
    folder: Path, tmp_path: Path, side: int, size: str | None, expected: int
) -> None:
    async with drawing(folder, tmp_path) as proxy:
        fields = {} if size is None else {"size": size}
        (picture,) = await edited(proxy, OTHER, picture=square(side=side), **fields)
        assert Image.open(io.BytesIO(picture)).size == (expected, expected)


@pytest.mark.parametrize("forgets", [False, True], ids=["nothing to forget", "something"])
async def test_bad_input_is_a_clear_4xx(folder: Path, tmp_path: Path, forgets: bool) -> None:
    async with drawing(folder, tmp_path, embedder=SameOnly()) as proxy:
        if forgets:
            await proxy.forget(**STYLE, images=[data_url(painted_file("red", 1))])
        no_picture = await sent(proxy, {"image": b"GIF89a but no more"}, prompt=OTHER)
        assert (no_picture.status, no_picture.error["param"]) == (400, "image")
        opaque = await sent(proxy, {"image": square(), "mask": square()}, prompt=OTHER)
        assert (opaque.status, opaque.error["code"]) == (400, "invalid_image")
        weak = await sent(proxy, {"image": square()}, prompt=OTHER, strength="0.01")
        assert (weak.status, weak.error["param"]) == (400, "strength")
        wordless = await sent(proxy, {"image": square()}, prompt="")
        assert (wordless.status, wordless.error["param"]) == (400, "prompt")
        elsewhere = await sent(proxy, {"image": square()}, prompt=OTHER, model="echo")
        assert (elsewhere.status, elsewhere.error["param"]) == (400, "model")
        assert (await proxy.raw(PATH, {"prompt": OTHER})).status == 415
        assert (await proxy.raw(PATH)).status == 405
        made: Any = proxy.client().images
        both = [("p.png", square(), "image/png")] * 2
        with pytest.raises(BadRequestError, match="one picture at a time"):
            await made.edit(image=both, prompt=OTHER, model="tiny")


class FormServer:
    """An OpenAI-compatible server that changes pictures: it gives the first one back."""

    def __init__(self) -> None:
        self.forms: list[bytes] = []
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        raw, more = b"", scope["method"] == "POST"
        while more:
            message = await receive()
            raw, more = raw + message["body"], message.get("more_body", False)
        answer: dict[str, Any] = {"object": "list", "data": [{"id": "there", "object": "model"}]}
        if raw:
            body = picture_edits.read_form(raw, scope["headers"])
            self.forms.append(raw)
            self.bodies.append(body)
            answer = {"created": 1, "data": [{"b64_json": body["image"][0].partition(",")[2]}]}
        content = httpx.Response(200, json=answer).content
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": content})


async def test_a_server_behind_gets_the_callers_form_or_a_treated_one(tmp_path: Path) -> None:
    server = FormServer()
    async with listening(server) as url:
        own = server_backend(url, models={"tiny": "there"})
        async with running(settings_for(tmp_path), [own]) as proxy:
            answer = await sent(proxy, {"image": square()}, prompt=PROMPT, strange=NAME, quality="high")
            assert answer.status == 200, answer.raw
            assert server.bodies[-1]["model"] == "there"
            assert server.bodies[-1]["strange"] == NAME
            await proxy.forget(**STYLE)
            answer = await sent(proxy, {"image": square()}, prompt=PROMPT, strange=NAME, quality="high")
            assert answer.status == 200, answer.raw
            treated = server.bodies[-1]
            assert treated["image"] == [data_url(square())]
            assert treated["quality"] == "high"
            assert NAME.encode() not in server.forms[-1]


async def test_without_an_entry_a_servers_form_keeps_its_bytes(tmp_path: Path) -> None:
    server = FormServer()
    texts = {"prompt": "x", "model": "tiny"}
    form = httpx.Request("POST", "http://there", files={"image": square()}, data=texts)
    async with listening(server) as url:
        own = server_backend(url, models={"tiny": "tiny"})
        async with running(settings_for(tmp_path), [own]) as proxy:
            headers = {"content-type": form.headers["content-type"]}
            assert (await proxy.raw(PATH, form.read(), headers=headers)).status == 200
            assert server.forms == [form.read()]
