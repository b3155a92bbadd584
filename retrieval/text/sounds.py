"""The consonants of a word as they sound across scripts: "Stephen", "Стивен" and "スティーヴン" are about s t v n.

English spelling on one side, romanised text (`anyascii`) on the other; hand-made rules that know no words. A spelling
that is said in two ways has several forms. Symbols: p b f v t d k g s z m n l r h w y as in English, q = sh, c = ch,
j as in "jam", x = kh. Vowels are left out: half of the scripts do not write them, others add them between consonants.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import product

_MOST_FORMS = 12

# The first rule that fits wins; values are the ways to say it.
_NAME_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^(?:kn|gn|pn|mn)", ("n",)),
    (r"^wr", ("r",)),
    (r"^h", ("h", "g")),
    (r"^x", ("z",)),
    (r"tsch|tch|cz", ("c",)),
    (r"shch|sch|sh|sz", ("q",)),
    (r"kh", ("x",)),
    (r"ch", ("c", "k")),
    (r"ph", ("f",)),
    (r"th", ("t", "s")),
    (r"gh", ("", "g")),
    (r"dj|dg(?=e)", ("j",)),
    (r"dz", ("z",)),
    (r"tz|ts|zz", ("s", "c")),
    (r"sc(?=[eiy])", ("s",)),
    (r"ck|cq|qu|q", ("k",)),
    (r"c(?=[eiy])", ("s",)),
    (r"cc?$", ("k", "c")),
    (r"c", ("k",)),
    (r"n[gk](?=[ei])", ("n", "nj")),
    (r"n[gk]", ("n",)),
    (r"gn", ("n",)),
    (r"g(?=[eiy])", ("j", "g")),
    (r"j", ("j", "y")),
    (r"x", ("ks",)),
    (r"w(?=[aeiouy])", ("w", "v")),
    (r"w", ("", "v")),
    (r"mb$|mn$", ("m",)),
    (r"y(?=[aeiou])", ("y",)),
    (r"[pbfvtdkgszmnlrh]", ()),
    (r".", ("",)),
)
_TEXT_RULES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (r"^mp", ("b", "mp")),  # Greek for b, d and g
    (r"^nt", ("d",)),
    (r"^gk", ("g",)),
    (r"dzh|tzh|dj", ("j",)),
    (r"^tz", ("j", "z")),
    (r"tz", ("j", "s")),
    (r"shch|sch|sh", ("q",)),
    (r"tsch|tch|tsh|ts", ("c",)),
    (r"zh", ("j",)),
    (r"dz", ("z",)),
    (r"kh", ("x",)),
    (r"ph", ("f",)),
    (r"th", ("t",)),
    (r"[nm][gk]+h?", ("n",)),
    (r"gh", ("g", "")),
    (r"goy", ("w",)),  # Greek for w
    (r"ch", ("c",)),
    (r"c", ("c",)),
    (r"x", ("ks",)),
    (r"q", ("k",)),
    (r"y(?=[aeiou])", ("y",)),
    (r"[pbfvtdkgszmnlrhwj]", ()),
    (r".", ("",)),
)
_OTHERWISE: dict[str, dict[str, tuple[str, ...]]] = {
    "han": {"j": ("j", "k"), "q": ("c", "k"), "x": ("q", "k"), "r": ("r", "j")},
    "hebrew": {"v": ("v", "w"), "g": ("g", "j")},
    "arabic": {"j": ("j", "g")},
    "greek": {"ch": ("x",)},
}
_EAST_ASIAN = frozenset({"han", "katakana", "hangul"})

_CLASSES = {
    **dict.fromkeys("pbfv", "P"),
    **dict.fromkeys("td", "T"),
    **dict.fromkeys("kg", "K"),
    **dict.fromkeys("szqcj", "S"),
    **dict.fromkeys("mn", "N"),
}
_KINSHIP = {
    0.1: "sz xh",
    0.2: "pb fv td kg qs cj",
    0.3: "bv wv wh xk qc qz jz",
    0.4: "pf yj gh",
    0.5: "sc zj gj kh mn bf",
    0.6: "kc ts tc dj lr",
}
_COST = {frozenset(pair): cost for cost, pairs in _KINSHIP.items() for pair in pairs.split()}
_LEFT_OUT = {"h": 0.2, "w": 0.4, "y": 0.1, "x": 0.5}
_LEFT_OUT_IN_EAST_ASIA = {**_LEFT_OUT, "r": 0.25, "l": 0.4, "n": 0.4}
_LEFT_OUT_IN_ABJADS = {**_LEFT_OUT, "w": 0.1}

_TWICE = re.compile(r"(.)\1+")


def _compiled(rules: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[re.Pattern[str], tuple[tuple[str, ...], ...]]:
    return re.compile("|".join(f"({rule})" for rule, _ in rules)), tuple(ways for _, ways in rules)


_NAME, _NAME_WAYS = _compiled(_NAME_RULES)
_TEXT, _TEXT_WAYS = _compiled(_TEXT_RULES)


@lru_cache(maxsize=4096)
def name_sounds(word: str) -> tuple[str, ...]:
    """How a name's word, lower case Latin, may sound."""
    return _forms([_NAME_WAYS[(match.lastindex or 1) - 1] or (match.group(),) for match in _NAME.finditer(word)])


def text_sounds(word: str, script: str) -> tuple[str, ...]:
    """How a romanised word, lower case, may sound; `script` is the one that it was written in."""
    otherwise = _OTHERWISE.get(script, {})
    return _forms(
        [
            otherwise.get(match.group()) or _TEXT_WAYS[(match.lastindex or 1) - 1] or (match.group(),)
            for match in _TEXT.finditer(word)
        ]
    )


def _forms(ways: list[tuple[str, ...]]) -> tuple[str, ...]:
    forms = 1
    kept: list[tuple[str, ...]] = []
    for choice in ways:
        few = choice if forms * len(choice) <= _MOST_FORMS else choice[:1]
        forms *= len(few)
        kept.append(few)
    return tuple(dict.fromkeys(_TWICE.sub(r"\1", "".join(form)) for form in product(*kept)))


@lru_cache(maxsize=8192)
def lookup_key(sounds: str) -> str:
    """The classes of a form's surest consonants, by which names are looked up."""
    return _TWICE.sub(r"\1", "".join(_CLASSES.get(sound, "") for sound in sounds))


@lru_cache(maxsize=8192)
def likeness(name: str, text: str, script: str) -> float:
    """How alike two forms are, 0..1: an edit distance in which kindred sounds cost little."""
    longest = max(len(name), len(text))
    if not longest:
        return 1.0
    if script in _EAST_ASIAN:
        left_out = _LEFT_OUT_IN_EAST_ASIA
    else:
        left_out = _LEFT_OUT_IN_ABJADS if script in ("arabic", "hebrew") else _LEFT_OUT
    kin = {**_COST, frozenset("lr"): 0.1} if script in _EAST_ASIAN else _COST
    row = [0.0]
    for sound in text:
        row.append(row[-1] + left_out.get(sound, 1.0))
    for said in name:
        above, row = row, [row[0] + left_out.get(said, 1.0)]
        for place, sound in enumerate(text):
            same = above[place] + (0.0 if said == sound else kin.get(frozenset((said, sound)), 1.0))
            dropped = min(above[place + 1] + left_out.get(said, 1.0), row[-1] + left_out.get(sound, 1.0))
            row.append(min(same, dropped))
    return 1.0 - row[-1] / longest
