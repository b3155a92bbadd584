"""The proxy under measurement is configured as `expunge init` writes it, and is not asked before entries are embedded."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from benchmarks.processes import ServerFailed
from benchmarks.unlearning import served
from benchmarks.unlearning.kept import KeptReplies
from benchmarks.unlearning.material import material
from benchmarks.unlearning.served import Proxy, configuration
from guardrail.commands.init import make_settings
from guardrail.settings import parse

ENTRIES = ({"id": "a", "name": "Ada Lane"}, {"id": "b", "name": "Bo Field"})


def test_the_bench_compares_meaning_and_judges_as_a_new_installation_does(tmp_path: Path) -> None:
    ours = parse(configuration(tmp_path, 1, 2, adapter=None))
    theirs = make_settings("embedded", url=None, model=None, api_key_env=None, keys=False, data_dir=str(tmp_path))
    assert ours.retrieval.embedder == theirs.retrieval.embedder == "minilm-int8"
    assert ours.retrieval.judge == theirs.retrieval.judge
    assert ours.policy.judged_statements == theirs.policy.judged_statements > 0


class Admin:
    """An admin listener, as far as registering looks at it."""

    def __init__(self, *, embedder: str = "minilm-int8", enforced: int = 2, memory: str = "ready") -> None:
        self.embedder, self.enforced, self.memory = embedder, enforced, memory

    def call(self, url: str, body: Mapping[str, Any] | None = None, *, method: str | None = None) -> dict[str, Any]:
        if url.endswith("/readyz"):
            return {"embedder": self.embedder, "registry": {"entries": self.enforced}, "memory_building": 0}
        return {"memory": self.memory}


def register(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "call", admin.call)
    Proxy(url="", admin="").register(ENTRIES)


def test_entries_are_registered_where_all_are_enforced_and_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    register(Admin(), monkeypatch)


@pytest.mark.parametrize(
    ("admin", "told"),
    [
        (Admin(embedder="none"), "compares by 'none'"),
        (Admin(enforced=1), "enforces 1 of 2"),
        (Admin(memory="building"), "2 of them not embedded"),
    ],
    ids=["no embedder", "not enforced", "not embedded"],
)
def test_a_proxy_that_would_be_another_product_is_not_asked(
    admin: Admin, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ServerFailed, match=told):
        register(admin, monkeypatch)


def test_answers_under_another_embedder_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = material(tmp_path, limit=1)
    before = KeptReplies(tmp_path, given)
    monkeypatch.setattr(served, "EMBEDDER", "none")
    assert KeptReplies(tmp_path, given).folder != before.folder
