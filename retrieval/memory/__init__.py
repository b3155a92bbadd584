"""What an entry remembers, made from what the operator gave: names, claims, attributes, handles, texts to compare."""

from retrieval.memory.aliases import Alias, aliases_of, unmistakable_aliases
from retrieval.memory.attributes import Attribute, agreement, attributes, conflict
from retrieval.memory.claims import Claim, claims_of
from retrieval.memory.handles import Handle, HandleTable, handles_of
from retrieval.memory.items import MemoryItem, items_of, unmistakable_names
from retrieval.memory.questions import questions_of
from retrieval.memory.texts import (
    CORE_LIMIT,
    DOCUMENTS_LIMIT,
    MemoryKind,
    MemoryText,
    MemoryTexts,
    core_texts,
    document_texts,
    memory_texts,
)

__all__ = [
    "CORE_LIMIT",
    "DOCUMENTS_LIMIT",
    "Alias",
    "Attribute",
    "Claim",
    "Handle",
    "HandleTable",
    "MemoryItem",
    "MemoryKind",
    "MemoryText",
    "MemoryTexts",
    "agreement",
    "aliases_of",
    "attributes",
    "claims_of",
    "conflict",
    "core_texts",
    "document_texts",
    "handles_of",
    "items_of",
    "memory_texts",
    "questions_of",
    "unmistakable_aliases",
    "unmistakable_names",
]
