"""Step 4 of the request flow, forward: the table of backends and `create`, which builds one from its settings.

A member's module is imported only when it is asked for, so that heavy libraries stay out of a proxy that needs none.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import cast

from guardrail.backends.protocol import Backend
from guardrail.errors import ConfigError
from guardrail.settings import BackendSettings
from retrieval.errors import did_you_mean

BACKENDS: dict[str, str] = {
    "vllm_server": "guardrail.backends.vllm_server:VllmServer",
    "litellm_provider": "guardrail.backends.litellm_provider:LitellmProvider",
    "transformers_local": "guardrail.backends.transformers_local:TransformersLocal",
    "diffusers_pipeline": "guardrail.backends.diffusers_pipeline:DiffusersPipeline",
    "echo": "guardrail.backends.echo:Echo",
}


def create(settings: BackendSettings, *, cache_dir: Path | None = None) -> Backend:
    """Build (not start) the backend that `settings.kind` names; raises `ConfigError` on an unknown kind.

    `cache_dir` is where a backend may keep derived model files; None leaves the choice to the backend.
    """
    place = BACKENDS.get(settings.kind)
    if place is None:
        hint = did_you_mean(settings.kind, BACKENDS)
        raise ConfigError(f"Unknown backend kind '{settings.kind}'. Known kinds: {', '.join(BACKENDS)}.{hint}")
    module, _, name = place.partition(":")
    member = getattr(importlib.import_module(module), name)
    return cast(Backend, member(settings, cache_dir=cache_dir))
