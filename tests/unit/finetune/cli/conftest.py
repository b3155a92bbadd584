"""One model for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.finetune.cli.consolidating import save_random_model, write_entries
from tests.unit.finetune.consolidation.tiny_run import save_corpus


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commanded") / "model"
    save_random_model(folder)
    return folder


@pytest.fixture
def entries(tmp_path: Path) -> Path:
    return write_entries(tmp_path / "entries.jsonl")


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return save_corpus(tmp_path / "corpus")
