"""The parts of the pipeline with random weights: tokenizer, VAE, text encoder, UNet, scheduler; and the pipeline of them.

Genuine diffusers and transformers classes, so that whatever handles Stable Diffusion 1.x handles this model. Importing it
is light; building is not. It does not know training. Lengths in tokens, widths in numbers a token.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor

from benchmarks.shapes.captions import every_word
from benchmarks.shapes.recipe import Recipe
from benchmarks.shapes.rendering import SIDE
from benchmarks.shapes.steps import seeded

TOKENS: Final = 32
"""The longest caption has 21; the rest is room for words that are spelt in letters."""
LATENT_SIDE: Final = SIDE // 4
GUIDANCE: Final = 3.0
STEPS: Final = 12
"""What the model draws best with; Stable Diffusion's own 7.5 is too much for it."""
_GROUPS: Final = 8


def tokenizer() -> Any:
    """CLIP's byte pairs: each word of the captions is one token, anything else is spelt."""
    from transformers import CLIPTokenizer
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    spelling: Any = bytes_to_unicode
    letters = list(spelling().values())
    pieces = dict.fromkeys([*letters, *(f"{letter}</w>" for letter in letters)])
    merges: dict[tuple[str, str], None] = {}
    for word in every_word():
        tail = f"{word[-1]}</w>"
        for letter in reversed(word[:-1]):
            merges[letter, tail] = None
            tail = letter + tail
            pieces[tail] = None
    numbered = {piece: place for place, piece in enumerate([*pieces, "<|startoftext|>", "<|endoftext|>"])}
    make: Any = CLIPTokenizer
    return make(vocab=numbered, merges=list(merges), model_max_length=TOKENS)


def tokens_of(spell: Any, texts: Sequence[str]) -> Tensor:
    """Token ids [N, TOKENS], just as the pipeline makes them."""
    ids: Tensor = spell(
        list(texts), padding="max_length", max_length=TOKENS, truncation=True, return_tensors="pt"
    ).input_ids
    return ids


def vae(recipe: Recipe) -> Any:
    from diffusers import AutoencoderKL

    levels = len(recipe.vae_channels)
    make: Any = AutoencoderKL
    with seeded(recipe.seed, 1):
        return make(
            in_channels=3,
            out_channels=3,
            latent_channels=recipe.latent_channels,
            block_out_channels=recipe.vae_channels,
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            layers_per_block=1,
            norm_num_groups=_GROUPS,
            mid_block_add_attention=False,
            sample_size=SIDE,
        )


def text_encoder(recipe: Recipe, spell: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel

    config: Any = CLIPTextConfig
    make: Any = CLIPTextModel
    with seeded(recipe.seed, 2):
        return make(
            config(
                vocab_size=len(spell),
                hidden_size=recipe.text_width,
                intermediate_size=2 * recipe.text_width,
                projection_dim=recipe.text_width,
                num_hidden_layers=recipe.text_layers,
                num_attention_heads=4,
                max_position_embeddings=TOKENS,
                bos_token_id=spell.bos_token_id,
                eos_token_id=spell.eos_token_id,
                pad_token_id=spell.pad_token_id,
            )
        )


def unet(recipe: Recipe) -> Any:
    from diffusers import UNet2DConditionModel

    levels = len(recipe.unet_channels)
    make: Any = UNet2DConditionModel
    with seeded(recipe.seed, 3):
        return make(
            sample_size=LATENT_SIDE,
            in_channels=recipe.latent_channels,
            out_channels=recipe.latent_channels,
            block_out_channels=recipe.unet_channels,
            down_block_types=("CrossAttnDownBlock2D",) * levels,
            up_block_types=("CrossAttnUpBlock2D",) * levels,
            layers_per_block=1,
            cross_attention_dim=recipe.text_width,
            attention_head_dim=4,
            norm_num_groups=_GROUPS,
        )


def scheduler() -> Any:
    """v-prediction down to no signal at all (Lin et al. 2023, arXiv:2305.08891), for dark and light grounds."""
    from diffusers import DDIMScheduler

    make: Any = DDIMScheduler
    return make(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


def save_pipeline(folder: Path, *, vae: Any, text_encoder: Any, unet: Any) -> None:
    """The pipeline in half precision, as `StableDiffusionPipeline.from_pretrained` reads it."""
    from diffusers import StableDiffusionPipeline

    make: Any = StableDiffusionPipeline
    pipeline = make(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer(),
        unet=unet,
        scheduler=scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.to(dtype=torch.float16)
    pipeline.save_pretrained(str(folder))


def load_pipeline(folder: Path) -> Any:
    """In single precision, without its bars. Raises `OSError` for a folder without one."""
    from diffusers import StableDiffusionPipeline

    load: Any = StableDiffusionPipeline.from_pretrained
    pipeline = load(str(folder), dtype=torch.float32, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
