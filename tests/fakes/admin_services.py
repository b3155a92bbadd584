"""Admin services over a real registry, with abilities that record what they were asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from guardrail.api.admin.app import build_admin_app
from guardrail.api.admin.services import AdminServices
from guardrail.decision import Caller
from guardrail.settings import Settings, parse
from retrieval.entry import ForgetEntry, MemoryEdit, RegisteredEntry
from retrieval.registry import MemoryRows, Registry

TREATMENTS = {"ignorance": frozenset({"strength"}), "refusal": frozenset[str](), "substitute": frozenset[str]()}


@dataclass
class AdminBench:
    """An admin app over a registry in `data_dir`, and what its abilities saw."""

    data_dir: Path
    settings: Settings
    registry: Registry
    embedded: list[ForgetEntry] = field(default_factory=list)
    documents: list[str] = field(default_factory=list)
    seen_seqs: list[int] = field(default_factory=list)
    asked: list[tuple[Mapping[str, Any], Caller]] = field(default_factory=list)
    register_seconds: list[float] = field(default_factory=list)
    ready: bool = True
    failure: Exception | None = None

    @classmethod
    def open(cls, data_dir: Path, **settings: Any) -> AdminBench:
        return cls(data_dir=data_dir, settings=parse(settings), registry=Registry.open(data_dir))

    def embed(self, entry: ForgetEntry, _edits: Sequence[MemoryEdit]) -> Sequence[MemoryRows]:
        self.embedded.append(entry)
        return [MemoryRows(part="core", fingerprint="fake", kinds=("name",), vectors=b"\0" * 4, dim=2)]

    async def after_change(self) -> None:
        self.seen_seqs.append(self.registry.signal.read())

    def build_memory(self, record: RegisteredEntry) -> None:
        if record.has_document_texts:
            self.documents.append(record.id)

    async def explain_match(self, body: Mapping[str, Any], caller: Caller) -> Mapping[str, Any]:
        if self.failure is not None:
            raise self.failure
        self.asked.append((body, caller))
        return {"decision": {"action": "pass"}, "matches": []}

    async def readiness(self) -> Mapping[str, Any]:
        return {"ready": self.ready, "backends": {"local": {"ok": self.ready}}}

    def services(self) -> AdminServices:
        return AdminServices(
            settings=self.settings,
            registry=self.registry,
            embed=self.embed,
            after_change=self.after_change,
            build_memory=self.build_memory,
            explain_match=self.explain_match,
            treatments=TREATMENTS,
            readiness=self.readiness,
            metrics_text=lambda: b"expunge_requests_total 1.0\n",
            registered=self.register_seconds.append,
        )

    def client(self, key: str | None = None) -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        transport = httpx.ASGITransport(app=build_admin_app(self.services()))
        return httpx.AsyncClient(transport=transport, base_url="http://admin", headers=headers)
