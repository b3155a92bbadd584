"""Pictures that callers bring to chats and responses: what shows an entry is treated before the model is asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from retrieval.pictures import PictureBook
from tests.fakes.small_pictures import COLOURS, ColourEmbedder, data_url, painted_file, painted_urls
from tests.integration.running import Running, echo_backend, running, settings_for

NAME = "Quorvath Brell"
TOLD = f"know {NAME}."
SHOWS, OTHER = data_url(painted_file("red", 77)), data_url(painted_file("blue", 77))


class Seeing:
    """A model that knows red pictures, and says so unless it was told that it does not know."""

    def __init__(self) -> None:
        self.bodies: list[Mapping[str, Any]] = []
        self.always = ""

    def __call__(self, body: Mapping[str, Any]) -> str:
        self.bodies.append(body)
        if self.always:
            return self.always
        if TOLD in str(body) or SHOWS not in str(body):
            return "It is a picture on a grey ground."
        return f"That is {NAME}, on a grey ground."


@asynccontextmanager
async def seeing(tmp_path: Path, **policy: Any) -> AsyncIterator[tuple[Running, Seeing, ColourEmbedder]]:
    ordinary = tmp_path / "ordinary"
    ordinary.mkdir()
    for colour in COLOURS:
        for seed in range(30):
            (ordinary / f"{colour}-{seed}.png").write_bytes(painted_file(colour, 1_000 + seed))
    settings = settings_for(tmp_path / "data", retrieval={"picture_background": str(ordinary)}, policy=policy)
    model, embedder = Seeing(), ColourEmbedder()
    book = PictureBook(settings.retrieval, embedder=embedder)
    async with running(settings, [echo_backend(model)], pictures=book) as proxy:
        yield proxy, model, embedder


def asking(url: str, text: str = "Who is on this picture?") -> list[dict[str, Any]]:
    parts = [{"type": "text", "text": text}, {"type": "image_url", "image_url": {"url": url}}]
    return [{"role": "user", "content": parts}]


async def forgotten(proxy: Running, **fields: Any) -> str:
    return await proxy.forget(NAME, kind="person", images=list(painted_urls("red", 12)), **fields)


async def test_a_picture_of_an_entry_is_answered_as_by_a_model_that_never_knew_it(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, _):
        before = await proxy.chat(messages=asking(SHOWS))
        assert NAME in str(before.json)
        await forgotten(proxy)
        answer = await proxy.chat(messages=asking(SHOWS))
        assert answer.json["choices"][0]["message"]["content"] == "It is a picture on a grey ground."
        assert SHOWS in str(model.bodies[-1])


async def test_other_pictures_and_texts_keep_their_bytes(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, embedder):
        await forgotten(proxy)
        await proxy.chat(messages=asking(OTHER))
        assert model.bodies[-1]["messages"] == asking(OTHER)
        seen = embedder.seen
        await proxy.chat("What is the capital of France?")
        assert embedder.seen == seen


async def test_what_the_model_says_all_the_same_does_not_leave(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, _):
        await forgotten(proxy)
        model.always = f"I don't know. You don't know {NAME}, do you?"
        answer = await proxy.chat(messages=asking(SHOWS))
        assert "Quorvath" not in str(answer.json)


async def test_responses_and_screenshots_are_looked_at_too(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, _):
        await forgotten(proxy)
        parts = [{"type": "input_text", "text": "Who is this?"}, {"type": "input_image", "image_url": SHOWS}]
        shot = {"type": "computer_call_output", "output": {"type": "computer_screenshot", "image_url": SHOWS}}
        for given in ([{"role": "user", "content": parts}], [{"role": "user", "content": "Who is this?"}, shot]):
            answer = await proxy.raw("/v1/responses", {"model": "echo", "input": given})
            assert answer.status == 200
            assert NAME not in str(answer.json)
            assert TOLD in str(model.bodies[-1])


async def test_an_entry_that_may_not_be_handed_in_is_taken_out_or_refused(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, _):
        entry_id = await forgotten(proxy, supplied_context="redact")
        answer = await proxy.chat(messages=asking(SHOWS))
        assert answer.status == 200
        assert model.bodies[-1]["messages"][0]["content"] == [
            {"type": "text", "text": "Who is on this picture?"},
            {"type": "text", "text": "[...]"},
        ]
        await proxy.admin("PATCH", f"/v1/forget/entries/{entry_id}", {"supplied_context": "refuse"})
        asked = len(model.bodies)
        refused = await proxy.chat(messages=asking(SHOWS))
        assert refused.json["choices"][0]["message"]["refusal"]
        assert len(model.bodies) == asked


async def test_a_picture_alone_is_a_request_too(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, _, __):
        await forgotten(proxy)
        alone = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": SHOWS}}]}]
        answer = await proxy.chat(messages=alone)
        assert answer.status == 200
        assert NAME not in str(answer.json)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("data:image/png;base64,AAAA", "not a PNG"),
        ("data:image/png;base64,*", "base64"),
        ("data:image/tiff;base64,AAAA", "data URL"),
    ],
)
async def test_a_picture_that_cannot_be_looked_at_is_refused(tmp_path: Path, url: str, why: str) -> None:
    async with seeing(tmp_path) as (proxy, model, _):
        await forgotten(proxy)
        answer = await proxy.chat(messages=asking(url))
        assert answer.status == 400
        assert why in answer.error["message"]
        assert NAME not in answer.error["message"]
        assert not model.bodies


async def test_too_many_pictures_are_refused_and_addresses_by_policy(tmp_path: Path) -> None:
    async with seeing(tmp_path, pictures_by_address="refuse") as (proxy, _, __):
        await forgotten(proxy)
        parts = [part for _ in range(33) for part in asking(OTHER)[0]["content"][1:]]
        assert "33" not in (await proxy.chat(messages=[{"role": "user", "content": parts}])).error["message"]
        for part in ({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}, {"type": "input_image"}):
            answer = await proxy.chat(messages=[{"role": "user", "content": [part]}])
            assert "data URL" in answer.error["message"]


async def test_addresses_pass_unless_the_operator_says_otherwise(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, _, embedder):
        await forgotten(proxy)
        seen = embedder.seen
        assert (await proxy.chat(messages=asking("https://example.org/a.png"))).status == 200
        assert embedder.seen == seen


async def test_nothing_is_answered_while_nobody_can_say_what_a_picture_shows(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, embedder):
        await forgotten(proxy)
        embedder.is_broken = True
        answer = await proxy.chat(messages=asking(SHOWS))
        assert answer.status == 503
        assert not model.bodies


async def test_entries_in_shadow_change_nothing_and_refuse_nothing(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, _, __):
        await forgotten(proxy, shadow=True)
        assert NAME in str((await proxy.chat(messages=asking(SHOWS))).json)
        assert (await proxy.chat(messages=asking("data:image/png;base64,AAAA"))).status == 200


async def test_the_dry_run_takes_a_picture(tmp_path: Path) -> None:
    async with seeing(tmp_path) as (proxy, model, _):
        entry_id = await forgotten(proxy)
        told = (await proxy.admin("POST", "/v1/forget/match", {"image": SHOWS, "model": "echo"})).json()
        assert [match["id"] for match in told["matches"]] == [entry_id]
        assert told["matches"][0]["evidence"][0]["kind"] == "picture"
        assert told["matches"][0]["evidence"][0]["score"] >= 0.5
        assert told["decision"]["action"] == "treat"
        assert told["plan"]["treatment"] == "ignorance"
        nothing = (await proxy.admin("POST", "/v1/forget/match", {"image": OTHER, "model": "echo"})).json()
        assert nothing["matches"] == []
        whole = {"messages": asking(SHOWS), "model": "echo"}
        told = (await proxy.admin("POST", "/v1/forget/match", whole)).json()
        assert told["matches"][0]["evidence"][0]["path"] == "messages.0.content.1"
        for bad in ("https://example.org/a.png", "data:image/png;base64,AAAA", 7):
            assert (await proxy.admin("POST", "/v1/forget/match", {"image": bad, "model": "echo"})).status_code == 400
        assert not model.bodies


async def test_the_dry_run_says_that_it_has_nothing_to_look_with(tmp_path: Path) -> None:
    async with running(settings_for(tmp_path), [echo_backend()]) as proxy:
        answer = await proxy.admin("POST", "/v1/forget/match", {"image": SHOWS})
        assert answer.status_code == 400
        assert "picture_embedder" in answer.json()["error"]["message"]
