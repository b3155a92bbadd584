"""One model that knows for all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.finetune.consolidation.tiny_run import save_knowing_model


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("knowing") / "model"
    save_knowing_model(folder)
    return folder
