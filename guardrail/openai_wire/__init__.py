"""The OpenAI wire formats, as far as Expunge touches them: one literal table, endpoint path -> format.

Bodies stay plain decoded JSON; fields that nobody here knows pass through untouched.
"""

from __future__ import annotations

from guardrail.openai_wire.chat import ChatWire
from guardrail.openai_wire.completions import CompletionsWire
from guardrail.openai_wire.protocol import WireFormat
from guardrail.openai_wire.responses import ResponsesWire

WIRE_FORMATS: dict[str, type[WireFormat]] = {
    "/v1/chat/completions": ChatWire,
    "/v1/completions": CompletionsWire,
    "/v1/responses": ResponsesWire,
}
