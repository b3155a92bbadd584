"""Text-to-image pipelines of four families with random weights: the true modules, shrunk until they draw in a second.

SD 1.5, SDXL, SD3 and FLUX (as schnell, and as dev with `guidance_embeds`), each with the kinds of encoders, blocks and
schedulers that the real one has, and tokenizers made here. The same seed gives the same weights. What they draw is noise
that depends on prompt and seed. Pictures are `PIXELS` wide unless asked otherwise; FLUX knows no default of its own size
and must be told. No hub, no files but those that `save_tiny` writes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

NUMPY_2 = "ignore:__array__ implementation doesn't accept a copy keyword:DeprecationWarning"
"""SDXL's Euler scheduler hands tensors to numpy in a way that numpy 2 warns of: `pytest.mark.filterwarnings(NUMPY_2)`."""
PIXELS = 64
WIDTH = 32
"""Of every text encoder."""
TOKENS = 77
WORDS = (
    "a", "an", "the", "of", "on", "in", "with", "and", "by", "style", "picture", "painting", "photo", "red", "blue",
    "green", "yellow", "white", "black", "circle", "square", "star", "triangle", "cat", "dog", "house", "tree", "person",
    "striped", "dotted", "background", "left", "right", "strypov", "dottini", "van", "gogh", "nude", "violence",
)  # fmt: skip


def tiny_pipeline(family: str, *, seed: int = 0) -> Any:
    """A new pipeline of one of `FAMILIES`. The caller's random numbers are as before."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        pipeline = FAMILIES[family]()
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def save_tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """The pipeline as a folder that `DiffusionPipeline.from_pretrained` loads."""
    tiny_pipeline(family, seed=seed).save_pretrained(str(folder))
    return folder


def sd15() -> Any:
    make: Any = StableDiffusionPipeline
    return make(
        vae=_vae(latents=4, scaling_factor=0.18215),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        unet=_unet(
            cross_attention_dim=WIDTH,
            block_out_channels=(16, 32, 32, 32),
            down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
            up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
            attention_head_dim=8,
        ),
        scheduler=_latent_scheduler(DDIMScheduler, clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def sdxl() -> Any:
    make: Any = StableDiffusionXLPipeline
    return make(
        vae=_vae(latents=4, scaling_factor=0.13025),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(CLIPTextModelWithProjection, hidden_act="gelu"),
        tokenizer_2=_clip_tokenizer(pad_token="!"),
        unet=_unet(
            cross_attention_dim=2 * WIDTH,
            block_out_channels=(16, 32, 32),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            attention_head_dim=(2, 4, 4),
            transformer_layers_per_block=(1, 1, 2),
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + WIDTH,
        ),
        scheduler=_latent_scheduler(EulerDiscreteScheduler),
        force_zeros_for_empty_prompt=True,
        add_watermarker=False,
    )


def sd3() -> Any:
    make: Any = StableDiffusion3Pipeline
    transformer: Any = SD3Transformer2DModel
    return make(
        transformer=transformer(
            sample_size=PIXELS // 8,
            patch_size=2,
            in_channels=16,
            out_channels=16,
            num_layers=2,
            attention_head_dim=8,
            num_attention_heads=4,
            joint_attention_dim=2 * WIDTH,
            caption_projection_dim=32,
            pooled_projection_dim=2 * WIDTH,
            pos_embed_max_size=96,
        ),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        vae=_vae(latents=16, scaling_factor=1.5305, shift_factor=0.0609),
        text_encoder=_clip(CLIPTextModelWithProjection),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_clip(CLIPTextModelWithProjection, hidden_act="gelu"),
        tokenizer_2=_clip_tokenizer(pad_token="!"),
        text_encoder_3=_t5(),
        tokenizer_3=_t5_tokenizer(),
    )


def flux(*, guidance_embeds: bool = False) -> Any:
    make: Any = FluxPipeline
    transformer: Any = FluxTransformer2DModel
    return make(
        scheduler=FlowMatchEulerDiscreteScheduler(
            shift=3.0 if guidance_embeds else 1.0, use_dynamic_shifting=guidance_embeds
        ),
        vae=_vae(latents=16, scaling_factor=0.3611, shift_factor=0.1159),
        text_encoder=_clip(CLIPTextModel),
        tokenizer=_clip_tokenizer(),
        text_encoder_2=_t5(),
        tokenizer_2=_t5_tokenizer(),
        transformer=transformer(
            patch_size=1,
            in_channels=64,
            num_layers=1,
            num_single_layers=2,
            attention_head_dim=16,
            num_attention_heads=2,
            joint_attention_dim=2 * WIDTH,
            pooled_projection_dim=WIDTH,
            axes_dims_rope=(4, 6, 6),
            guidance_embeds=guidance_embeds,
        ),
    )


FAMILIES: dict[str, Callable[[], Any]] = {
    "sd15": sd15,
    "sdxl": sdxl,
    "sd3": sd3,
    "flux": flux,
    "flux_dev": functools.partial(flux, guidance_embeds=True),
}


def _vae(*, latents: int, scaling_factor: float, **changed: Any) -> Any:
    make: Any = AutoencoderKL
    return make(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=latents,
        norm_num_groups=4,
        sample_size=PIXELS,
        scaling_factor=scaling_factor,
        **changed,
    )


def _unet(**sizes: Any) -> Any:
    make: Any = UNet2DConditionModel
    return make(sample_size=PIXELS // 8, in_channels=4, out_channels=4, layers_per_block=1, norm_num_groups=4, **sizes)


def _latent_scheduler(make: Any, **changed: Any) -> Any:
    shape = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    return make(num_train_timesteps=1000, **shape, **changed)


def _clip(make: Any, **changed: Any) -> Any:
    tokenizer = _clip_tokenizer()
    config: Any = CLIPTextConfig
    return make(
        config(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            projection_dim=WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            **changed,
        )
    ).eval()


def _clip_tokenizer(**changed: Any) -> Any:
    """CLIP's byte pairs: each of `WORDS` is one token, anything else is spelt in bytes."""
    vocabulary, merges = _clip_pieces()
    make: Any = CLIPTokenizer
    return make(vocab=dict(vocabulary), merges=list(merges), model_max_length=TOKENS, **changed)


@functools.cache
def _clip_pieces() -> tuple[dict[str, int], tuple[tuple[str, str], ...]]:
    from transformers.convert_slow_tokenizer import bytes_to_unicode

    spelt: Any = bytes_to_unicode
    letters = list(spelt().values())
    pieces = dict.fromkeys([*letters, *(f"{letter}</w>" for letter in letters)])
    merges: dict[tuple[str, str], None] = {}
    for word in WORDS:
        tail = f"{word[-1]}</w>"
        for letter in reversed(word[:-1]):
            merges[(letter, tail)] = None
            tail = letter + tail
            pieces[tail] = None
    names = [*pieces, "<|startoftext|>", "<|endoftext|>"]
    return {name: place for place, name in enumerate(names)}, tuple(merges)


def _t5() -> Any:
    config: Any = T5Config
    make: Any = T5EncoderModel
    return make(
        config(
            vocab_size=len(_t5_tokenizer()),
            d_model=2 * WIDTH,
            d_ff=4 * WIDTH,
            d_kv=8,
            num_layers=2,
            num_heads=4,
            feed_forward_proj="gated-gelu",
        )
    ).eval()


def _t5_tokenizer() -> Any:
    """T5's unigrams: each of `WORDS` is one piece, other Latin text is spelt."""
    letters = [chr(code) for code in range(0x21, 0x7F)]
    scored = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    scored += [(f"▁{word}", -2.0) for word in WORDS] + [("▁", -4.0)] + [(letter, -6.0) for letter in letters]
    make: Any = T5Tokenizer
    return make(vocab=scored, extra_ids=0, model_max_length=512)
