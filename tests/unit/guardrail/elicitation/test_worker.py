"""The elicitation worker: what the model says is kept once, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from guardrail.elicitation.worker import Collaborators, Elicitation
from guardrail.errors import BackendError
from retrieval.entry import ForgetEntry, RegisteredEntry
from retrieval.registry import Registry
from tests.fakes.waiting import until

MIRA = ForgetEntry(id="mira", name="Mira Quelle")
SAID = "Halva Brandt\nShe kept geese in the village."


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Registry]:
    opened = Registry.open(tmp_path)
    yield opened
    opened.close()


class Model:
    """Says the same to everything; `before` runs first and may raise."""

    def __init__(self, said: str = SAID, before: Callable[[], None] | None = None) -> None:
        self.asked: list[str] = []
        self._said = said
        self._before = before

    async def ask(self, prompt: str) -> str:
        self.asked.append(prompt)
        if self._before is not None:
            self._before()
        return self._said


Make = Callable[[Model], Awaitable[Elicitation]]


@pytest.fixture
async def make(registry: Registry) -> AsyncIterator[Make]:
    made: list[Elicitation] = []

    async def start(model: Model) -> Elicitation:
        with_ = Collaborators(ask=model.ask, embed=lambda _entry, _edits: [], build_memory=lambda _record: None)
        worker = Elicitation(registry, with_, waits_s=(0.0,))
        await worker.start()
        made.append(worker)
        return worker

    yield start
    for worker in made:
        await worker.stop()


async def done(registry: Registry, entry_id: str = "mira") -> RegisteredEntry:
    await until(lambda: registry.get(entry_id).elicited_at is not None)
    return registry.get(entry_id)


async def test_what_the_model_says_of_a_new_entry_is_in_its_memory(registry: Registry, make: Make) -> None:
    model = Model()
    worker = await make(model)
    worker.schedule(registry.create(MIRA, actor="test").record)
    record = await done(registry)
    assert {(edit.kind, edit.text) for edit in record.edits} == {
        ("alias", "Halva Brandt"),
        ("neighbor", "Halva Brandt"),
        ("claim", "She kept geese in the village."),
    }
    assert len(model.asked) == 4
    (audited,) = registry.audit.page(kind="entry.memory").items
    assert (audited.actor, "Halva" in str(audited)) == ("expunge", False)


async def test_entries_of_before_the_start_are_found_and_none_is_asked_about_twice(
    registry: Registry, make: Make
) -> None:
    registry.create(MIRA, actor="test")
    registry.create(ForgetEntry(id="odo", name="Odo Brask"), actor="test")
    registry.revoke("odo", actor="test")
    model = Model()
    worker = await make(model)
    await done(registry)
    worker.schedule(registry.get("mira"))
    again = Model()
    await make(again)
    await until(lambda: not worker.waiting)
    assert (len(model.asked), again.asked) == (4, [])


async def test_a_model_that_is_down_is_asked_again_and_then_given_up(
    registry: Registry, make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    def down() -> None:
        raise BackendError("Mira Quelle is not served", status=502)

    registry.create(MIRA, actor="test")
    model = Model(before=down)
    await make(model)
    assert (await done(registry)).edits == ()
    assert len(model.asked) == 8
    assert "Mira" not in caplog.text


async def test_a_change_while_the_model_was_asked_is_kept(registry: Registry, make: Make) -> None:
    def revise() -> None:
        registry.revise("mira", {"aliases": ["Halva Brandt"]}, actor="test")

    registry.create(MIRA, actor="test")
    await make(Model(before=revise))
    record = await done(registry)
    assert record.entry.aliases == ("Halva Brandt",)
    assert "alias" not in {edit.kind for edit in record.edits}, "given now, so not elicited"


async def test_an_entry_that_was_revoked_meanwhile_does_not_keep_the_others_waiting(
    registry: Registry, make: Make
) -> None:
    def revoke() -> None:
        registry.revoke("mira", actor="test")

    registry.create(MIRA, actor="test")
    registry.create(ForgetEntry(id="odo", name="Odo Brask"), actor="test")
    await make(Model(before=revoke))
    assert (await done(registry, "odo")).edits
    assert registry.get("mira").edits == ()
