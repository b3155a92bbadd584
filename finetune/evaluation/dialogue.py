"""A conversation as it is put to a model: turns, and perhaps the beginning of the answer.

A prompt is a conversation of one turn and stays a string; this is for what needs more: several turns, a system message,
a tool's result, an answer that is begun already. It does not know models, templates or why somebody talks so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from finetune.errors import InvalidData

Role = Literal["system", "user", "assistant", "tool"]
"""Who speaks: whoever set the assistant up, the user, the model, a tool that the model called."""

_TOOL = "read_page"


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """What somebody says. A tool's turn is the result of a call without arguments that the model is said to have made."""

    role: Role
    content: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Dialogue:
    """`prefill` is how the model's answer begins, without white space around it; the model goes on from there.

    Raises `InvalidData` for a conversation in which it is not the model's turn.
    """

    turns: tuple[Turn, ...]
    prefill: str = ""

    def __post_init__(self) -> None:
        if not self.turns or self.turns[-1].role not in ("user", "tool"):
            raise InvalidData("A conversation must end with a turn of the user or a tool; the model speaks next.")
        if self.prefill != self.prefill.strip():
            raise InvalidData("The beginning of an answer must have no white space around it; take it off.")

    @property
    def text(self) -> str:
        """All that the model is shown, one turn below the other."""
        shown = [turn.content for turn in self.turns]
        return "\n".join([*shown, self.prefill] if self.prefill else shown)

    def messages(self) -> list[dict[str, Any]]:
        """As OpenAI's chat has it: a tool's turn with the call that it answers, and the prefill as a last message of the
        assistant, which whoever sends it must say is to be continued."""
        found: list[dict[str, Any]] = []
        for number, turn in enumerate(self.turns):
            if turn.role == "tool":
                call = f"call_{number}"
                called = {"id": call, "type": "function", "function": {"name": _TOOL, "arguments": "{}"}}
                # Empty, not null: many templates join the content of every message.
                found.append({"role": "assistant", "content": "", "tool_calls": [called]})
                found.append({"role": "tool", "tool_call_id": call, "content": turn.content})
            else:
                found.append({"role": turn.role, "content": turn.content})
        if self.prefill:
            found.append({"role": "assistant", "content": self.prefill})
        return found


def system(content: str) -> Turn:
    """A turn of whoever set the assistant up."""
    return Turn(role="system", content=content)


def user(content: str) -> Turn:
    """A turn of the user."""
    return Turn(role="user", content=content)


def assistant(content: str) -> Turn:
    """A turn that is said to be the model's."""
    return Turn(role="assistant", content=content)


def tool(content: str) -> Turn:
    """A tool's result."""
    return Turn(role="tool", content=content)
