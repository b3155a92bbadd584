"""Values of the request flow: passage -> detection -> decision -> plan -> treated request -> leak.

All are frozen. They know nothing of HTTP, of stores or of models. Spans are half-open character ranges
(`start`, `end`) into the original text; scores lie in 0..1, higher = nearer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Literal, NamedTuple

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
    RESTRICT = "restrict"  # phrases that are never written: `vllm_xargs` as decoding.request gives them
    BAD_WORDS = "bad_words"  # a list of words that are never written just so, in this spelling
    OFFSET = "offset"  # what an assistant expects is taken off: `vllm_xargs` as decoding.request gives them
    PROMPT_EMBEDS = "prompt_embeds"  # parts of a message may be given as embeddings
    IMAGES = "images"  # draws: /v1/images/generations
    EDITS = "edits"  # changes pictures that are handed in: /v1/images/edits
    NEGATIVE_PROMPT = "negative_prompt"  # what is drawn can be led away from a text
    STEERING = "steering"  # a treatment may work inside the pipeline, in this process
    PROCESSED_LOGPROBS = "processed_logprobs"  # log-probabilities are those behind what restricts and offsets


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
    PICTURE = "picture"  # a picture shows it, drawn or handed in
    CLAIM = "claim"  # a statement of an answer that tells of it, judged together with the question


NO_PASSAGE = -1
"""Stands for the passage of what was met in no text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Why an entry matched: which detector, what, how strongly, and where (span in the `passage`-th passage).

    `supplied`: the caller hands the content in himself (a tool result, a pasted page), he does not ask for it.
    `part`: where a picture sits in the body; it stands in no passage. `is_match` is False where the text is near the entry,
    but not near enough to act on by the request alone.
    """

    detector: str
    kind: EvidenceKind
    score: float
    passage: int
    start: int
    end: int
    supplied: bool = False
    is_match: bool = True
    part: JsonPath = ()

    @property
    def is_name(self) -> bool:
        """True where the entry is called by a name or alias, surely enough."""
        return self.is_match and self.kind in (EvidenceKind.NAME, EvidenceKind.ALIAS)


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
    `suspects` are not acted on, but the answer is judged for them; `resting` are those of them that were met, and that the
    served weights themselves do not know any more.
    """

    action: Action
    treatment: str | None = None
    detections: tuple[Detection, ...] = ()
    supplied: tuple[Detection, ...] = ()
    shadow: tuple[Detection, ...] = ()
    suspects: tuple[Detection, ...] = ()
    resting: tuple[Detection, ...] = ()
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
class Part:
    """One word: what was put in for what, both without endings. `alone`: it can only mean this, wherever it stands."""

    invented: str
    written: str
    alone: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Swap:
    """`invented` stands where the caller wrote `written`; `parts` word by word, empty where words do not answer words."""

    entry_id: str
    invented: str
    written: str
    parts: tuple[Part, ...] = ()


CorruptionKind = Literal["rand_noise_first_n", "zero_out_top_k", "flip_sign"]
"""Noise on every dimension; the largest dimensions set to zero; their sign turned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corruption:
    """The embeddings of `written`, at `start`..`end` of the text at `path`, are corrupted before the model reads them.

    `strength`: for noise its standard deviation, in root mean squares of the model's own embeddings; else the share of the
    dimensions, 0..1.
    """

    path: JsonPath
    start: int
    end: int
    written: str
    kind: CorruptionKind
    strength: float
    seed: int


class Edit(NamedTuple):
    """`text[start:end]` of an outgoing text leaves as `replacement`."""

    start: int
    end: int
    replacement: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatmentPlan:
    """before: edits to the request; during: sampling fields; after: the repair rule.

    `instruction` is put after the stable system text. `replacements` maps a text's path to its new text. `without_pictures`
    are paths of parts whose pictures are taken out.
    `answer` (when set) is the whole answer: the backend is not asked. `refusal` marks it as an open refusal.
    `answer_prefix` stands before the backend's answer. `expects_ignorance`: the request asks for nothing else, so an
    answer that does not own to not knowing is a leak. `matched_passages` are indexes of passages that were met.
    `may_speak`: the answer may speak of the entry, only names, aliases and facts are taken out. `swaps` are the invented
    names that `replacements` put in; in the answer they are turned back. `corruptions` are spans of texts that go to the
    model as corrupted embeddings.
    `demonstrations` are questions with answers that the model reads as earlier turns, right before the last one.
    """

    treatment: str
    instruction: str | None = None
    replacements: Mapping[JsonPath, str] = field(default_factory=dict)
    without_pictures: tuple[JsonPath, ...] = ()
    during: Mapping[str, Any] = field(default_factory=dict)
    answer: str | None = None
    refusal: RefusalStyle | None = None
    answer_prefix: str = ""
    expects_ignorance: bool = False
    matched_passages: tuple[int, ...] = ()
    may_speak: bool = False
    swaps: tuple[Swap, ...] = ()
    corruptions: tuple[Corruption, ...] = ()
    demonstrations: tuple[tuple[str, str], ...] = ()
    repair: Repair = Repair()


@dataclass(frozen=True, kw_only=True, slots=True)
class TreatedRequest:
    """What goes to the backend: the body as decoded JSON and as bytes (the caller's own bytes when untouched).

    `has_embeds`: a treatment put prompt embeddings into it, so that the backend may read them.
    """

    body: Mapping[str, Any]
    raw: bytes
    injected_chars: int = 0
    has_embeds: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Leak:
    """A forbidden span in outgoing text."""

    entry: RegisteredEntry
    kind: EvidenceKind
    start: int
    end: int
