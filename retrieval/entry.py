"""ForgetEntry: what an operator wants forgotten, and the life of an entry in the registry.

An entry is a value: frozen, strict about unknown fields, limited in size. It knows nothing of stores, indexes or
treatments; a treatment is only a name (and parameters) here and is checked by whoever serves it.
Times are RFC 3339 with a time zone. Sizes are in characters (`_chars`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, Self

import orjson
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from retrieval.errors import InvalidEntry

NAME_LIMIT_CHARS = 512
TEXT_LIMIT_CHARS = 8_192
DOCUMENT_LIMIT_CHARS = 200_000
DOCUMENTS_LIMIT_CHARS = 2_000_000
LIST_LIMIT = 2_000
ID_PATTERN = re.compile(r"\w[^\s/\\?#%\"'<>\x00-\x1f\x7f]{0,127}")


class EntryKind(StrEnum):
    """What kind of thing is to be forgotten; it chooses the policy's default treatment."""

    PERSON = "person"
    WORK = "work"
    FACT = "fact"
    TOPIC = "topic"
    HAZARD = "hazard"
    PERSONAL_DATA = "personal_data"
    STYLE = "style"
    OBJECT = "object"
    CUSTOM = "custom"


class EntryState(StrEnum):
    """Where an entry stands. Suppression is not erasure: there is no "deleted" and no "erased"."""

    SUPPRESSED = "suppressed"  # enforced in context
    SCHEDULED = "scheduled"  # effective_at lies ahead
    EXPIRED = "expired"  # expires_at has passed
    SHADOW = "shadow"  # decided and recorded, not acted on
    CONSOLIDATING = "consolidating"  # a job bakes it into the weights
    CONSOLIDATED = "consolidated"  # weights edited
    VERIFIED = "verified"  # the weights pass alone
    REVOKED = "revoked"  # no longer enforced


class SuppliedContext(StrEnum):
    """What to do when the caller himself hands in the forgotten content (a pasted page, a tool result)."""

    ALLOW = "allow"  # leave it: forgetting is about what the model brings by itself
    REDACT = "redact"  # take the spans out of the request
    REFUSE = "refuse"  # refuse the request openly


class Persistence(StrEnum):
    """May the entry be baked into weights?"""

    TEMPORARY = "temporary"
    PERSISTENT = "persistent"
    AUTO = "auto"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)


class Fact(_Value):
    """A question and the answer that must not come out; a bare statement has an empty question."""

    question: str = Field(default="", max_length=TEXT_LIMIT_CHARS)
    answer: str = Field(min_length=1, max_length=TEXT_LIMIT_CHARS)


class TreatmentChoice(_Value):
    """A treatment's name and its parameters; unknown parameters are checked by the treatment itself."""

    model_config = ConfigDict(frozen=True, extra="allow")

    method: str = Field(min_length=1, max_length=64)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Everything but the name."""
        return dict(self.__pydantic_extra__ or {})


class Scope(_Value):
    """Which tenants and served models the entry covers; "*" is all."""

    tenants: tuple[str, ...] = ("*",)
    models: tuple[str, ...] = ("*",)

    @field_validator("tenants", "models")
    @classmethod
    def _not_empty(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not value or any(not item for item in value):
            raise ValueError('must name at least one, or be ["*"] for all')
        return value

    def admits(self, *, tenant: str, model: str | None) -> bool:
        """True if the entry covers this tenant and model (`None`: any model, as for listing routes)."""
        in_tenant = "*" in self.tenants or tenant in self.tenants
        return in_tenant and (model is None or "*" in self.models or model in self.models)


class ForgetEntry(_Value):
    """One thing to be forgotten; only `name` is required.."""

    id: str | None = None
    name: str = Field(min_length=1, max_length=NAME_LIMIT_CHARS)
    kind: EntryKind = EntryKind.CUSTOM
    aliases: tuple[str, ...] = Field(default=(), max_length=LIST_LIMIT)
    description: str = Field(default="", max_length=TEXT_LIMIT_CHARS)
    documents: tuple[str, ...] = Field(default=(), max_length=LIST_LIMIT)
    exemplars: tuple[str, ...] = Field(default=(), max_length=LIST_LIMIT)
    facts: tuple[Fact, ...] = Field(default=(), max_length=LIST_LIMIT)
    neighbors: tuple[str, ...] = Field(default=(), max_length=LIST_LIMIT)
    images: tuple[str, ...] = Field(default=(), max_length=LIST_LIMIT)
    substitute: str | None = Field(default=None, max_length=TEXT_LIMIT_CHARS)
    treatment: TreatmentChoice | None = None
    modalities: tuple[Literal["text", "image"], ...] = ("text", "image")
    scope: Scope = Scope()
    effective_at: AwareDatetime | None = None
    expires_at: AwareDatetime | None = None
    supplied_context: SuppliedContext = SuppliedContext.ALLOW
    persistence: Persistence = Persistence.AUTO
    shadow: bool = False
    reason: str = Field(default="", max_length=TEXT_LIMIT_CHARS)
    reference: str = Field(default="", max_length=TEXT_LIMIT_CHARS)

    @field_validator("id")
    @classmethod
    def _plain_id(cls, value: str | None) -> str | None:
        if value is not None and not ID_PATTERN.fullmatch(value):
            raise ValueError(
                "must be 1-128 characters, begin with a letter or digit, and hold no spaces, quotes or /\\?#%<>"
            )
        return value

    @field_validator("name", "aliases")
    @classmethod
    def _has_letters(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        names = (value,) if isinstance(value, str) else value
        if not all(any(character.isalnum() for character in name) for name in names):
            raise ValueError("must hold at least one letter or digit: nothing else can be found in a text")
        return value

    @field_validator("facts", mode="before")
    @classmethod
    def _bare_facts(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        return tuple({"answer": item} if isinstance(item, str) else item for item in value)

    @field_validator("treatment", mode="before")
    @classmethod
    def _bare_treatment(cls, value: Any) -> Any:
        return {"method": value} if isinstance(value, str) else value

    @field_validator("aliases", "exemplars", "neighbors", "documents")
    @classmethod
    def _no_empty_items(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(not item for item in value):
            raise ValueError("must not hold empty strings")
        return value

    @field_validator("aliases", "exemplars", "neighbors")
    @classmethod
    def _short_items(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(item) > TEXT_LIMIT_CHARS for item in value):
            raise ValueError(f"holds an item of more than {TEXT_LIMIT_CHARS} characters; use documents")
        return value

    @field_validator("documents")
    @classmethod
    def _documents_fit(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if any(len(item) > DOCUMENT_LIMIT_CHARS for item in value):
            raise ValueError(f"holds a document of more than {DOCUMENT_LIMIT_CHARS} characters; split it")
        if sum(map(len, value)) > DOCUMENTS_LIMIT_CHARS:
            raise ValueError(f"holds more than {DOCUMENTS_LIMIT_CHARS} characters in all; make several entries")
        return value

    @model_validator(mode="after")
    def _times_in_order(self) -> Self:
        if self.effective_at and self.expires_at and self.expires_at <= self.effective_at:
            raise ValueError("expires_at must lie after effective_at")
        return self

    def canonical_bytes(self) -> bytes:
        """The entry as canonical JSON: equal entries have equal bytes."""
        return orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)

    @property
    def names(self) -> tuple[str, ...]:
        """The name and all aliases."""
        return (self.name, *self.aliases)

    def fingerprint(self) -> str:
        """SHA-256 of the canonical bytes, hexadecimal."""
        return hashlib.sha256(self.canonical_bytes()).hexdigest()


def parse_entry(body: object) -> ForgetEntry:
    """Build an entry from decoded JSON; raises `InvalidEntry` naming the field and the mend."""
    if not isinstance(body, dict):
        raise InvalidEntry("An entry must be a JSON object with at least a name.")
    try:
        return ForgetEntry.model_validate(body)
    except ValidationError as error:
        raise explain(error) from None


def explain(error: ValidationError) -> InvalidEntry:
    """The first finding of a pydantic error, without the offending value (it may be secret)."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    param = ".".join(str(part) for part in first["loc"]) or None
    if first["type"] == "extra_forbidden":
        known = ", ".join(ForgetEntry.model_fields)
        return InvalidEntry(f"Unknown field '{param}'. Known fields: {known}.", param=param)
    message = first["msg"].removeprefix("Value error, ")
    return InvalidEntry(f"Field '{param}': {message}." if param else f"{message}.", param=param)


class MemoryEdit(_Value):
    """What an operator, or the served model, changed in an entry's memory: an item more, or a derived one switched off.

    `text` is empty where the edit only switches the derived item of this id. `is_unmistakable` of an alias: it may decide
    alone. `source` is "given" for what the operator said and "elicited" for what the served model said.
    """

    item_id: str
    kind: str
    text: str = Field(default="", max_length=TEXT_LIMIT_CHARS)
    source: Literal["given", "elicited"] = "given"
    enabled: bool = True
    is_unmistakable: bool = False


class RegisteredEntry(_Value):
    """An entry as the registry holds it. `revision` is the registry-wide number of its last change."""

    id: str
    revision: int
    entry: ForgetEntry
    created_at: AwareDatetime
    updated_at: AwareDatetime
    revoked_at: AwareDatetime | None = None
    weights: EntryState | None = None  # consolidating, consolidated or verified, once weights cover it
    edits: tuple[MemoryEdit, ...] = ()
    elicited_at: AwareDatetime | None = None  # since when what the served model says of it is in the memory

    @property
    def has_document_texts(self) -> bool:
        """True if memory follows after the entry is enforced: documents, or claims that were added."""
        return bool(self.entry.documents) or any(edit.kind == "claim" and edit.text for edit in self.edits)

    def state(self, now: datetime | None = None) -> EntryState:
        """The state at `now` (UTC)."""
        now = now or datetime.now(UTC)
        if self.revoked_at is not None:
            return EntryState.REVOKED
        if self.entry.expires_at is not None and self.entry.expires_at <= now:
            return EntryState.EXPIRED
        if self.entry.effective_at is not None and self.entry.effective_at > now:
            return EntryState.SCHEDULED
        if self.entry.shadow:
            return EntryState.SHADOW
        return self.weights or EntryState.SUPPRESSED

    def is_enforced(self, now: datetime) -> bool:
        """True while the entry takes part in decisions (shadow entries do: they are decided, not acted on)."""
        entry = self.entry
        return (
            self.revoked_at is None
            and (entry.effective_at is None or entry.effective_at <= now)
            and (entry.expires_at is None or entry.expires_at > now)
        )
