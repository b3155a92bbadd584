"""Writes settings as YAML in which every setting stands with its explanation.

The explanations are the settings' own docstrings, read from their source, so that the file cannot drift from the code.
Knows nothing of which settings are wise.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from pydantic import BaseModel

from guardrail.settings import BackendSettings, Settings

_WIDTH: Final = 100
_KINDS: Final = ("vllm_server", "litellm_provider", "transformers_local", "diffusers_pipeline", "echo")
_HEAD: Final = """\
# Configuration of Expunge. Every setting stands here with its value; all but `backends` may be left out.
# Secrets do not belong here: name the environment variable that holds them.
"""


def explanations(model: type[BaseModel]) -> dict[str, str]:
    """Field -> the docstring that follows it in the source."""
    body = ast.parse(textwrap.dedent(inspect.getsource(model))).body[0]
    if not isinstance(body, ast.ClassDef):
        return {}
    found: dict[str, str] = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and isinstance(following, ast.Expr)
            and isinstance(following.value, ast.Constant)
        ):
            found[node.target.id] = " ".join(str(following.value.value).split())
    return found


def _yaml(value: Any) -> str:
    """A value on one line."""
    return (
        yaml.safe_dump(value, default_flow_style=True, width=10_000, allow_unicode=True).removesuffix("\n...\n").strip()
    )


def _comment(text: str, indent: str) -> Iterator[str]:
    for line in textwrap.wrap(text, _WIDTH - len(indent), break_on_hyphens=False):
        yield f"{indent}# {line}"


def _concerns_another(explanation: str, kind: str) -> bool:
    """True for a setting that only backends of other kinds read ("`transformers_local`: ...")."""
    named = re.match(r"`(\w+)`:", explanation)
    return named is not None and named.group(1) in _KINDS and named.group(1) != kind


def _section(name: str, section: BaseModel) -> Iterator[str]:
    explained = explanations(type(section))
    yield ""
    yield from _comment((type(section).__doc__ or "").strip(), "")
    yield f"{name}:"
    for key, value in section.model_dump(mode="json").items():
        yield from _comment(explained.get(key, ""), "  ")
        yield f"  {key}: {_yaml(value)}"


def _backend(backend: BackendSettings) -> Iterator[str]:
    explained = explanations(BackendSettings)
    defaults = BackendSettings(name=backend.name, kind=backend.kind).model_dump(mode="json")
    lead = "  - "
    for key, value in backend.model_dump(mode="json").items():
        explanation = explained.get(key, "")
        yield from _comment(explanation, "    ")
        off = value == defaults[key] and _concerns_another(explanation, backend.kind)
        yield f"    # {key}: {_yaml(value)}" if off else f"{lead}{key}: {_yaml(value)}"
        lead = lead if off else "    "


def render(settings: Settings, *, notes: Mapping[str, str] | None = None) -> str:
    """The whole file. `notes` puts a line of advice above a section."""
    lines = [_HEAD.rstrip()]
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if notes and name in notes:
            lines += ["", *_comment(notes[name], "")]
        if isinstance(value, BaseModel):
            lines += _section(name, value)
            continue
        lines += ["", *_comment("Where the served models are; several can be listed.", ""), f"{name}:"]
        for backend in value:
            lines += _backend(backend)
    return "\n".join(lines) + "\n"
