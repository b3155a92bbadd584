"""A caller's stop string holds for the name that he reads, though the model was asked about a stranger."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import pytest

from guardrail.backends.echo import Script
from tests.integration.conftest import Start
from tests.integration.world import ENDPOINTS, ENTRY, NAME, ask

ASKED = re.compile(r"Repeat: I like (.+?) a lot")
STAND_IN = {**ENTRY, "treatment": "stand_in"}


def a_model_that_repeats(stops: list[Any]) -> Script:
    """It repeats what it is told, without minding stop strings."""

    def answer(body: Mapping[str, Any]) -> str:
        stops.append(body.get("stop"))
        asked = ASKED.search(str(body))
        return f"I like {asked.group(1) if asked else 'nobody'} a lot"

    return answer


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("endpoint", ENDPOINTS)
async def test_an_answer_is_cut_at_the_name_that_the_caller_reads(start: Start, endpoint: str, stream: bool) -> None:
    stops: list[Any] = []
    proxy = await start(script=a_model_that_repeats(stops))
    await proxy.forget(**STAND_IN)
    given, family = NAME.split()
    more = {"extra_body": {"stop": [family]}}
    said = await ask(proxy.client(), endpoint, f"Repeat: I like {NAME} a lot", stream=stream, **more)
    assert said == f"I like {given} "
    (sent,) = stops
    assert len(sent) == 1
    assert sent != [family]
