"""Values of the request flow: passage -> detection -> decision -> plan -> treated request -> leak.

All are frozen. They know nothing of HTTP, of stores or of models. Spans are half-open character ranges
(`start`, `end`) into the original text; scores lie in 0..1, higher = nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from retrieval.entry import RegisteredEntry

JsonPath = tuple[str | int, ...]
"""Where a text sits in a JSON body: ("messages", 2, "content", 0, "text")."""


class Capability(StrEnum):
    """What a treatment may ask of a backend."""

    CHAT = "chat"
    COMPLETIONS = "completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    RAW = "raw"  # any other route can be passed through


Admits = Callable[[str], RegisteredEntry | None]
"""Entry id -> the entry, if it is in the caller's scope and in force; else None."""


class Role(StrEnum):
    """Who says a passage, as the model sees it."""

    SYSTEM = "system"  # system and developer messages, `instructions`
    USER = "user"
    ASSISTANT = "assistant"  # earlier answers that the caller sends back
    TOOL = "tool"  # tool results and tool-call arguments


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who asks: the tenant and key of a request. `key_id` is empty where authentication is off."""

    tenant: str = "default"
    key_id: str = ""
    is_admin: bool = False
    models: tuple[str, ...] = ("*",)
    rate_limit_per_min: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Passage:
    """One text of a request and where it sits in the body."""

    path: JsonPath
    role: Role
    text: str


class EvidenceKind(StrEnum):
    """What of the entry was met."""

    NAME = "name"
    ALIAS = "alias"
    FACT = "fact"
    MEANING = "meaning"  # semantic nearness to an exemplar, question, description or document
    FOCUS = "focus"  # carried over from an earlier turn that the current one continues
    TOLD_IN_STEPS = "told_in_steps"  # put together from several turns or texts
    CLAIM = "claim"  # a statement of an answer that tells of it, judged together with the question


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Why an entry matched: which detector, what, how strongly, and where (span in the `passage`-th passage).

    `supplied`: the caller hands the content in himself (a tool result, a pasted page), he does not ask for it.
    `is_match` is False where the text is near the entry, but not near enough to act on by the request alone.
    """

    detector: str
    kind: EvidenceKind
    score: float
    passage: int
    start: int
    end: int
    supplied: bool = False
    is_match: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Detection:
    """An entry that a request touches, or may touch."""

    entry: RegisteredEntry
    score: float
    evidence: tuple[Evidence, ...]

    @property
    def is_asked(self) -> bool:
        """True if the caller asks for it; False if he only hands it in."""
        return not all(item.supplied for item in self.evidence)

    @property
    def is_match(self) -> bool:
        """False for a suspect: an entry that the request may touch, which only the answer can tell."""
        return not self.evidence or any(item.is_match for item in self.evidence)


class Action(StrEnum):
    """What the policy decided for a request."""

    PASS = "pass"  # noqa: S105 - not a password: forward byte-faithfully
    TREAT = "treat"  # forward under a treatment
    REFUSE = "refuse"  # refuse openly, without asking the backend
    FAIL_CLOSED = "fail_closed"  # a detector failed or was too slow; refused as unavailable


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """The policy's word on one request.

    `detections` are acted on; `supplied` are allowed because the caller hands the content in; `shadow` are only recorded;
    `suspects` are not acted on, but the answer is judged for them.
    """

    action: Action
    treatment: str | None = None
    detections: tuple[Detection, ...] = ()
    supplied: tuple[Detection, ...] = ()
    shadow: tuple[Detection, ...] = ()
    suspects: tuple[Detection, ...] = ()
    reason: str = ""

    @property
    def entry_ids(self) -> tuple[str, ...]:
        """Ids of the entries acted on, in canonical order."""
        return tuple(sorted(detection.entry.id for detection in self.detections))


class OnLeak(StrEnum):
    """What happens when forbidden text is about to leave."""

    REWRITE = "rewrite"  # answer anew under the stricter treatment; else the natural answer
    STOP = "stop"  # end the answer before the leak
    REDACT = "redact"  # replace the span


class RefusalStyle(StrEnum):
    """How an open refusal looks on the wire."""

    MESSAGE = "message"  # 200 with `message.refusal`
    TEXT = "text"  # 200 with the refusal as content
    ERROR = "error"  # 400 with `x-should-retry: false`


@dataclass(frozen=True, kw_only=True, slots=True)
class Repair:
    """The `after` part of a plan: what to do on a leak, and the words for it."""

    on_leak: OnLeak = OnLeak.REWRITE
    natural_answer: str = "I'm not familiar with that."
    closing_words: str = " ... I am not sure about that."
    redaction: str = "[...]"
    sentence_holdback: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatmentPlan:
    """before: edits to the request; during: sampling fields; after: the repair rule.

    `instruction` is put after the stable system text. `replacements` maps a text's path to its new text.
    `answer` (when set) is the whole answer: the backend is not asked. `refusal` marks it as an open refusal.
    `answer_prefix` stands before the backend's answer. `expects_ignorance`: the request asks for nothing else, so an
    answer that does not own to not knowing is a leak. `matched_passages` are indexes of passages that were met.
    `may_speak`: the answer may speak of the entry, only names, aliases and facts are taken out.
    """

    treatment: str
    instruction: str | None = None
    replacements: Mapping[JsonPath, str] = field(default_factory=dict)
    during: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    refusal: RefusalStyle | None = None
    answer_prefix: str = ""
    expects_ignorance: bool = False
    matched_passages: tuple[int, ...] = ()
    may_speak: bool = False
    repair: Repair = Repair()


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatedRequest:
    """What goes to the backend: the body as decoded JSON and as bytes (the caller's own bytes when untouched)."""

    body: Mapping[str, Any]
    raw: bytes
    injected_chars: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A forbidden span in outgoing text."""

    entry: RegisteredEntry
    kind: EvidenceKind
    start: int
    end: int
