"""The shape of the sources: size, names, docstrings, and what must never stand in the repository."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import sys
from pathlib import Path

import pytest
from pydantic import BaseModel

from tests.architecture.source_tree import PRODUCT, ROOT, Source, repository_files, sources

FILE_LIMIT_LINES = 400
FUNCTION_LIMIT_LINES = 80
VAGUE_NAMES = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared", "base"}
# Names of libraries that a checkout may lack but a user has: a module of ours must not be confused with them.
LIBRARIES = {
    "vllm",
    "diffusers",
    "peft",
    "accelerate",
    "ray",
    "kubernetes",
    "redis",
    "langchain",
    "datasets",
    "evaluate",
}
BINARY = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".ico", ".safetensors", ".onnx", ".gguf", ".npz", ".whl", ".xz"}
THIS_FILE = Path(__file__).resolve()

# Places of one machine or one network must not be in the repository: it is built and served anywhere.
FORBIDDEN_TEXT = {
    "a folder of one machine": re.compile(r"(?<![\w.~-])/(?:work|root|opt/(?:wheels|pypi))\b"),
    "a local file address": re.compile(r"\bfile:///"),
    "a package registry's address": re.compile(
        r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|://[\w.-]+/simple\b"
    ),
    "a place for packages": re.compile(
        r"--(?:find-links|index-url|extra-index-url|trusted-host)[ =]\s*[\"']?[/\w]+[:/]"
    ),
}


def test_every_module_says_what_it_is_for() -> None:
    for source in sources(*PRODUCT, "benchmarks", "tests"):
        if source.tree.body:  # an empty __init__.py says nothing and does nothing
            docstring = ast.get_docstring(source.tree)
            assert docstring, f"{_shown(source)} has no docstring"
            assert docstring.splitlines()[0].strip(), f"{_shown(source)}: the first line must say what it is for"


def test_no_file_is_longer_than_can_be_read_at_a_sitting() -> None:
    long = {_shown(source): source.lines for source in sources(*PRODUCT) if source.lines > FILE_LIMIT_LINES}
    assert not long, f"over {FILE_LIMIT_LINES} lines: {long}"


def test_no_function_is_longer_than_a_screen_or_two() -> None:
    for source in sources(*PRODUCT, "benchmarks"):
        for node in ast.walk(source.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                assert length <= FUNCTION_LIMIT_LINES, f"{_shown(source)}: {node.name} has {length} lines"


def test_no_module_has_a_name_that_says_nothing() -> None:
    for source in sources(*PRODUCT, "benchmarks", "tests"):
        assert source.module.rpartition(".")[2] not in VAGUE_NAMES, f"{_shown(source)}: name it for what it holds"


def test_no_module_is_named_like_another_library() -> None:
    installed = {name for name in importlib.metadata.packages_distributions() if name not in (*PRODUCT, "tests")}
    taken = sys.stdlib_module_names | installed | LIBRARIES
    for source in sources(*PRODUCT):
        name = source.module.rpartition(".")[2]
        assert name not in taken or source.module == name, f"{_shown(source)} is named like the library '{name}'"


def test_every_setting_is_explained_beside_its_definition() -> None:
    for source in sources(*PRODUCT):
        if source.path.name != "settings.py":
            continue
        for cls in (node for node in source.tree.body if isinstance(node, ast.ClassDef)):
            if cls.name == "Settings" and source.module == "guardrail.settings":
                continue  # its fields are the sections, each with a class docstring
            missing = _fields_without_docstring(cls)
            assert not missing, f"{_shown(source)}: {cls.name} does not explain {missing}"


def test_settings_shown_in_documents_exist() -> None:
    """`section.key` names in Markdown files of the repository are real settings."""
    from guardrail.settings import Settings

    defaults = Settings()
    sections = {
        name: set(type(section).model_fields)
        for name in Settings.model_fields
        if isinstance(section := getattr(defaults, name), BaseModel)
    }
    shown = re.compile(r"`(" + "|".join(sections) + r")\.([a-z_]+)(?::[^`]*)?`")
    for path in repository_files():
        if path.suffix == ".md":
            for section, key in shown.findall(path.read_text(encoding="utf-8")):
                known = key in sections[section] or (ROOT / _package_of(section) / f"{key}.py").exists() or key == "py"
                assert known, f"{path.relative_to(ROOT)} names the setting {section}.{key}, which does not exist"


@pytest.mark.parametrize("what", FORBIDDEN_TEXT)
def test_the_repository_names_no_machine_and_no_registry(what: str) -> None:
    for path in repository_files():
        if path.suffix in BINARY or path.resolve() == THIS_FILE:
            continue
        found = FORBIDDEN_TEXT[what].search(path.read_text(encoding="utf-8", errors="replace"))
        assert found is None, f"{path.relative_to(ROOT)} holds {what}: {found and found.group()!r}"


@pytest.mark.parametrize("name", ["constraints.txt", "constraints-vllm.txt", "constraints-litellm.txt"])
def test_constraints_are_plain_pins(name: str) -> None:
    """No addresses, no local versions: the same file serves every registry and every build of a package."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert len(pins) > 50
    for line in pins:
        assert re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line), f"{name}: {line!r} is not `name==version`"


def _fields_without_docstring(cls: ast.ClassDef) -> list[str]:
    missing = []
    for node, following in zip(cls.body, [*cls.body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            explained = isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant)
            if not explained:
                missing.append(node.target.id)
    return missing


def _package_of(section: str) -> str:
    return section if section in PRODUCT else "guardrail"


def _shown(source: Source) -> str:
    return str(source.path.relative_to(ROOT))


def test_no_two_test_files_have_one_name() -> None:
    """pytest imports them by their names alone, and stops at the second one of a whole run."""
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    twins = sorted({path.name for path in paths if sum(other.name == path.name for other in paths) > 1})
    assert twins == []
