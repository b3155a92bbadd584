"""Approved weights get into the backends that serve, stay there, and can be taken out again."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import orjson
import pytest

from guardrail.backends.protocol import Backend, WeightedBackend
from guardrail.backends.router import HIDDEN, Router
from guardrail.errors import ApiError, backend_down
from guardrail.rollout import Place, Rollout
from guardrail.settings import BackendSettings
from retrieval.artifacts import Artifact, Made, Replica, Verdict
from retrieval.registry import Registry


@dataclass
class HoldingBackend:
    """A backend that holds weights by name; `is_down` and `refuses` make it fail."""

    name: str = "local"
    capabilities: frozenset[Any] = frozenset()
    held: dict[str, Path] = field(default_factory=dict)
    loads: list[str] = field(default_factory=list)
    is_down: bool = False
    refuses: bool = False

    async def models(self) -> list[dict[str, Any]]:
        """Its own, and all that it holds, as vLLM lists them."""
        return [{"id": "smollm2-own", "root": "/srv/smollm2"}, *({"id": name} for name in self.held)]

    async def load_weights(self, name: str, folder: Path) -> None:
        """Unless it refuses."""
        if self.is_down:
            raise backend_down(self.name)
        self.loads.append(name)
        if not self.refuses:
            self.held[name] = folder

    async def unload_weights(self, name: str) -> None:
        """At once."""
        self.held.pop(name, None)

    async def has_weights(self, name: str) -> bool:
        """By what is held."""
        if self.is_down:
            raise backend_down(self.name)
        return name in self.held


@dataclass
class World:
    registry: Registry
    backend: HoldingBackend
    router: Router
    rollout: Rollout
    tmp: Path
    settings: BackendSettings

    def approved(self, job: str = "cj_1", **covers: int) -> Artifact:
        """Weights on the disk, approved."""
        run = self.tmp / job
        (run / "adapter").mkdir(parents=True)
        (run / "adapter" / "weights").write_text(job)
        sha256 = hashlib.sha256(job.encode()).hexdigest()
        manifest = orjson.dumps({"files": {"adapter/weights": {"sha256": sha256, "size_bytes": len(job)}}})
        (run / "manifest.json").write_bytes(manifest)
        made = Made(
            form="adapter",
            folder=run / "adapter",
            manifest_sha256=hashlib.sha256(manifest).hexdigest(),
            base="ab",
            method="wga",
            covers=covers or {"ada": 1},
        )
        artifact = self.registry.artifacts.propose("smollm2", job, made)
        return self.registry.artifacts.decide(artifact.id, approved=True, verdict=Verdict(), actor="gate")

    def said(self) -> Replica:
        """What this process last said."""
        (one,) = self.registry.artifacts.replicas("smollm2")
        return one

    async def upstream(self) -> str | None:
        return (await self.router.route("smollm2")).upstream_model

    async def follow_later(self) -> None:
        """It is time to look again."""
        self.rollout._looked_at = float("-inf")
        await self.rollout.follow()


@pytest.fixture
async def world(tmp_path: Path) -> Any:
    registry = Registry.open(tmp_path / "data")
    backend = HoldingBackend()
    weights = tmp_path / "base"
    weights.mkdir()
    settings = BackendSettings(
        name="local",
        kind="vllm_server",
        base_url="http://127.0.0.1:1",
        models={"smollm2": "smollm2-own"},
        weights=weights,
    )
    router = Router([(settings, cast("Backend", backend))])
    await router.refresh()
    rollout = Rollout(registry, router)
    await rollout.start([Place(settings=settings, backend=cast("WeightedBackend", backend))])
    await rollout.stop()  # the tests follow by hand
    yield World(registry=registry, backend=backend, router=router, rollout=rollout, tmp=tmp_path, settings=settings)
    registry.close()


async def test_without_weights_everything_is_as_it_was_and_the_process_says_so(world: World) -> None:
    assert await world.upstream() == "smollm2-own"
    assert (world.said().seq, world.said().is_done) == (0, True)
    assert world.rollout.covers("smollm2") == {}
    (served,) = world.registry.served_models.all()
    assert (served.model, served.backend, served.modality, served.refused) == ("smollm2", "local", "text", "")
    assert served.base == str((world.tmp / "base").resolve())


async def test_approved_weights_are_loaded_under_a_name_of_their_own_and_answer_every_request(world: World) -> None:
    artifact = world.approved(ada=3)
    served = world.registry.artifacts.serve("smollm2", artifact.id, actor="worker")
    await world.rollout.follow()
    name = await world.upstream()
    assert name is not None
    assert name.startswith(HIDDEN)
    assert world.backend.held == {name: artifact.made.folder}
    assert (world.said().seq, world.said().is_done) == (served.seq, True)
    assert world.rollout.covers("smollm2") == {"ada": 3}


async def test_the_name_is_hidden_and_cannot_be_asked_for(world: World) -> None:
    world.registry.artifacts.serve("smollm2", world.approved().id, actor="worker")
    await world.rollout.follow()
    name = str(await world.upstream())
    world.router._asked_at = float("-inf")
    assert [card["id"] for card in await world.router.cards()] == ["smollm2"]
    assert not any(HIDDEN in str(card) for card in await world.router.cards())
    with pytest.raises(ApiError) as caught:
        await world.router.route(name)
    assert caught.value.status == 404


async def test_a_rollback_is_at_once_as_what_served_before_is_still_loaded(world: World) -> None:
    first, second, third = (world.approved(job) for job in ("cj_1", "cj_2", "cj_3"))
    for one in (first, second):
        world.registry.artifacts.serve("smollm2", one.id, actor="worker")
        await world.rollout.follow()
    assert len(world.backend.held) == 2
    loads = len(world.backend.loads)
    newest = await world.upstream()
    world.registry.artifacts.roll_back("smollm2", actor="op")
    await world.rollout.follow()
    assert await world.upstream() != newest
    assert len(world.backend.loads) == loads
    world.registry.artifacts.serve("smollm2", third.id, actor="worker")
    await world.rollout.follow()
    assert len(world.backend.held) <= 2


async def test_back_to_the_untouched_weights(world: World) -> None:
    world.registry.artifacts.serve("smollm2", world.approved().id, actor="worker")
    await world.rollout.follow()
    world.registry.artifacts.roll_back("smollm2", actor="op")
    await world.rollout.follow()
    assert await world.upstream() == "smollm2-own"
    assert world.rollout.covers("smollm2") == {}


async def test_a_canary_takes_its_share_and_covers_nothing_yet(world: World) -> None:
    world.registry.artifacts.serve("smollm2", world.approved().id, actor="worker", canary_share=0.3)
    await world.rollout.follow()
    counted = Counter([await world.upstream() for _ in range(2000)])
    assert 0.25 < 1 - counted["smollm2-own"] / 2000 < 0.35
    assert world.rollout.covers("smollm2") == {}


@pytest.mark.parametrize("change", ["weights", "manifest", "added"])
async def test_files_that_are_not_those_approved_are_not_loaded(world: World, change: str) -> None:
    artifact = world.approved()
    run = artifact.made.folder.parent
    place = {"weights": run / "adapter" / "weights", "manifest": run / "manifest.json", "added": run / "adapter" / "x"}
    place[change].write_bytes(b"else")
    world.registry.artifacts.serve("smollm2", artifact.id, actor="worker")
    await world.rollout.follow()
    assert world.backend.loads == []
    assert await world.upstream() == "smollm2-own"
    assert not world.said().is_done
    assert place[change].name in world.said().detail


async def test_what_cannot_be_loaded_leaves_what_served_and_is_tried_again(world: World) -> None:
    first, second = world.approved("cj_1"), world.approved("cj_2")
    world.registry.artifacts.serve("smollm2", first.id, actor="worker")
    await world.rollout.follow()
    before = await world.upstream()
    world.backend.refuses = True
    world.registry.artifacts.serve("smollm2", second.id, actor="worker")
    await world.rollout.follow()
    assert await world.upstream() == before
    assert "does not list" in world.said().detail
    world.backend.refuses = False
    await world.follow_later()
    assert await world.upstream() != before
    assert world.said().is_done


async def test_weights_that_a_restarted_server_has_lost_are_loaded_again(world: World) -> None:
    world.registry.artifacts.serve("smollm2", world.approved().id, actor="worker")
    await world.rollout.follow()
    world.backend.held.clear()
    await world.follow_later()
    assert await world.upstream() in world.backend.held


async def test_while_the_server_is_gone_nothing_counts_as_covered(world: World) -> None:
    world.registry.artifacts.serve("smollm2", world.approved().id, actor="worker")
    await world.rollout.follow()
    world.backend.is_down = True
    await world.follow_later()
    assert world.rollout.covers("smollm2") == {}
    assert not world.said().is_done
    world.backend.is_down = False
    await world.follow_later()
    assert world.rollout.covers("smollm2") == {"ada": 1}


async def test_a_process_that_begins_later_serves_what_was_published_before(world: World) -> None:
    artifact = world.approved()
    world.registry.artifacts.serve("smollm2", artifact.id, actor="worker")
    router = Router([(world.settings, cast("Backend", world.backend))])
    await router.refresh()
    later = Rollout(world.registry, router)
    await later.start([Place(settings=world.settings, backend=cast("WeightedBackend", world.backend))])
    await later.stop()
    assert str((await router.route("smollm2")).upstream_model).startswith(HIDDEN)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"kind": "litellm_provider", "models": {"gpt": "openai/gpt"}}, "at a provider"),
        ({"kind": "vllm_server", "base_url": "http://127.0.0.1:1", "models": {"gpt": "own"}}, "set `weights`"),
        ({"kind": "echo", "models": {"gpt": "echo"}}, "no weights"),
    ],
)
async def test_a_model_whose_weights_are_out_of_reach_says_why(
    fields: dict[str, Any], words: str, tmp_path: Path
) -> None:
    registry = Registry.open(tmp_path / "data")
    settings = BackendSettings(name="far", **fields)
    router = Router([(settings, cast("Backend", HoldingBackend(name="far")))])
    await router.refresh()
    rollout = Rollout(registry, router)
    await rollout.start([Place(settings=settings, backend=None)])
    await rollout.stop()
    (served,) = registry.served_models.all()
    assert served.base is None
    assert words in served.refused
    registry.close()
