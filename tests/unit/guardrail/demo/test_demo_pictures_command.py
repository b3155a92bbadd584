"""`expunge demo --images`: its helps, what it says to bad input, and what an interrupted run leaves behind."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
from collections.abc import Sequence
from email.message import Message
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from PIL.Image import Image
from PIL.Image import new as new_image
from rich.console import Console

from guardrail.cli import cli
from guardrail.demo import pictures_proxy, pictures_story
from guardrail.demo.pictures_cast import COLUMNS
from guardrail.demo.pictures_proxy import EntriesSeen, PictureClient
from guardrail.errors import ConfigError
from guardrail.evaluation.images.judges import Looked, Seen

_BREAKS_OFF_WITHIN_S = 60.0


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["demo", *arguments], "expunge")
    return int(str(ended.value.code))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like the model."""
    for name in ("model_index.json", "inspector/config.json"):
        (tmp_path / "model" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "model" / name).write_text("{}")
    return tmp_path / "model"


def test_both_helps_tell_of_both_stories(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--help") == 0
    words = capsys.readouterr().out
    assert run("--images", "--help") == 0
    pictures = capsys.readouterr().out
    assert "expunge demo [OPTIONS]" in words
    assert "--once" in words
    assert "expunge demo --images" in words
    assert "expunge demo --images [OPTIONS]" in pictures
    assert "--out" in pictures
    assert "--model" not in pictures


def test_a_missing_model_is_told_in_one_line_with_the_mend(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--images", "--model", str(tmp_path), "--out", str(tmp_path / "out")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "model_index.json is missing" in line
    assert "python -m benchmarks.shapes.train" in line
    assert not (tmp_path / "out").exists()


def test_a_model_that_no_library_reads_is_told_before_a_proxy_starts(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: Any, **__: Any) -> Any:
        raise ConfigError("it cannot be loaded as a pipeline")

    monkeypatch.setattr(pictures_proxy, "load", load)
    assert run("--images", "--model", str(model), "--out", str(tmp_path / "out")) == 2
    assert "cannot be loaded as a pipeline" in capsys.readouterr().err


def test_an_out_folder_that_cannot_be_made_is_told_before_the_story(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    assert run("--images", "--model", str(model), "--out", str(tmp_path / "file" / "out")) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "--out" in line
    assert "name another folder" in line


def test_a_broken_judge_is_told_before_the_story(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "judge").mkdir()
    assert run("--images", "--model", str(model), "--out", str(tmp_path / "out")) == 2
    assert "judge" in capsys.readouterr().err


def test_the_judge_is_asked_for_the_attribute_of_the_entry_that_a_prompt_means(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Judge:
        """Stands for a network that sees stripes on whatever is red, and no star anywhere."""

        def look(self, pictures: Sequence[Image]) -> Looked:
            styles = ["strypov" if one.getpixel((16, 16)) == (255, 0, 0) else "plain" for one in pictures]
            shape = Seen(value="strypov", confidence=1.0)
            seen = [{"style": Seen(value=style, confidence=1.0), "shape": shape} for style in styles]
            return Looked(seen=tuple(seen), features=np.zeros((len(styles), 1), dtype=np.float32))

    (model / "judge").mkdir()
    monkeypatch.setattr(pictures_proxy, "load_judge", lambda *_: Judge())
    files = {colour: io.BytesIO() for colour in ("red", "blue")}
    for colour, file in files.items():
        new_image("RGB", (32, 32), colour).save(file, "PNG")
    red, blue = (file.getvalue() for file in files.values())
    seen = EntriesSeen(model)({column.prompt: [red, blue, red] for column in COLUMNS})
    assert seen == {column.prompt: 2 * (column.means == "strypov") for column in COLUMNS if column.means}
    assert EntriesSeen(model / "nowhere")({}) == {}


def test_an_unknown_option_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--images", "--colour") == 2
    assert "--colour" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (urllib.error.HTTPError("http://h:1/v1/images/generations", 503, "", Message(), None), "503 to /v1/images"),
        (urllib.error.URLError("connection refused"), "stopped answering"),
        (TimeoutError("timed out"), "stopped answering"),
    ],
)
def test_a_proxy_that_fails_in_the_middle_is_told_without_a_traceback(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    seen_in = EntriesSeen(Path("nowhere"))
    client = PictureClient("http://127.0.0.1:1", "http://127.0.0.1:1", "shapes")
    monkeypatch.setattr(client, "redrawn", fail)
    with pytest.raises(click.ClickException, match=said) as told:
        pictures_story._told(Console(quiet=True), client, {}, seen_in)
    assert told.value.exit_code == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_story_leaves_neither_server_nor_folder(number: signal.Signals, tmp_path: Path) -> None:
    script = (
        "import json, signal, time\n"
        "from pathlib import Path\n"
        "from guardrail.demo.pictures_proxy import PictureProxy, stopping_in_order\n"
        # Whoever runs the tests in the background lets them inherit that Ctrl-C is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "with stopping_in_order(), PictureProxy(Path('nowhere'), port=0, background=None) as proxy:\n"
        "    print(json.dumps([proxy._process.pid, str(proxy._folder)]), flush=True)\n"
        "    time.sleep(600)\n"
    )
    story = subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        # Ctrl-C reaches the server by itself on a terminal; here it must be the story that stops it.
        start_new_session=True,
    )
    assert story.stdout is not None
    try:
        with story.stdout:
            server, folder = json.loads(story.stdout.readline())
        assert Path(folder).is_dir()
        story.send_signal(number)
        assert story.wait(_BREAKS_OFF_WITHIN_S) != 0
    finally:
        story.kill()
        story.wait()
    assert not Path(folder).exists()
    assert not _is_running(server)
    assert list(tmp_path.iterdir()) == []


def _is_running(pid: int) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True
