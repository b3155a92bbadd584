"""The admin app: every control route behind one door, put together from `AdminServices`.

Knows which routes there are, not what they do. Served on a listener of its own; data-plane routes are not here.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI

from guardrail.api.admin import errors
from guardrail.api.admin.audit_log import AuditRoutes
from guardrail.api.admin.backend_edits import BackendEditRoutes
from guardrail.api.admin.consolidations import ConsolidationRoutes
from guardrail.api.admin.entry_evidence import EvidenceRoute
from guardrail.api.admin.entry_import import ImportRoute
from guardrail.api.admin.entry_memory import MemoryChange, MemoryRoutes
from guardrail.api.admin.forget_entries import EntryRoutes
from guardrail.api.admin.gate import AdminGate
from guardrail.api.admin.health import HealthRoutes
from guardrail.api.admin.match import MatchRoute
from guardrail.api.admin.services import AdminServices
from guardrail.api.admin.shadow_report import ShadowReportRoute
from guardrail.auth import Authenticator
from retrieval.entry import ForgetEntry

_REF = "#/components/schemas/{model}"


def product_version() -> str:
    """The installed version, `unknown` in a bare checkout."""
    try:
        return version("expunge")
    except PackageNotFoundError:
        return "unknown"


class _AdminApp(FastAPI):
    """FastAPI with the bodies' schemas in its OpenAPI document: bodies are read raw, so it cannot infer them."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if self.openapi_schema is None:
            document = super().openapi()
            known = document.setdefault("components", {}).setdefault("schemas", {})
            for model in (ForgetEntry, MemoryChange):
                schema = model.model_json_schema(ref_template=_REF)
                known.update({**schema.pop("$defs", {}), model.__name__: schema})
        return super().openapi()


def build_admin_app(services: AdminServices) -> FastAPI:
    """The app for the admin listener. Keys are asked for when `auth.required` says so."""
    # The interactive pages load scripts from elsewhere; the document itself is served.
    app = _AdminApp(title="Expunge admin API", version=product_version(), docs_url=None, redoc_url=None)
    errors.install(app)
    entries = EntryRoutes(services)
    for router in (
        ImportRoute(services, entries).router(),
        MemoryRoutes(services, entries.enforce).router(),
        entries.router(),
        EvidenceRoute(services).router(),
        MatchRoute(services).router(),
        ShadowReportRoute(services).router(),
        AuditRoutes(services).router(),
        BackendEditRoutes(services).router(),
        ConsolidationRoutes(services).router(),
        HealthRoutes(services).router(),
    ):
        app.include_router(router)
    authenticator = Authenticator(services.registry, required=services.settings.auth.required)
    app.add_middleware(AdminGate, authenticator=authenticator)
    return app
