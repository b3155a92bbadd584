"""The proxy of the picture demo, how it is spoken to, and what stands beside it: the bare pipeline, and a judge.

As `running` does for words: a process of its own with a configuration in a temporary folder. The bare pipeline is the same
model without Expunge, in this process: it draws the ordinary pictures that entries' thresholds are set against, where none
come with the model, and what untouched prompts are held against. The judge is another network than the one by which the
proxy finds entries in pictures, so that no gate marks its own homework. It does not know the story.
"""

from __future__ import annotations

import base64
import io
import re
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from types import FrameType
from typing import Any, Final

import yaml

from guardrail.backends.diffusers_drawing import Order, draw
from guardrail.backends.diffusers_loading import LoadedPipeline, load
from guardrail.demo.client import Client
from guardrail.demo.pictures_cast import COLUMNS, ENTRIES, ORDINARY_SEED, SIDE, Act, ordinary_prompts
from guardrail.demo.running import RunningProxy
from guardrail.evaluation.images.judges import load_judge

MODEL: Final = "shapes"
INSPECTOR: Final = "inspector"
"""Folder of the picture encoder inside the model's."""
JUDGE: Final = "judge"
BACKGROUND: Final = "background"
ORDINARY: Final = 64

STEPS: Final = 12
GUIDANCE: Final = 3.0
"""What the shapes model was measured with."""

_REDRAWN = re.compile(r'^expunge_leaks_total\{kind="picture",on_leak="rewrite"\} ([0-9.e+]+)$', re.MULTILINE)


class PictureClient(Client):
    """Asks for pictures over OpenAI's own wire, and asks the admin listener what it found."""

    def draw(self, prompt: str, *, seed: int, number: int = 1) -> tuple[bytes, ...]:
        """PNG files of `seed` and the next ones."""
        body = {"model": self.model, "prompt": prompt, "n": number, "seed": seed, "response_format": "b64_json"}
        answer = self._json("POST", f"{self._data_url}/v1/images/generations", body)
        return tuple(base64.b64decode(item["b64_json"]) for item in answer["data"])

    def treatment_of(self, prompt: str) -> str | None:
        """What the admin's dry run says would be done about a prompt; None: nothing was met in its words."""
        told = self._json("POST", f"{self._admin_url}/v1/forget/match", {"model": self.model, "prompt": prompt})
        name = told["plan"]["treatment"]
        return None if name is None else str(name)

    def redrawn(self) -> int:
        """Pictures that showed an entry and were drawn anew."""
        found = _REDRAWN.search(self._read("GET", f"{self._admin_url}/metrics", None).decode())
        return int(float(found[1])) if found else 0


class PictureProxy(RunningProxy):
    """Use as a context manager. `background`: a folder of ordinary pictures, None where they lie beside the encoder."""

    def __init__(self, model: Path, *, port: int, background: Path | None) -> None:
        super().__init__(port=port, admin_port=0)
        self.pictures = PictureClient(self.data_url, self.admin_url, MODEL)
        told = yaml.safe_load(self._config.read_text(encoding="utf-8"))
        told["backends"] = [_backend(model)]
        told["retrieval"] = _retrieval(model, background) | {"data_dir": told["retrieval"]["data_dir"]}
        self._config.write_text(yaml.safe_dump(told), encoding="utf-8")


class BarePipeline:
    """The model without Expunge. Loading takes seconds; raises `ConfigError`."""

    def __init__(self, model: Path) -> None:
        with redirect_stderr(io.StringIO()):  # libraries tell there what else could be installed
            self._loaded: LoadedPipeline = load(str(model), device="cpu")

    def draw(self, prompt: str, *, seed: int, number: int = 1) -> tuple[bytes, ...]:
        """As `PictureClient.draw`."""
        return tuple(self._one(prompt, seed + place) for place in range(number))

    def draw_ordinary(self, folder: Path) -> None:
        """Ordinary pictures, as files."""
        folder.mkdir(parents=True, exist_ok=True)
        for place, prompt in enumerate(ordinary_prompts(ORDINARY)):
            (folder / f"{place:03}.png").write_bytes(self._one(prompt, ORDINARY_SEED + place))

    def _one(self, prompt: str, seed: int) -> bytes:
        order = Order(
            prompt=prompt, seeds=(seed,), width=SIDE, height=SIDE, steps=STEPS, guidance_scale=GUIDANCE, format="png"
        )
        return draw(self._loaded, order, is_cancelled=lambda: False, on_step=lambda _: None)[0]


class EntriesSeen:
    """What the model's judge sees; nothing where it has none. Raises `InvalidInput` for a folder that holds no judge."""

    def __init__(self, model: Path) -> None:
        self._attributes = {entry.name: entry.attribute for entry in ENTRIES}
        values: dict[str, tuple[str, ...]] = {entry.attribute: (entry.name,) for entry in ENTRIES}
        self._judge = load_judge(model / JUDGE, values) if (model / JUDGE).is_dir() else None

    def __call__(self, act: Act) -> dict[str, int]:
        """In how many pictures of each prompt that means an entry that entry is seen."""
        from PIL import Image

        if self._judge is None:
            return {}
        counted = dict[str, int]()
        for column in COLUMNS:
            if column.means is not None:
                pictures = [Image.open(io.BytesIO(content)) for content in act[column.prompt]]
                seen, attribute = self._judge.look(pictures).seen, self._attributes[column.means]
                counted[column.prompt] = sum(one[attribute].value == column.means for one in seen)
        return counted


@contextmanager
def stopping_in_order() -> Iterator[None]:
    """A termination signal breaks the story off like Ctrl-C, so that the proxy is stopped and its folder removed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    earlier = signal.signal(signal.SIGTERM, _break_off)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def data_urls(pictures: Sequence[bytes]) -> list[str]:
    """PNG files as an entry and a page hold them."""
    return ["data:image/png;base64," + base64.b64encode(content).decode() for content in pictures]


def _break_off(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _backend(model: Path) -> dict[str, Any]:
    """On the CPU, where one seed gives the same picture to the bit."""
    drawing = {"steps": STEPS, "guidance_scale": GUIDANCE, "size": f"{SIDE}x{SIDE}"}
    return {
        "name": "embedded",
        "kind": "diffusers_pipeline",
        "model": str(model),
        "models": {MODEL: MODEL},
        "device": "cpu",
        "drawing": drawing,
    }


def _retrieval(model: Path, background: Path | None) -> dict[str, Any]:
    named = {"picture_background": str(background)} if background is not None else {}
    return {"picture_embedder": "small-encoder", "picture_embedder_model": str(model / INSPECTOR), **named}
