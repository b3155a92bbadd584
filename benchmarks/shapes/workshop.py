"""Makes the parts of the shapes model one after another: what each needs, where its checkpoint lies, what it leaves.

Checkpoints lie in the work folder, one a part; a finished one serves the parts that need it. The out folder gets the
pipeline, `judge/` and `inspector/`, all in half precision, and `recipe.json`. It does not know how a part learns.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from time import monotonic
from typing import Any, Final

import numpy as np
import torch

from benchmarks import report
from benchmarks.shapes import networks
from benchmarks.shapes.examples import examples
from benchmarks.shapes.judge_network import CONFIG_FILE, WEIGHTS_FILE
from benchmarks.shapes.pixels import encoded
from benchmarks.shapes.recipe import Part, Recipe, world_digest
from benchmarks.shapes.rendering import Pictures, render_all
from benchmarks.shapes.scenes import Scene, draw_scenes
from benchmarks.shapes.steps import Learner, OnStep, read, train
from benchmarks.shapes.train_encoder import EncoderLearner, found_threshold, views
from benchmarks.shapes.train_encoder import config_of as encoder_config
from benchmarks.shapes.train_judge import JudgeLearner
from benchmarks.shapes.train_judge import config_of as judge_config
from benchmarks.shapes.train_text import TextLearner
from benchmarks.shapes.train_unet import UnetLearner
from benchmarks.shapes.train_vae import VaeLearner, scaled
from finetune.data.whole_files import write_whole
from guardrail.errors import InvalidInput

JUDGE: Final = "judge"
INSPECTOR: Final = "inspector"
RECIPE_FILE: Final = "recipe.json"
# Training pictures of the four models, and those that find the encoder's threshold: no picture serves two of them.
_CORPUS, _JUDGE_PICTURES, _ENCODER_PICTURES, _THRESHOLD_PICTURES = 100, 200, 300, 400
_THRESHOLD_SCENES: Final = 400
_LIBRARIES: Final = ("torch", "diffusers", "transformers", "numpy", "pillow")

OnPart = Callable[[Part], OnStep]


class Workshop:
    """`on_part` is told which part begins and gives what is called after each of its steps."""

    def __init__(self, recipe: Recipe, *, out: Path, work: Path, on_part: OnPart) -> None:
        self._recipe, self._out, self._work, self._on_part = recipe, out, work, on_part
        self._makers: Mapping[Part, Callable[[], None]] = {
            "vae": self._make_vae,
            "text": self._make_text,
            "unet": self._make_unet,
            "judge": self._make_judge,
            "encoder": self._make_encoder,
        }

    def make(self, part: Part) -> None:
        """Train a part, or go on where an earlier run stopped; raises `InvalidInput` if an earlier part is missing."""
        begin_s = monotonic()
        self._makers[part]()
        self._note(part, monotonic() - begin_s)

    def _make_vae(self) -> None:
        _, pictures = self._corpus()
        self._train("vae", VaeLearner(self._recipe, pictures), self._recipe.vae_steps)

    def _make_text(self) -> None:
        self._train("text", TextLearner(self._recipe), self._recipe.text_steps)

    def _make_unet(self) -> None:
        scenes, pictures = self._corpus()
        vae = scaled(self._vae(), pictures)
        text_encoder = networks.text_encoder(self._recipe, networks.tokenizer())
        text_encoder.load_state_dict(self._finished("text")["text_encoder"])
        latents = encoded(vae, pictures)
        learner = UnetLearner(self._recipe, text_encoder=text_encoder, latents=latents, scenes=scenes)
        self._train("unet", learner, self._recipe.unet_steps)
        unet, text_encoder = learner.finished()
        networks.save_pipeline(self._out, vae=vae, text_encoder=text_encoder, unet=unet)

    def _make_judge(self) -> None:
        seen = examples(self._recipe.judge_pictures, seed=self._recipe.seed + _JUDGE_PICTURES, vae=self._vae())
        learner = JudgeLearner(self._recipe, seen)
        self._train("judge", learner, self._recipe.judge_steps)
        _write_model(self._out / JUDGE, judge_config(self._recipe), learner.judge)

    def _make_encoder(self) -> None:
        vae, seed = self._vae(), self._recipe.seed
        learner = EncoderLearner(
            self._recipe, views(self._recipe.encoder_pictures, seed=seed + _ENCODER_PICTURES, vae=vae)
        )
        self._train("encoder", learner, self._recipe.encoder_steps)
        fresh = views(min(_THRESHOLD_SCENES, self._recipe.encoder_pictures), seed=seed + _THRESHOLD_PICTURES, vae=vae)
        config = {**encoder_config(self._recipe), "threshold": found_threshold(learner.encoder, fresh)}
        _write_model(self._out / INSPECTOR, config, learner.encoder)

    def _train(self, part: Part, learner: Learner, steps: int) -> None:
        train(
            learner,
            steps=steps,
            checkpoint=self._checkpoint(part),
            plan=self._recipe.fingerprint(part),
            save_every_steps=self._recipe.save_every_steps,
            on_step=self._on_part(part),
        )

    def _corpus(self) -> tuple[tuple[Scene, ...], Pictures]:
        """The scenes and pictures of VAE and UNet; drawn once and kept in the work folder."""
        number, seed = self._recipe.pictures, self._recipe.seed + _CORPUS
        scenes = draw_scenes(number, seed=f"corpus {seed}")
        kept = self._work / f"pictures-{number}-{seed}-{world_digest()}.npy"
        if not kept.is_file():
            self._work.mkdir(parents=True, exist_ok=True)
            beside = kept.with_suffix(".tmp.npy")
            np.save(beside, render_all(scenes, seed=seed))
            beside.replace(kept)
        return scenes, np.load(kept)

    def _vae(self) -> Any:
        vae = networks.vae(self._recipe)
        vae.load_state_dict(self._finished("vae")["vae"])
        return vae.eval()

    def _finished(self, part: Part) -> dict[str, Any]:
        """The state that a finished part left."""
        path = self._checkpoint(part)
        steps: int = getattr(self._recipe, f"{part}_steps")
        found: dict[str, Any] = read(path, self._recipe.fingerprint(part)) if path.is_file() else {"done": 0}
        if found["done"] < steps:
            raise InvalidInput(
                f"The part '{part}' has {found['done']} of {steps} steps in {self._work}; train it first: --part {part}"
            )
        state: dict[str, Any] = found["state"]
        return state

    def _checkpoint(self, part: Part) -> Path:
        return self._work / f"{part}.pt"

    def _note(self, part: Part, seconds: float) -> None:
        """Keep the recipe beside the weights; the time of a part is that of the run that finished it."""
        path = self._out / RECIPE_FILE
        noted = json.loads(path.read_bytes()) if path.is_file() else {}
        content = {
            "recipe": dataclasses.asdict(self._recipe),
            "draw_with": {"num_inference_steps": networks.STEPS, "guidance_scale": networks.GUIDANCE},
            "seconds": {**noted.get("seconds", {}), part: round(seconds, 1)},
            "threads": torch.get_num_threads(),
            "versions": report.versions(_LIBRARIES),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(content, indent=2).encode() + b"\n")


def _write_model(folder: Path, config: Mapping[str, Any], model: torch.nn.Module) -> None:
    """`config.json` and the weights in half precision."""
    from safetensors.torch import save

    folder.mkdir(parents=True, exist_ok=True)
    halved = {
        name: (weight.half() if weight.is_floating_point() else weight).contiguous()
        for name, weight in model.state_dict().items()
    }
    write_whole(folder / WEIGHTS_FILE, save(halved))
    write_whole(folder / CONFIG_FILE, json.dumps(config, indent=2).encode() + b"\n")
