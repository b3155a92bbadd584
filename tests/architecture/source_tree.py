"""The repository's Python sources as the architecture tests see them: files, syntax trees, imports at module level.

It knows nothing of any single rule. Sources are read and parsed, never imported.
"""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("guardrail", "retrieval", "finetune")


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One Python file. `module` is its dotted name; a package's `__init__.py` has the package's name."""

    path: Path
    module: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        """Number of lines in the file."""
        return len(self.text.splitlines())

    @property
    def is_package(self) -> bool:
        """True for an `__init__.py`."""
        return self.path.name == "__init__.py"


@cache
def sources(*packages: str) -> tuple[Source, ...]:
    """All Python files below the packages' folders (the three product packages by default)."""
    found = []
    for package in packages or PRODUCT:
        for path in sorted((ROOT / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            found.append(Source(path=path, module=module, text=text, tree=ast.parse(text, filename=str(path))))
    return tuple(found)


@cache
def repository_files() -> tuple[Path, ...]:
    """Every file that is or would be under version control."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
    ).stdout.decode()
    return tuple(path for name in listed.split("\0") if name and (path := ROOT / name).is_file())


def imports(source: Source, *, lazy: bool = True) -> Iterator[str]:
    """Dotted names that the file imports, relative ones resolved; `from a import b` gives `a` and `a.b`.

    With `lazy=False` only what runs when the module is imported: function bodies and TYPE_CHECKING blocks are left out.
    """
    for node in _walk(source.tree, lazy=lazy):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _base_of(source, node)
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _walk(node: ast.AST, *, lazy: bool) -> Iterator[ast.AST]:
    for child in ast.iter_child_nodes(node):
        if not lazy and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and _is_type_checking(child.test):
            continue
        yield child
        yield from _walk(child, lazy=lazy)


def _is_type_checking(test: ast.expr) -> bool:
    return ast.unparse(test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def _base_of(source: Source, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    keep = len(source.module.split(".")) - node.level + (1 if source.is_package else 0)
    base = source.module.split(".")[:keep]
    return ".".join([*base, node.module] if node.module else base)
