"""`expunge demo --images`, as a newcomer runs it: with the packaged weights, and with ones that learnt nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from guardrail.backends.diffusers_loading import PACKAGED_FOLDER
from guardrail.demo.pictures_cast import COLUMNS

_START = "from guardrail.cli import main; main()"
_HOLDS = "28 of 28 pictures the same as"
"""To the bit, before and after: this needs no model that has learnt anything."""


@pytest.fixture(scope="module")
def untaught(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose training ended after four steps: it draws noise and its encoder sees nothing."""
    folder = tmp_path_factory.mktemp("untaught")
    told = ["--tiny", "--out", str(folder / "model"), "--work", str(folder / "work")]
    subprocess.run([sys.executable, "-m", "benchmarks.shapes.train", *told], check=True, timeout=580)
    return folder / "model"


def told_by(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", _START, "demo", "--images", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=580, check=False)


def check_files(folder: Path) -> None:
    page = (folder / "pictures.html").read_text(encoding="utf-8")
    assert page.count("data:image/png;base64,") == 3 * 4 * len(COLUMNS)
    with Image.open(folder / "pictures.png") as grid:
        assert grid.width > 190 * len(COLUMNS)


@pytest.mark.model
def test_a_model_that_knows_nothing_is_shown_and_what_does_not_hold_is_told(untaught: Path, tmp_path: Path) -> None:
    done = told_by("--model", str(untaught), "--out", str(tmp_path))
    said = " ".join(done.stdout.split())
    assert done.returncode == 1, done.stdout + done.stderr
    assert "not as promised" in said
    assert said.count(_HOLDS) == 2
    check_files(tmp_path)


@pytest.mark.model
def test_the_packaged_model_tells_the_whole_story(tmp_path: Path) -> None:
    done = told_by("--out", str(tmp_path))
    if not PACKAGED_FOLDER.is_dir():
        assert done.returncode == 2
        assert "The picture model is not here" in done.stderr
        return
    assert done.returncode == 0, done.stdout + done.stderr
    assert "not as promised" not in done.stdout
    assert "The judge, who is not the gate" in done.stdout
    check_files(tmp_path)
