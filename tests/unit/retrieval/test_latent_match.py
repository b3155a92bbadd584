"""Matching in the space of a text encoder: the algebra by hand, and an encoder whose words' meanings are known."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from retrieval.latent_match import LatentConcept, Ordinary, PromptStates, attention_match, directions

DIM = 256
TOKENS = 16
_RNG = np.random.default_rng(3)
_MEANINGS: dict[str, NDArray[np.float64]] = {}
_BLUE = np.eye(DIM)[0] * 12
_SYNONYMS = {"blue": 1.0, "azure": 0.9, "zqvx": 0.8, "red": 0.0}
NOUNS = ("cat", "dog", "house", "tree", "boat", "lamp", "chair", "horse", "mountain", "river", "cup", "road")
VERBS = ("on", "near", "under", "behind")
LOOKS = ("old", "green", "small", "tall", "wooden", "loud", "warm", "new", "grey", "round")
ORDINARY = [
    f"a {_RNG.choice(LOOKS)} {noun} {verb} the {other}"
    for noun in NOUNS
    for verb in VERBS
    for other in NOUNS
    if noun != other
]
_RNG.shuffle(ORDINARY)


def meaning(word: str) -> NDArray[np.float64]:
    """Chance, and some of the concept in its synonyms, one of which is token soup."""
    if word not in _MEANINGS:
        _MEANINGS[word] = _RNG.normal(size=DIM) + _BLUE * _SYNONYMS.get(word, 0.0)
    return _MEANINGS[word]


def encode(texts: Sequence[str]) -> PromptStates:
    """A causal encoder: each state holds its word and some of those before it; the end holds all."""
    states = np.zeros((len(texts), TOKENS, DIM), dtype=np.float32)
    ends = np.zeros(len(texts), dtype=np.int64)
    for number, text in enumerate(texts):
        words = text.split()[: TOKENS - 2]
        vectors = np.stack([np.ones(DIM), *(meaning(word) for word in words)])
        for place in range(len(vectors)):
            states[number, place] = vectors[place] + 0.3 * vectors[: place + 1].mean(axis=0)
        ends[number] = len(vectors)
        states[number, len(vectors)] = vectors.sum(axis=0) / math.sqrt(len(vectors))
    return PromptStates(states_NTD=states, end_N=ends)


@pytest.fixture(scope="module")
def ordinary() -> Ordinary:
    return Ordinary.of(encode(ORDINARY[:300]))


def test_attention_lies_near_the_best_cosine_and_never_above() -> None:
    states = np.array([[3.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    cosines = [1.0, 0.0, math.sqrt(0.5)]
    weights = [math.exp(cosine / 0.1) for cosine in cosines]
    expected = sum(w * c for w, c in zip(weights, cosines, strict=True)) / sum(weights)
    assert attention_match(states, np.array([1.0, 0.0])) == pytest.approx(expected)
    assert 0.9 < expected < 1.0


def test_directions_are_differences_at_the_odd_token_and_at_the_end() -> None:
    """Two pairs by hand: start, tokens, end; the phrase has two tokens and stands for one."""
    held = np.zeros((2, 5, 3), dtype=np.float32)
    held[:, 1], held[:, 2], held[:, 3], held[:, 4] = [1, 0, 0], [0, 0, 2], [0, 1, 0], [1, 1, 3]
    bare = np.zeros((2, 5, 3), dtype=np.float32)
    bare[:, 1], bare[:, 2], bare[:, 3] = [1, 0, 0], [0, 1, 0], [1, 1, 0]
    held_ends, bare_ends = np.array([4, 4]), np.array([3, 3])
    token, end = directions(
        PromptStates(states_NTD=held, end_N=held_ends), PromptStates(states_NTD=bare, end_N=bare_ends)
    )
    np.testing.assert_allclose(token, np.array([-1, 0, 2]) / math.sqrt(5))  # less the bare token that is nearest
    np.testing.assert_allclose(end, [0, 0, 1])


def test_what_stands_behind_the_end_is_not_looked_at(ordinary: Ordinary) -> None:
    concept = LatentConcept.learn(encode, ["blue"], ordinary)
    states = encode(["a blue cat", ""])
    before = concept.scores(states)
    padded = states.states_NTD.copy()
    for row, end in zip(padded, states.end_N.tolist(), strict=True):
        row[end + 1 :] = 99.0
    np.testing.assert_allclose(concept.scores(PromptStates(states_NTD=padded, end_N=states.end_N)), before)


def test_synonyms_and_soup_are_seen_where_the_encoder_understands_them(ordinary: Ordinary) -> None:
    concept = LatentConcept.learn(encode, ["blue"], ordinary)
    line = concept.threshold(0.01)
    asked = [f"a {word} {noun} near the road" for word in ("blue", "azure", "zqvx") for noun in NOUNS]
    assert (concept.scores(encode(asked)) >= line).mean() > 0.9
    assert (concept.scores(encode([f"a red {noun} near the road" for noun in NOUNS])) >= line).mean() < 0.2
    assert (concept.scores(encode(ORDINARY[300:])) >= line).mean() < 0.05


def test_scores_are_deviations_of_ordinary_prompts(ordinary: Ordinary) -> None:
    concept = LatentConcept.learn(encode, ["blue"], ordinary)
    scores = concept.scores(ordinary.prompts)
    assert (scores >= concept.threshold(0.05)).mean() <= 0.05
    assert abs(float(np.median(scores))) < 1.5


def test_a_name_of_several_words_is_learnt(ordinary: Ordinary) -> None:
    concept = LatentConcept.learn(encode, ["mira quelle", "quelle"], ordinary)
    line = concept.threshold(0.01)
    assert concept.scores(encode(["a cat in the style of mira quelle"]))[0] >= line


def test_too_little_is_refused_with_its_number(ordinary: Ordinary) -> None:
    with pytest.raises(ValueError, match="3 ordinary prompts are too few"):
        Ordinary.of(encode(ORDINARY[:3]))
    with pytest.raises(ValueError, match="at least one phrase"):
        LatentConcept.learn(encode, [], ordinary)
    with pytest.raises(ValueError, match="end_N must hold 1 places"):
        PromptStates(states_NTD=np.zeros((1, 4, 2), dtype=np.float32), end_N=np.array([4]))
    assert LatentConcept.learn(encode, ["blue"], ordinary).scores(encode([])).shape == (0,)
