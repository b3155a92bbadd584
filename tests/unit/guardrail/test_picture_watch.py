"""Which entries a prompt is held against besides those met in it, and that more than can be are told of."""

from __future__ import annotations

import logging

import pytest

from guardrail.decision import Caller
from guardrail.openai_wire import images
from guardrail.picture_flow import MOST_WATCHED, Watch
from guardrail.picture_sending import PictureAsk
from guardrail.treatments.image.prototype import PrototypeSteering
from tests.fakes.concepts import registered

ASK = PictureAsk(
    asked=images.parse({"prompt": "a house"}), body={"prompt": "a house"}, raw=b"", caller=Caller(), request_id="req_1"
)


def watched(watch: Watch, entries: dict[str, object], *met: str) -> int:
    steering = watch.steering(ASK, entries.get, met)  # type: ignore[arg-type]
    assert steering is None or isinstance(steering, PrototypeSteering)
    return 0 if steering is None else len(steering.concepts)


def test_what_was_met_and_what_is_in_shadow_is_not_watched_for() -> None:
    entries = {one.id: one for one in (registered("star"), registered("sea"), registered("sky", shadow=True))}
    watch = Watch(entry_ids=lambda: entries, gate=0.3)
    assert watched(watch, {**entries}) == 2
    assert watched(watch, {**entries}, "star") == 1
    assert watched(watch, {**entries}, "star", "sea") == 0


def test_entries_beyond_the_most_are_told_of_once_and_by_their_number_alone(caplog: pytest.LogCaptureFixture) -> None:
    entries = {one.id: one for one in (registered(f"secret {number}") for number in range(MOST_WATCHED + 2))}
    watch = Watch(entry_ids=lambda: entries, gate=0.3)
    with caplog.at_level(logging.WARNING):
        assert watched(watch, {**entries}) == MOST_WATCHED
        assert watched(watch, {**entries}) == MOST_WATCHED
    assert [record.getMessage() for record in caplog.records] == [
        f"policy.picture_gate: prompts are held against {MOST_WATCHED} entries of {MOST_WATCHED + 2}"
    ]
