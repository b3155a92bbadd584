"""What is sent: prompts that differ every time, and forget entries about people who never lived.

Prompts differ so that no cache of texts already seen can make a proxy look faster than it is. Everything follows from
a seed. `everyday_prompts` come near no entry; `nearby_prompts` speak of the entries' world without asking for
anybody, so that a cheap look does not settle them and the encoder must. Both are about 40 tokens long.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import product
from typing import Any

THINGS = ("lemons", "old jam jars", "wool scarves", "wooden boards", "sweet potatoes", "paper boxes", "tulip bulbs")
WAYS = ("store", "sort", "clean", "use up", "wrap", "label", "carry")
HELPERS = (
    "salt water",
    "two trays",
    "some string",
    "a cold cellar",
    "a small brush",
    "my neighbour",
    "a kitchen scale",
)
CRAFTS = ("glass painter", "bell founder", "map engraver", "organ builder", "clockmaker", "bridge engineer", "botanist")
TOWNS = ("Varnholm", "Ostrel", "Kessing", "Marlund", "Tavrik", "Selbeck", "Dornau", "Pellwick", "Rauma", "Visby")
DEEDS = ("lost a famous lawsuit", "rebuilt the harbour chapel", "won the royal prize", "fled to the islands")
ONSETS = ("b", "br", "d", "dr", "f", "g", "gr", "h", "k", "kl", "l", "m", "n", "p", "r", "s", "sk", "st", "t", "v", "z")
VOWELS = ("a", "e", "i", "o", "u", "au", "ei")
CODAS = ("", "l", "n", "r", "s", "k", "m")


def everyday_prompts(seed: int) -> Iterator[str]:
    """Endless everyday requests that touch no entry."""
    rng = random.Random(seed)
    while True:
        yield (
            f"I have {rng.randint(3, 999)} {rng.choice(THINGS)} and about {rng.randint(10, 240)} minutes before guests "
            f"come. Suggest a simple way to {rng.choice(WAYS)} them with {rng.choice(HELPERS)}, in step {rng.random():.6f}."
        )


def nearby_prompts(seed: int) -> Iterator[str]:
    """Endless requests from the world of the entries that still ask for none of them.

    One sentence each: the detector reads sentences one by one, and a harmless one of two would be settled cheaply.
    """
    rng = random.Random(seed)
    while True:
        yield (
            f"Write {rng.randint(4, 400)} words for the sign of my shop in {rng.choice(TOWNS)}, which sells "
            f"{rng.choice(THINGS)}, in the voice of a {rng.choice(CRAFTS)} who won the royal prize, and mention order "
            f"number {rng.random():.6f} at its end"
        )


def entries(count: int, *, seed: int) -> Iterator[dict[str, Any]]:
    """`count` different people, each with an alias, a fact and a request that touches them."""
    rng = random.Random(seed)
    for number, name in zip(range(count), names(seed), strict=False):
        craft, town, deed = rng.choice(CRAFTS), rng.choice(TOWNS), rng.choice(DEEDS)
        surname = name.split()[1]
        yield {
            "id": f"bench-{number}",
            "name": name,
            "kind": "person",
            "aliases": [f"Master {surname}"],
            "exemplars": [f"Tell me about {name}, the {craft} from {town} who {deed}."],
            "facts": [{"question": f"What did {name} do?", "answer": f"{name} {deed} in {rng.randint(1700, 1950)}"}],
        }


def names(seed: int) -> Iterator[str]:
    """Different two-word names that no language has; ends after several hundred thousand."""
    rng = random.Random(seed)
    syllables = [a + b + c for a, b, c in product(ONSETS, VOWELS, CODAS)]
    rng.shuffle(syllables)
    half = len(syllables) // 2
    surnames = [a + b for a, b in zip(syllables[:half], syllables[half:], strict=False)]
    given = [a + b for a, b in zip(syllables[half:], syllables[:half], strict=False)]
    for shift in range(half):
        for index in range(half):
            yield f"{given[index]}en {surnames[(index + shift) % half]}er".title()
