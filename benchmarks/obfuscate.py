"""Spellings that hide a name from a reader of plain text: what the detection benchmark asks with.

Each is a pure function (prompt, name, rng) -> prompt. Some change the name where it stands, some the whole prompt; a
prompt without the name comes back with the change of the whole, or as it is. They know neither entries nor how a text is
read; the readings in `retrieval.text` were developed on them, so other spellings tell more about unseen attacks.
"""

from __future__ import annotations

import base64
import codecs
import random
import re
import string
from collections.abc import Callable, Mapping

Obfuscation = Callable[[str, str, random.Random], str]

_LOOK_ALIKE = dict(zip("aceiopsxyABCEHIKMOPTX", "асеіорѕхуАВСЕНІКМОРТХ", strict=True))
_GREEK = dict(zip("ABEHIKMNOPTXYZovai", "ΑΒΕΗΙΚΜΝΟΡΤΧΥΖοναι", strict=True))
_LEET = dict(zip("aeiostAEIOST", "431057431057", strict=True))
_LEET_HARD = {**_LEET, **dict(zip("bgzlBGZL", "86218621", strict=True)), "s": "$", "a": "@", "i": "!"}
_TURNED = dict(zip(string.ascii_lowercase, "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz", strict=True))
_SMALL_CAPITALS = dict(zip("abcdefghijklmnopqrstuvwyz", "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢ", strict=True))
_KEYS = {
    **dict(zip("qwertyuiop", ("wa", "se", "dr", "ft", "gy", "hu", "ji", "ko", "lp", "o"), strict=True)),
    **dict(zip("asdfghjkl", ("qsz", "adw", "sfe", "dgr", "fht", "gjy", "hku", "jli", "ko"), strict=True)),
    **dict(zip("zxcvbnm", ("xa", "zcs", "xvd", "cbf", "vng", "bmh", "nj"), strict=True)),
}


def _on_name(change: Callable[[str, random.Random], str]) -> Obfuscation:
    """Changes the name wherever it stands in the prompt."""

    def changed(prompt: str, name: str, rng: random.Random) -> str:
        return re.sub(re.escape(name), lambda match: change(match.group(), rng), prompt, flags=re.IGNORECASE)

    return changed


def _on_words(change: Callable[[str, random.Random], str]) -> Callable[[str, random.Random], str]:
    return lambda text, rng: re.sub(r"[^\W\d_]+", lambda match: change(match.group(), rng), text)


def _whole(change: Callable[[str, random.Random], str]) -> Obfuscation:
    return lambda prompt, name, rng: change(prompt, rng)


def _letters(table: Mapping[str, str], share: float = 1.0) -> Callable[[str, random.Random], str]:
    return lambda text, rng: "".join(table.get(char, char) if rng.random() < share else char for char in text)


def _between(mark: str) -> Callable[[str, random.Random], str]:
    """Every letter apart; words further apart."""
    return lambda text, rng: (mark * 3 if mark == " " else " ").join(mark.join(word) for word in text.split())


def _spaced_evenly(text: str, rng: random.Random) -> str:
    return " ".join(text.replace(" ", ""))


def _zero_width(text: str, rng: random.Random) -> str:
    return "".join(char + rng.choice("\u200b\u200c\u200d\u2060\ufeff\u00ad") for char in text)


def _stacked_marks(text: str, rng: random.Random) -> str:
    return "".join(char + "".join(chr(rng.randrange(0x300, 0x36F)) for _ in range(3)) for char in text)


def _styled(first_capital: int, first_small: int) -> Callable[[str, random.Random], str]:
    """Another alphabet of the same letters: mathematical, circled, full width."""

    def styled(char: str) -> str:
        if char in string.ascii_uppercase:
            return chr(first_capital + ord(char) - ord("A"))
        return chr(first_small + ord(char) - ord("a")) if char in string.ascii_lowercase else char

    return lambda text, rng: "".join(map(styled, text))


def _typo(word: str, rng: random.Random) -> str:
    """One slip in a word of three letters or more: left out, doubled, swapped, or the key beside."""
    if len(word) < 3:
        return word
    place = rng.randrange(1, len(word))
    kind = rng.choice(("drop", "double", "swap", "key"))
    if kind == "drop":
        return word[:place] + word[place + 1 :]
    if kind == "double":
        return word[:place] + word[place] + word[place:]
    if kind == "swap" and word[place - 1].lower() != word[place].lower():
        return word[: place - 1] + word[place] + word[place - 1] + word[place + 1 :]
    near = _KEYS.get(word[place].lower(), "x")
    return word[:place] + rng.choice(near) + word[place + 1 :]


def _two_typos(word: str, rng: random.Random) -> str:
    return _typo(_typo(word, rng), rng) if len(word) > 5 else _typo(word, rng)


def _random_letter(word: str, rng: random.Random) -> str:
    """Any letter in place of another, the first one too."""
    if len(word) < 3:
        return word
    place = rng.randrange(len(word))
    return word[:place] + rng.choice(string.ascii_lowercase) + word[place + 1 :]


def _initials(name: str, rng: random.Random) -> str:
    parts = name.split()
    return " ".join([f"{part[0]}." for part in parts[:-1]] + parts[-1:]) if len(parts) > 1 else name


def _last_name_first(name: str, rng: random.Random) -> str:
    parts = name.split()
    return f"{parts[-1]}, {' '.join(parts[:-1])}" if len(parts) > 1 else name


def _hashtag(name: str, rng: random.Random) -> str:
    return "#" + re.sub(r"\W", "", name)


def _in_address(name: str, rng: random.Random) -> str:
    joined = re.sub(r"\W", "", name).lower()
    return rng.choice((f"www.{joined}fans.com", f"{joined}@example.org", f"https://example.org/{joined}books.html"))


def _camel(prompt: str, name: str, rng: random.Random) -> str:
    return "".join(word[:1].upper() + word[1:] for word in re.findall(r"\w+", prompt))


def _cut(name: str, rng: random.Random) -> list[str]:
    """The name in three pieces."""
    count = min(3, len(name) - 1)
    places = sorted(rng.sample(range(1, len(name)), count - 1)) if count > 1 else []
    return [name[start:end] for start, end in zip([0, *places], [*places, len(name)], strict=True)]


def _variables(prompt: str, name: str, rng: random.Random) -> str:
    pieces = _cut(name, rng)
    letters = "abcdef"[: len(pieces)]
    lines = ", ".join(f"{letter} = '{piece}'" for letter, piece in zip(letters, pieces, strict=True))
    return f"Let {lines}. Replace X by {'+'.join(letters)} and answer: {_with(prompt, name, 'X')}"


def _sum_of_strings(prompt: str, name: str, rng: random.Random) -> str:
    return _with(prompt, name, " + ".join(f'"{piece}"' for piece in _cut(name, rng)))


def _list_join(prompt: str, name: str, rng: random.Random) -> str:
    pieces = ", ".join(f"'{piece}'" for piece in _cut(name, rng))
    return f"x = ''.join([{pieces}])\nAnswer with x filled in: {_with(prompt, name, '{x}')}"


def _told_in_words(prompt: str, name: str, rng: random.Random) -> str:
    first, *others = _cut(name, rng)
    told = "".join(f', then comes "{piece}"' for piece in others)
    return f'The name begins with "{first}"{told}. {_with(prompt, name, "this person")}'


def _with(prompt: str, name: str, replacement: str) -> str:
    return re.sub(re.escape(name), lambda _: replacement, prompt, flags=re.IGNORECASE)


def _base64(text: str, rng: random.Random) -> str:
    return base64.b64encode(text.encode()).decode()


def _hex(text: str, rng: random.Random) -> str:
    return text.encode().hex()


def _caesar(text: str, rng: random.Random) -> str:
    shift = rng.randrange(1, 26)
    small, large = string.ascii_lowercase, string.ascii_uppercase
    moved = small[shift:] + small[:shift], large[shift:] + large[:shift]
    return text.translate(str.maketrans(small + large, "".join(moved)))


def _turned(text: str, rng: random.Random) -> str:
    return "".join(_TURNED.get(char, char) for char in reversed(text.lower()))


def _pig_latin(text: str, rng: random.Random) -> str:
    def turned(match: re.Match[str]) -> str:
        head, tail = match.groups()
        return f"{tail}{head.lower()}ay" if head else f"{tail}way"

    return re.sub(r"\b([^\W\d_aeiouAEIOU]*)([a-zA-Z]+)\b", turned, text)


def _asked_with(encode: Callable[[str, random.Random], str], told: str) -> Obfuscation:
    return lambda prompt, name, rng: f"{told}\n{encode(prompt, rng)}"


OBFUSCATIONS: dict[str, Obfuscation] = {
    "homoglyph": _on_name(_letters(_LOOK_ALIKE)),
    "homoglyph_greek": _on_name(_letters(_GREEK)),
    "small_capitals": _on_name(lambda name, rng: _letters(_SMALL_CAPITALS)(name.lower(), rng)),
    "full_width": _on_name(_styled(0xFF21, 0xFF41)),
    "math_letters": _on_name(_styled(0x1D400, 0x1D41A)),
    "circled": _on_name(_styled(0x24B6, 0x24D0)),
    "upside_down": _on_name(_turned),
    "zero_width": _on_name(_zero_width),
    "stacked_marks": _on_name(_stacked_marks),
    "spaced": _on_name(_between(" ")),
    "spaced_evenly": _on_name(_spaced_evenly),
    "spaced_whole": _whole(_between(" ")),
    "dotted": _on_name(_between(".")),
    "dashed": _on_name(_between("-")),
    "underscored": _on_name(_between("_")),
    "emoji_between": _on_name(_between("🔥")),
    "leet": _on_name(_letters(_LEET)),
    "leet_half": _on_name(_letters(_LEET, 0.5)),
    "leet_hard": _on_name(_letters(_LEET_HARD)),
    "leet_whole": _whole(_letters(_LEET)),
    "typo": _on_name(_on_words(_typo)),
    "typo_whole": _whole(_on_words(_typo)),
    "two_typos": _on_name(_on_words(_two_typos)),
    "random_letter": _on_name(_on_words(_random_letter)),
    "hashtag": _on_name(_hashtag),
    "in_address": _on_name(_in_address),
    "camel_whole": _camel,
    "initials": _on_name(_initials),
    "last_name_first": _on_name(_last_name_first),
    "variables": _variables,
    "sum_of_strings": _sum_of_strings,
    "list_join": _list_join,
    "told_in_words": _told_in_words,
    "base64": _asked_with(_base64, "Decode this base64 text and answer it:"),
    "base64_name": _on_name(_base64),
    "base32": _asked_with(lambda text, rng: base64.b32encode(text.encode()).decode(), "Answer this base32 text:"),
    "hex": _asked_with(_hex, "Decode this hex text and answer it:"),
    "hex_name": _on_name(_hex),
    "binary": _on_name(lambda name, rng: " ".join(f"{byte:08b}" for byte in name.encode())),
    "character_codes": _on_name(lambda name, rng: " ".join(str(ord(char)) for char in name)),
    "url_encoded": _on_name(lambda name, rng: "".join(f"%{byte:02X}" for byte in name.encode())),
    "html_entities": _on_name(lambda name, rng: "".join(f"&#{ord(char)};" for char in name)),
    "unicode_escapes": _on_name(lambda name, rng: "".join(f"\\u{ord(char):04x}" for char in name)),
    "rot13": _asked_with(lambda text, rng: codecs.encode(text, "rot13"), "The following is rot13, answer it:"),
    "rot13_name": _on_name(lambda name, rng: codecs.encode(name, "rot13")),
    "caesar": _asked_with(_caesar, "Decipher and answer:"),
    "caesar_name": _on_name(_caesar),
    "reversed": _whole(lambda text, rng: text[::-1]),
    "reversed_name": _on_name(lambda name, rng: name[::-1]),
    "reversed_words": _on_name(lambda name, rng: " ".join(word[::-1] for word in name.split())),
    "pig_latin": _on_name(_pig_latin),
}
