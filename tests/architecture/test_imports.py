"""The dependency rules: layers, strangers inside a family, and what starting the proxy may load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict

import pytest

from tests.architecture.source_tree import PRODUCT, ROOT, Source, imports, sources

HEAVY = (
    "torch",
    "transformers",
    "diffusers",
    "peft",
    "accelerate",
    "faiss",
    "onnxruntime",
    "litellm",
    "sentence_transformers",
)
ADAPTERS = (
    "retrieval.embedders.",
    "retrieval.picture_embedders.",
    "retrieval.indexes.",
    "guardrail.backends.",
    "guardrail.treatments.",
)
MAY_IMPORT_VLLM = "guardrail.decoding.vllm_processor"


def test_the_layers_of_the_three_packages_hold() -> None:
    """The contracts stand in pyproject.toml; `lint-imports` tells the same with the chain of imports."""
    outcome = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr
    assert "0 broken" in outcome.stdout


def test_importing_the_app_loads_no_heavy_library() -> None:
    """Heavy libraries are imported inside the adapter that uses them: a proxy without them starts and stays small."""
    has_app = (ROOT / "guardrail" / "app.py").exists()
    names = ["guardrail.app"] if has_app else _plain_modules()
    program = (
        "import importlib, sys\n"
        f"for name in {names!r}: importlib.import_module(name)\n"
        f"print(','.join(name for name in {HEAVY!r} if name in sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    assert loaded.stdout.strip() == "", f"importing {names[0]} loads {loaded.stdout.strip()}"


def test_heavy_libraries_are_imported_by_adapters_only() -> None:
    """Even an adapter is loaded lazily: its family's table, or the function that needs it, imports it when it is used."""
    for source in sources("guardrail", "retrieval"):
        if source.module == MAY_IMPORT_VLLM or source.module.startswith(ADAPTERS):
            continue
        heavy = {name for name in imports(source, lazy=False) if name.split(".")[0] in HEAVY}
        assert not heavy, f"{source.module} imports {sorted(heavy)} at module level; move it into an adapter"


def test_only_the_processor_inside_vllm_imports_vllm() -> None:
    for source in sources(*PRODUCT, "benchmarks", "tests"):
        if source.module != MAY_IMPORT_VLLM:
            assert "vllm" not in {name.split(".")[0] for name in imports(source)}, source.module


def test_members_of_a_family_are_strangers_to_each_other() -> None:
    """A member is what the family's literal table names. Shared machinery beside the members is no member: members
    may import it, it may import no member (else two members would meet through it)."""
    for package, members in _families().items():
        for source in sources():
            if source.is_package or source.module.rpartition(".")[0] != package:
                continue
            met = {name for name in imports(source) if name in members and name != source.module}
            what = "a member" if source.module in members else "shared machinery"
            assert not met, f"{source.module} ({what} of {package}) imports {sorted(met)}; app injects a callable"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("from guardrail.backends.echo import Echo\nTABLE = {'echo': Echo}", {"guardrail.backends.echo"}),
        ("from .echo import Echo", {"guardrail.backends.echo"}),
        ("from guardrail.backends import echo", {"guardrail.backends.echo"}),
        ("TABLE = {'echo': 'guardrail.backends.echo:Echo'}", {"guardrail.backends.echo"}),
        ("from guardrail.backends.protocol import Backend", set()),
    ],
)
def test_a_members_name_is_read_from_every_way_to_write_the_table(text: str, expected: set[str]) -> None:
    package = Source(
        path=ROOT / "guardrail" / "backends" / "__init__.py",
        module="guardrail.backends",
        text=text,
        tree=ast.parse(text),
    )
    assert _members(package, {"guardrail.backends.echo", "guardrail.backends.protocol"}) == expected


def _plain_modules() -> list[str]:
    # Migrations run inside Alembic only.
    return [source.module for source in sources("guardrail", "retrieval") if ".migrations." not in source.module]


def _families() -> dict[str, set[str]]:
    """Package -> its members' modules, for every package with a `protocol.py` that offers a choice of members."""
    children: dict[str, set[str]] = defaultdict(set)
    for source in sources():
        children[source.module.rpartition(".")[0]].add(source.module)
    families = {}
    for source in sources():
        if source.is_package and f"{source.module}.protocol" in children[source.module]:
            families[source.module] = _members(source, children[source.module])
    return families


def _members(package: Source, children: set[str]) -> set[str]:
    named = set(imports(package))
    for node in ast.walk(package.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            named.add(node.value.partition(":")[0])
    return (named & children) - {f"{package.module}.protocol"}
