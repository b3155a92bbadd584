"""Reads names in running text: where a name begins and ends, what belongs to it, and whether it tells one person.

Pure functions over words. It does not know entries, pages or automata. A name is a run of capitalised words, with the
small words that names hold inside ("da", "van", "of the"), initials and numbers; scripts without capitals are names as a
whole.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from retrieval.memory.ordinary_words import ORDINARY
from retrieval.text.characters import Kind
from retrieval.text.views import first_kind, normalise

SUFFIXES = frozenset({"jr", "sr", "ii", "iii", "iv", "v", "esq", "phd", "md", "obe", "cbe", "mbe", "kbe", "dbe"})
TITLES = frozenset({"sir", "dame", "dr", "mr", "mrs", "ms", "lord", "lady", "saint", "st", "rev", "prof"})
_SMALL_WORDS = (
    "da das de del della der di do dos du e el al ibn bin bint la las le los of ser the ten ter und van von y zu"
)
_SMALL = frozenset(_SMALL_WORDS.split())
_NAME_WORDS_LIMIT = 8
_LONGEST_CHARS = 160
_WRITTEN = re.compile(r"\S+")
_EDGES = "\"'“”‘’„«»()[],;:!? "
_RESPELLED = re.compile(r"[A-ZÀ-Þ]{2,}-\w|\w-[A-ZÀ-Þ]{2,}|[ˈˌəɪʊ]")  # "KAHN-yay", "sə-LEE-nə": how it is said
_DATE = re.compile(
    r"\s*(?:\d{1,2} )?(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
    r"(?= \d|,? *\d|$)"
)
_OPENING_WORDS = (
    "a an the he she it they we i his her its their this that these those there in on at as by for from of to with after "
    "before during since when while although though if one some many most both each all according born known"
)
_OPENERS = frozenset(_OPENING_WORDS.split())


def name_at(text: str) -> str:
    """The name that `text` begins with, empty if it begins with none. A final mark is left out, but for initials."""
    raw = text[: name_end(text)].strip(_EDGES)
    return _without_final_dot(" ".join(raw.split()))


def name_end(text: str) -> int:
    """Where the name that `text` begins with ends; 0 if it begins with none."""
    end = taken = 0
    if _DATE.match(text):
        return 0
    for found in _WRITTEN.finditer(text[:_LONGEST_CHARS]):
        raw = found.group()
        word = raw.strip(_EDGES)
        if not word or raw[0] in "([" or (not taken and fold(word) in _OPENERS) or _RESPELLED.search(word):
            break
        if _opens_name(word, first=not taken):
            taken += 1
            end = found.start() + len(raw.rstrip(",;:!?)]"))
        elif not taken or fold(word) not in _SMALL:
            break
        if taken >= _NAME_WORDS_LIMIT or _ends_run(raw):
            break
    return end


def _opens_name(word: str, *, first: bool) -> bool:
    start = word[0]
    if start.isdigit():
        return first and len(word) <= 3 and word.isdigit()
    if start.isupper() or unicodedata.category(start) == "Lo":
        return True
    return "-" in word and word.rpartition("-")[2][:1].isupper() and len(word) > 3


def _ends_run(raw: str) -> bool:
    if raw[-1] in ",;:!?)":
        return True
    return raw[-1] == "." and len(raw) > 3 and fold(raw) not in SUFFIXES


def _without_final_dot(name: str) -> str:
    if not name.endswith("."):
        return name
    last = name.rpartition(" ")[2]
    return name if len(last) == 2 or fold(last) in SUFFIXES else name[:-1]


@lru_cache(maxsize=8_192)
def fold(word: str) -> str:
    """The word as it compares: case folded, without accents, marks and apostrophes. Names repeat the same few words."""
    return "".join(normalise(word).words)


def name_words(name: str) -> list[str]:
    """Folded words, one for each written word."""
    return [word for part in name.split() if (word := fold(part))]


def without_ends(name: str) -> str:
    """Without titles before it and suffixes behind it: "Sir Walter Scott Jr." is "Walter Scott"."""
    parts = name.replace(",", " ").split()
    while len(parts) > 1 and fold(parts[0]) in TITLES:
        parts = parts[1:]
    while len(parts) > 1 and fold(parts[-1]) in SUFFIXES:
        parts = parts[:-1]
    return " ".join(parts)


def is_other_script(name: str) -> bool:
    """True for a name in letters other than Latin ones."""
    letters = [char for char in name if char.isalpha()]
    return bool(letters) and all("LATIN" not in unicodedata.name(char, "") for char in letters)


def is_telling(name: str) -> bool:
    """May this name decide alone that somebody is meant?

    At least two full words, of which one is not ordinary, or three that are not all everyday words; in scripts without
    spaces three characters. Never a lone first or last name.
    """
    words = list(normalise(name).words)
    alone = [word for word in words if first_kind(word) is Kind.ALONE]
    if alone:
        return len(words) >= 3
    full = [word for word in name_words(without_ends(name)) if len(word) > 1 and word not in _SMALL]
    if len(full) >= 3:
        return True
    return len(full) == 2 and any(word not in ORDINARY and len(word) >= 4 for word in full)


def holds_in_order(longer: list[str], shorter: list[str]) -> bool:
    """True if all words of `shorter` stand in `longer`, in this order."""
    rest = iter(longer)
    return all(word in rest for word in shorter)
