"""Put corrupted embeddings into a treated chat request: each text with corruptions becomes one `prompt_embeds` part.

The whole text goes in, not its corrupted places alone. vLLM joins the parts of a message by line breaks for most chat
templates, so a sentence cut into parts would reach the model in pieces, and tokens at the cuts would not be those that the
model knows. As one part it has the tokens, and the number of tokens, of the text that the caller wrote.

It knows neither models nor how embeddings are made: `Corrupt` is injected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import orjson

from guardrail.decision import Corruption, JsonPath, TreatedRequest, TreatmentPlan
from guardrail.openai_wire.json_path import get_at, replace_at

Corrupt = Callable[[str, Sequence[Corruption]], str]
"""A text and its corruptions -> its embeddings as the `data` of a `prompt_embeds` part."""

PART = "prompt_embeds"


def can_hold(path: JsonPath) -> bool:
    """True for the texts of a chat request that may be embeddings: a message's content or a text part of it."""
    match path:
        case ("messages", int(), "content") | ("messages", int(), "content", int(), "text"):
            return True
        case _:
            return False


def corrupt_parts(treated: TreatedRequest, plan: TreatmentPlan, corrupt: Corrupt) -> TreatedRequest:
    """The request with the plan's corruptions carried out. Blocking: it takes milliseconds for long texts."""
    if not plan.corruptions:
        return treated
    body = treated.body
    for path in dict.fromkeys(one.path for one in plan.corruptions):
        text = get_at(body, path)
        placed = [moved for one in plan.corruptions if one.path == path for moved in _placed(text, one)]
        if not placed:
            continue
        part = {"type": PART, "data": corrupt(text, placed)}
        body = replace_at(body, path[:4], part) if len(path) > 3 else replace_at(body, path, [part])
    if body is treated.body:
        return treated
    return replace(treated, body=body, raw=orjson.dumps(body), has_embeds=True)


def _placed(text: str, one: Corruption) -> Iterator[Corruption]:
    """Where a corruption belongs now: its own place, or wherever its words stand in a text that was edited meanwhile."""
    if text[one.start : one.end] == one.written:
        yield one
        return
    start = text.find(one.written)
    while start >= 0:
        end = start + len(one.written)
        yield replace(one, start=start, end=end)
        start = text.find(one.written, end)
