"""What guarding one answer needs to know of its request: how its texts are inspected and how leaks are repaired.

A value that `inspection` makes and that the guard of a stream and the inspection of whole answers share. It knows neither
events nor bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from guardrail.decision import Leak, OnLeak, Repair, Swap
from guardrail.inspectors.jury import Jury
from guardrail.inspectors.protocol import Inspector
from guardrail.openai_wire.protocol import Body, ChannelKey, WireFormat, count_tokens
from guardrail.streaming.channel import Channel
from guardrail.treatments.names.stop_strings import put_back_until_stop


def _nothing(body: dict[str, Any]) -> bool:
    """Leaves an event as it is."""
    del body
    return False


def _is_words(text: str) -> bool:
    """True if the text begins as no JSON does, with or without a fence. A blank one may still become JSON."""
    begun = text.lstrip()
    if not begun or begun[0] in '{["`-0123456789':
        return False
    return not any(literal.startswith(begun[: len(literal)]) for literal in ("true", "false", "null"))


@dataclass(frozen=True, kw_only=True, slots=True)
class GuardPlan:
    """See the module.

    `json_answer`: the caller asked for JSON, so repairs keep the answer JSON, if it is. `rewrite_event` changes an event or
    answer in place (usage, the public model name) and says whether it did. `patience_chars`: most clear text of one channel
    that waits behind another channel's undecided text. `jury` is where the inspectors bring statements, if they do.
    `swaps` are the invented names that the model was asked about, which are turned back in what leaves;
    `kept` are the words of the request, none of which is a misspelt invented name. `prompt_tokens`: of the caller's own
    prompt, where they are known.
    """

    wire: WireFormat
    original: Body
    repair: Repair
    inspector_for: Callable[[ChannelKey], Inspector]
    on_leak: Callable[[Leak, OnLeak], None]
    may_restart: bool
    json_answer: bool = False
    wants_usage: bool = False
    rewrite_event: Callable[[dict[str, Any]], bool] = field(default=_nothing)
    patience_chars: int = 512
    jury: Jury | None = None
    swaps: tuple[Swap, ...] = ()
    kept: frozenset[str] = frozenset()
    prompt_tokens: int | None = None

    @property
    def counted_prompt(self) -> int:
        """Tokens of the caller's own prompt; an estimate where they are not known."""
        if self.prompt_tokens is not None:
            return self.prompt_tokens
        return sum(count_tokens(passage.text) for passage in self.wire.passages(self.original))

    def open_channel(self, key: ChannelKey, prefix: str = "", beginning: str = "") -> Channel:
        """A channel for a text that begins so. `prefix` stands before an answer in words, not before JSON."""
        if self.json_answer and key.is_answer and not _is_words(beginning):
            key = key._replace(structured=True)
        return Channel(
            key,
            self.inspector_for(key),
            prefix=prefix if key.is_answer and not key.structured else "",
            put_back=put_back_until_stop(key, self.swaps, self.kept, self.original) if self.swaps else None,
        )

    def is_mistaken(self, channel: Channel, key: ChannelKey, following: str) -> bool:
        """True if a text was taken for JSON while it was blank, and `following` shows that it is none."""
        return channel.key.structured and not key.structured and _is_words(following) and channel.is_blank

    def repair_of(self, key: ChannelKey) -> OnLeak:
        """What is done about a leak in a text that cannot be begun anew."""
        if key.structured or key.is_token_detail:
            return OnLeak.REDACT
        return OnLeak.REDACT if self.repair.on_leak is OnLeak.REDACT else OnLeak.STOP
