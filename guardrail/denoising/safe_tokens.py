"""Which words of a prompt set a concept off, and their states without the concept's subspace.

The filter of SAFREE (Yoon et al. 2024, arXiv:2410.12761, eq. 2-6); how it differs is told where it is used
(`treatments.image.safree`). The pooled vector, where there is one, loses the subspace of the concepts' pooled vectors once
a word has set it off. It knows no denoiser.

Shapes: W words, K phrases, T positions, D width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from guardrail.denoising.subspaces import orthonormal, projected, without
from guardrail.denoising.text_states import Segment, TextStates, encode

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True, kw_only=True)
class Filtered:
    """`states`: with the triggers' tokens projected. `cosine`: of the prompt's states with all of them projected."""

    states: TextStates
    cosine: float


def filtered_states(
    pipeline: Any,
    prompt: str,
    states: TextStates,
    phrases: Sequence[str],
    like: Mapping[str, Any],
    *,
    alpha: float,
    is_everywhere: bool,
) -> Filtered | None:
    """The prompt's states filtered; None where no word sets a concept off."""
    import torch

    words = prompt.split()
    left_out = [" ".join((*words[:index], *words[index + 1 :])) for index in range(len(words))]
    known = encode(pipeline, [*phrases, *left_out], like=like)
    tokens_NTD, cosines, is_set_off = states.tokens_NTD.clone(), list[float](), False
    for number, segment in enumerate(states.segments):
        sentences_ND = _sentences(known, number)
        concept_KD = orthonormal(sentences_ND[: len(phrases)])
        own_TD = states.tokens_NTD[0, segment.positions].float()
        safe_TD = safe_part(own_TD, concept_KD, orthonormal(sentences_ND[len(phrases) :]))
        hit = triggers(sentences_ND[len(phrases) :], concept_KD, alpha=alpha)
        is_set_off = is_set_off or bool(hit)
        real = len(states.ids[number][0])
        places = range(segment.length) if is_everywhere and hit else _places(words, hit, segment, real)
        for place in places:
            tokens_NTD[0, segment.start + place] = safe_TD[place].to(tokens_NTD)
        cosines.append(float(torch.nn.functional.cosine_similarity(own_TD[:real], safe_TD[:real], dim=1).mean()))
    if not is_set_off:
        return None
    pooled = states.pooled_NP
    if pooled is not None and known.pooled_NP is not None:
        pooled = without(pooled, orthonormal(known.pooled_NP[: len(phrases)]))
    changed = replace(states, tokens_NTD=tokens_NTD, pooled_NP=pooled)
    return Filtered(states=changed, cosine=sum(cosines) / len(cosines))


def triggers(left_out_WD: torch.Tensor, concept_KD: torch.Tensor, *, alpha: float) -> list[int]:
    """Words without which the prompt is further away from the concept than without the other ones."""
    if len(left_out_WD) < 2:
        # A single word has no others to be compared with: it is what the prompt is about.
        return list(range(len(left_out_WD)))
    away_W = without(left_out_WD, concept_KD).norm(dim=1)
    others_W = (away_W.sum() - away_W) / (len(away_W) - 1)
    return [index for index in range(len(away_W)) if float(away_W[index]) > (1 + alpha) * float(others_W[index])]


def safe_part(states_TD: torch.Tensor, concept_KD: torch.Tensor, input_KD: torch.Tensor) -> torch.Tensor:
    """(I - P_C) P_I h for each state."""
    return without(projected(states_TD, input_KD), concept_KD)


def _sentences(states: TextStates, number: int) -> torch.Tensor:
    """One vector a text: the state of CLIP's end token, the mean of T5's real ones."""
    import torch

    segment, rows = states.segments[number], list[torch.Tensor]()
    is_causal = getattr(segment.tokenizer, "bos_token_id", None) is not None
    for index, ids in enumerate(states.ids[number]):
        states_TD = states.tokens_NTD[index, segment.positions].float()
        rows.append(states_TD[len(ids) - 1] if is_causal else states_TD[: len(ids)].mean(dim=0))
    return torch.stack(rows)


def _places(words: Sequence[str], hit: Sequence[int], segment: Segment, real: int) -> list[int]:
    """Positions of the tokens of these words; each word is its own run of tokens."""
    places, at = list[int](), 1 if getattr(segment.tokenizer, "bos_token_id", None) is not None else 0
    for index, word in enumerate(words):
        count = len(segment.tokenizer(word, add_special_tokens=False)["input_ids"])
        if index in hit:
            places += range(at, min(at + count, real - 1))
        at += count
    return places
