"""Words that stand in for those of a name: names of people, titles from ordinary words, or syllables of a script.

A draw is a keyed hash (HMAC-SHA-256), so the same key and the same word always give the same invented word, and without
the key nobody can tell which. In Latin letters a person gets a first and a last name that are borne, but not by many,
and that are no words: a small model cannot repeat a name of odd syllables, and asked about one it does not answer as it
does about a stranger. Whether somebody on earth bears both cannot be known. Other Latin words are made of hand-made
syllables, are no word of the list in `known_words` and begin none.
It does not know entries, and gives no meaning and no inflection but the last vowel; a gender only to first names
in Latin letters. Other scripts than those of
`_SCRIPTS` are written in Latin letters.
"""

from __future__ import annotations

import hmac
import unicodedata
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from functools import cache, lru_cache

from anyascii import anyascii
from rapidfuzz.distance import Indel

from guardrail.treatments.names.genders import Gender, gender_of
from retrieval.text.known_words import known_words
from retrieval.text.name_words import slips_between
from retrieval.text.sounds import likeness, lookup_key, name_sounds

LATIN = "latin"
TRIES = 50
"""Most words that are drawn before a looser rule, or the next table, takes over: a caller waits for them."""

_FIRST_RANKS = (200, 2_500)
_LAST_RANKS = (1_500, 6_000)
_SHORTEST_NAME = 4
_FEWEST_NAMES = 40  # of fewer, the stand-in could be guessed

_NEAR_SPELLING = 0.6
_NEAR_SOUND = 0.8
_COMPARED_BEFORE = 8_192  # words whose letters and sounds are kept: a draw is compared with the same names again
_FEWEST_SIGNS = 4  # of fewer than these a long word would repeat itself
_MOST_SIGNS = 8
_SHORTEST_HEARD = 2
_SHORT_SOUNDS = 2  # words of so few consonants are compared by their sounds only where those are the same

# script -> (beginnings of a syllable, vowels, ends of a syllable; "-" is none)
_SYLLABLES: dict[str, tuple[str, str, str]] = {
    LATIN: ("b br d dr f g gr h k l m n p pr r s st t tr v z", "a e i o u", "- - l n r s m"),
    "cyrillic": ("б бр в г д др ж з к кр л м н п р с ст т тр ф", "а е и о у", "- - л н р с м в"),
    "greek": ("β γ δ θ κ λ μ ν π ρ σ τ φ", "α ε ι ο ου", "- λ ν ρ σ"),
    "arabic": ("ب ت د ر ز س ش ط ف ق ك ل م ن", "ا و ي", "ر ل ن م س د"),
    "devanagari": ("ब द ग ह क ल म न प र स त व ज", "ा ी ु े ो", "ल न र स म"),
}
# script -> characters that stand for a syllable each
_SIGNS: dict[str, str] = {
    "han": "岑郁晏霁澜峤昀珩漪蘅黎樾遥瀚芮翊沅昶筠璟穆湛邈屿茉聿濯蔚珞淳",
    "han abroad": "德尔维兰莫塔贝洛纳卡里索芬托加鲁佩瓦泽米",  # as in names from elsewhere, "斯蒂芬·金"
    "katakana": "アイカキコサシソタトナニノマミムモラリルレロベドガゼヴバ",
    "hiragana": "あいかきこさしそたとなにのまみむもらりるれろべどがぜばぶ",
    "hangul": "가나다라마바사하고노도로모보소호구누두루무부수선결람솔담율별온",
}
_SCRIPT_BY_NAME = {
    "LATIN": LATIN,
    "CYRILLIC": "cyrillic",
    "GREEK": "greek",
    "ARABIC": "arabic",
    "DEVANAGARI": "devanagari",
    "CJK": "han",
    "KATAKANA": "katakana",
    "KATAKANA-HIRAGANA": "katakana",
    "HIRAGANA": "hiragana",
    "HANGUL": "hangul",
}
BY_SIGN = frozenset(_SIGNS)
"""Scripts written without spaces inside and around a name: a sign is a syllable."""

_ADJECTIVES_OF_TITLES = (
    "pale silver hidden distant crooked velvet paper copper frozen hollow narrow quiet borrowed scarlet wooden marble "
    "painted salted northern forgotten tangled broken golden windy"
)
_NOUNS_OF_TITLES = (
    "lantern harbour meadow staircase compass pavilion lighthouse feather railway mirror bridge canyon market tower "
    "mountain corridor balcony candle furnace river village window teapot ladder"
)
_ADJECTIVES, _NOUNS = _ADJECTIVES_OF_TITLES.split(), _NOUNS_OF_TITLES.split()
LITTLE_WORDS: tuple[tuple[str, ...], ...] = (
    ("the", "a"),
    ("of", "beyond", "behind"),
    ("in", "under", "near"),
    ("on", "below", "past"),
    ("to", "from", "toward"),
    ("and", "with"),
    ("for", "without"),
    ("de", "da", "di", "du"),
    ("del", "della", "des"),
    ("la", "le", "lo"),
    ("van", "von", "zu", "ter"),
    ("der", "den", "das"),
    ("el", "al", "ul"),
    ("bin", "ibn", "ben"),
    ("com", "net", "org"),
)
"""Words that give a name its shape: one is replaced by another of its group."""

_PARTICLES = frozenset(
    [
        "van",
        "von",
        "zu",
        "ter",
        "der",
        "den",
        "das",
        "el",
        "al",
        "ul",
        "bin",
        "ibn",
        "ben",
        "de",
        "da",
        "di",
        "du",
        "del",
        "della",
        "des",
        "la",
        "le",
        "lo",
    ]
)
_GROUP = {word: group for group in LITTLE_WORDS for word in group}
_VOWELS = frozenset("aeiouаеиоуыяюэё")


class Draw:
    """An endless row of choices that hangs on a key and on what is drawn for."""

    def __init__(self, key: bytes, *what: str) -> None:
        self._key = key
        self._what = "\x1f".join(what)
        self._block = 0
        self._number = 0
        self._left = 1

    def pick(self, choices: Sequence[str]) -> str:
        """One of the choices."""
        if self._left < len(choices) ** 2:
            message = f"{self._what}\x1f{self._block}".encode("utf-8", "surrogatepass")
            self._number = int.from_bytes(hmac.digest(self._key, message, "sha256"))
            self._block, self._left = self._block + 1, 1 << 256
        self._number, place = divmod(self._number, len(choices))
        self._left //= len(choices)
        return choices[place]


@cache
def _script_of_char(char: str) -> str | None:
    return _SCRIPT_BY_NAME.get(unicodedata.name(char, "?").split()[0]) if char.isalpha() else None


def script_of(word: str) -> str:
    """The script of a word's first letter; Latin where it is one that no words can be built in."""
    return next((script for char in word if (script := _script_of_char(char))), LATIN)


def is_near(one: str, other: str) -> bool:
    """True if two words are the same, look alike or sound alike, whatever their scripts."""
    if looks_near(one, other):
        return True
    plain, word = _roman(one), _roman(other)
    if min(len(plain), len(word)) < _SHORTEST_HEARD or _is_by_sign(one, other):
        return False
    return any(_sound_alike(first, second) for first in name_sounds(plain) for second in name_sounds(word))


def looks_near(one: str, other: str) -> bool:
    """True if two words are the same or look alike, whatever their scripts; it costs a tenth of `is_near`."""
    if one.casefold() == other.casefold():
        return True
    if _is_by_sign(one, other):
        return bool(set(one) & set(other))
    plain, word = _roman(one), _roman(other)
    shorter = min(len(plain), len(word))
    if shorter < _SHORTEST_HEARD:
        return plain == word
    if (shorter > 2 and (plain in word or word in plain)) or slips_between(plain, word) is not None:
        return True
    return Indel.normalized_similarity(plain, word) >= _NEAR_SPELLING


def _is_by_sign(one: str, other: str) -> bool:
    return script_of(one) == script_of(other) and script_of(one) in BY_SIGN


def _sound_alike(one: str, other: str) -> bool:
    if not one or not other:
        return False
    if min(len(one), len(other)) <= _SHORT_SOUNDS:
        return one == other
    return lookup_key(one) == lookup_key(other) or likeness(one, other, LATIN) >= _NEAR_SOUND


@lru_cache(maxsize=_COMPARED_BEFORE)
def _roman(word: str) -> str:
    return "".join(char for char in anyascii(word).lower() if "a" <= char <= "z")


def roman_likeness(one: str, other: str) -> float:
    """How alike two words are in Latin letters, 0..1."""
    return Indel.normalized_similarity(_roman(one), _roman(other))


@cache
def _sorted_words() -> tuple[str, ...]:
    return tuple(sorted(known_words().words))


def _is_known(word: str) -> bool:
    """True if a known word begins with this one, or is it but for a last vowel."""
    for form in {word, word[:-1] if word[-1] in _VOWELS and len(word) > 4 else word}:
        words, place = _sorted_words(), bisect_left(_sorted_words(), form)
        if place < len(words) and words[place].startswith(form):
            return True
    return False


def invented_word(
    word: str,
    draw: Draw,
    *,
    is_free: Callable[[str], bool],
    script: str,
    abroad: bool = False,
    avoided: Collection[str] = (),
    longer: int = 0,
) -> str | None:
    """An invented word, lower case, about as long as `word`, in the given script; None if `is_free` turns it down.

    `abroad`: a Han name from elsewhere. `avoided`: signs that it must not hold; None where too few are left of the table.
    `longer`: so many more signs, for a word of one sign has few others beside it.
    """
    table = [sign for sign in sign_table(script, abroad=abroad) if sign not in avoided]
    count = min(_signs_for(word, script) + longer, _MOST_SIGNS)
    if script in BY_SIGN and len(table) < min(count, _FEWEST_SIGNS):
        return None
    for _ in range(TRIES):
        made = _signs(draw, table, count) if script in BY_SIGN else _spelt(word, draw, script)
        if script == LATIN and (made[0] == word[:1].lower() or _is_known(made)):
            continue
        if is_free(made):
            return made
    return None


@cache
def _borne(*, family: bool, gender: Gender | None) -> tuple[str, ...]:
    """Names that are not very common and mean nothing; `gender`: first names of this one."""
    known = known_words()
    names, (start, end) = (known.last_names, _LAST_RANKS) if family else (known.first_names, _FIRST_RANKS)
    plain = (name for name in names[start:end] if len(name) > _SHORTEST_NAME and name not in known.ordinary)
    return tuple(name for name in plain if family or gender is None or gender_of(name) is gender)


def persons_word(
    word: str, draw: Draw, *, family: bool, gender: Gender | None, is_free: Callable[[str], bool]
) -> str | None:
    """A first or last name, lower case; None if none of `TRIES` is free.

    A first name is of the gender, and ends in an "a" where `word` does, as far as there are enough of such.
    """
    names = _borne(family=family, gender=gender)
    alike = [name for name in names if family or (name[-1] == "a") == (word[-1:] == "a")]
    choices = alike if len(alike) >= _FEWEST_NAMES else names
    drawn = (draw.pick(choices) for _ in range(TRIES))
    return next((name for name in drawn if name[0] != word[:1].lower() and is_free(name)), None)


def sign_table(script: str, *, abroad: bool = False) -> str:
    """The signs of a script that is written so; empty for others."""
    return _SIGNS.get("han abroad" if abroad and script == "han" else script, "")


def _signs_for(word: str, script: str) -> int:
    return len(word) if script_of(word) == script else max(2, len(word) // 2)


def _signs(draw: Draw, table: Sequence[str], count: int) -> str:
    """Signs of which no three in a row hold one twice."""
    signs: list[str] = []
    while len(signs) < count:
        signs.append(draw.pick([sign for sign in table if sign not in signs[-2:]]))
    return "".join(signs)


def _spelt(word: str, draw: Draw, script: str) -> str:
    """Two or three syllables; the last vowel of a word stays its last vowel, for names are bent by it."""
    begins, vowels, ends = (part.split() for part in _SYLLABLES[script])
    singles, closed = [begin for begin in begins if len(begin) == 1], [end for end in ends if end != "-"]
    syllables = [draw.pick(begins) + draw.pick(vowels) + draw.pick(ends)]
    if len(word) > 8:
        syllables.append(draw.pick(singles) + draw.pick(vowels))
    syllables.append(draw.pick(singles) + draw.pick(vowels) + draw.pick(closed))
    last = word[-1:].lower()
    return "".join(syllables).replace("-", "") + (last if last in "aoая" and script_of(word) == script else "")


def is_particle(written: str) -> bool:
    """True for a word that only joins those of a person's name: what is written small, and "Al" in "Al-Hashim"."""
    return written.islower() or written.lower() in _PARTICLES


def little_word(word: str, draw: Draw, taken: frozenset[str]) -> str | None:
    """Another word of the same group, not in `taken`; None if it is in no group or the group has no other."""
    others = [other for other in _GROUP.get(word, ()) if other not in taken and other != word]
    return draw.pick(others) if others else None


def ordinary_word(draw: Draw, *, noun: bool, alone: bool, is_free: Callable[[str], bool]) -> str | None:
    """A word for a title; `alone`: two in one, so that it is met in no other text. None if none is free."""
    for _ in range(TRIES):
        first, last = draw.pick(_ADJECTIVES), draw.pick(_NOUNS)
        made = first + last if alone else last if noun else first
        if is_free(made):
            return made
    return None


def other_digits(digits: str, draw: Draw) -> str:
    """As many digits, each another one; the first is no 0."""
    made = ""
    for digit in digits:
        plain = str(unicodedata.digit(digit, 0))
        made += draw.pick([other for other in "0123456789" if other != plain and (made or other != "0")])
    return made


def other_letter(letter: str, draw: Draw, taken: frozenset[str]) -> str:
    """Another initial, lower case."""
    table = _SIGNS[script_of(letter)] if script_of(letter) in BY_SIGN else _SYLLABLES[script_of(letter)][0]
    letters = [other for other in table.replace(" ", "") if other not in taken and other != letter.lower()]
    return draw.pick(letters or [other for other in table.replace(" ", "") if other != letter.lower()])
