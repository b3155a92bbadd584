"""What one character is worth in a comparison: its folded pieces and the kind of each.

It does not know words or texts: every character is mapped on its own. Sources: Unicode character data of the running
Python, Unicode TR39 confusables (the letters that pass for Latin ones at a glance), Unicode default ignorables.
"""

from __future__ import annotations

import re
import unicodedata
from enum import IntEnum

DROPPED = "\x01"
"""Stands for a dropped character in a text folded one to one."""

SLOW = "\x02"
"""Stands for a character that has no one-to-one form."""

_CACHE_LIMIT = 20_000  # characters; a text that walks through all of Unicode must not fill the memory


class Kind(IntEnum):
    """What a folded piece does to the words around it."""

    GAP = 0  # ends a word
    LETTER = 1  # letters and digits: begins or continues a word
    ALONE = 2  # a letter of a script without spaces: a word of its own
    MARK = 3  # continues the word before it, never begins one (vowel signs, dakuten)
    DROPPED = 4  # as if it were not there


Pieces = tuple[tuple[Kind, str], ...]

# Keys are case folded and without accents; one key has one value whatever its case, or Greek and Russian would
# no longer match their own capitals.
_PAIRS = (
    "аa вb сc ԁd еe ғf ԍg һh нh іi јj кk ӏl мm пn оo рp ԛq гr ѕs тt цu ѵv ԝw ѡw хx уy үy ҁc "  # Cyrillic
    "αa βb εe ϝf ηh ιi κk μm νv οo ρp τt υu ωw χx γy ζz "  # Greek
    "օo սu հh ոn ցg քp յj "  # Armenian
    "Ꭰd Ꭱr Ꭲt Ꭺa Ꭻj Ꭼe Ꮃw Ꮇm Ꮋh Ꮐg Ꮓz Ꮟb Ꮢr Ꮥs Ꮩv Ꮪs Ꮮl Ꮯc Ꮲp Ꮶk Ᏼb "  # Cherokee
    "ᴀa ʙb ᴄc ᴅd ᴇe ꜰf ɢg ʜh ɪi ᴊj ᴋk ʟl ᴍm ɴn ᴏo ᴘp ʀr ꜱs ᴛt ᴜu ᴠv ᴡw ʏy ᴢz "  # small capitals
    "ıi ɩi ɑa ɡg łl øo đd ħh ŧt ƀb ɓb ɖd ɗd ɠg ɦh ɨi ƙk ɫl ɱm ɲn ɵo ʈt ʋv ƴy ʐz "  # Latin
    "ƅb ꞵb ƍg ǀl ƽs ꞟu ɯw ꭓx ɣy ϳj ҽe ꙇi ռn գq զq տs աw Ꮷd Ᏻg Ꮒh Ꭵi Ꮁr Ꮤw Ꭹy Ꮍy "  # the same alphabets again
    "ᗅa ᗩa ᑲb ᖯb ᗷb ᑕc ᑯd ᗞd ᗪd ᖴf ᕼh ᒍj ᒪl ᗰm ᑎn ᑭp ᑫq ᖇr ᔕs ᑌu ᐯv ᗯw ᕁx ᕽx ᗴe ᕮe ᘜg ᓰi ᘔz "  # Canadian syllabics
    "ꓮa ꓐb ꓚc ꓒd ꓓd ꓰe ꓝf ꓖg ꓧh ꓙj ꓗk ꓲl ꓡl ꓟm ꓠn ꓳo ꓑp ꓣr ꓢs ꓔt ꓴu ꓦv ꓪw ꓫx ꓬy ꓜz "  # Lisu
    "ⲥc ⲏh ⲕk ⲓl ⳑl ⲙm ⲛn ⲟo ⲣp ⲅr ⲧt ⲭx ⲩy 𐐽c 𐑃l 𐐬o 𐑈s 𐓪o 𐓜r 𐓶u "  # Coptic, Deseret, Osage
    "𐊠a 𐊡b 𐊢c 𐊥f 𐋏h 𐊰m 𐊫o 𐊱t 𐊴x 𐊲y 𐊂b 𐊆e 𐊇f 𐊊l 𐊒o 𐊕p 𐊖s 𐊗t 𐊐x "  # Carian, Lycian
    "𐌁b 𐌂c 𐌉l 𐌑m 𐌕t 𐌗x 𐔜c 𐔥f 𐔘k 𐔦l 𐔓n 𐔖o 𐔝v 𐔧x ⴹe ⵏl ⵔo ⵕq ⴸv ⵝx ᛕk ᛁl ᛖm ᚷx"  # Italic, Elbasan, Tifinagh, runes
)
_LOOK_ALIKES = {pair[0]: pair[1] for pair in _PAIRS.split()}
# Latin letters with a hook, stroke or tail, which Unicode does not decompose.
_DRESSED = re.compile(
    r"LATIN (?:SMALL |CAPITAL )?LETTER (?:SMALL CAPITAL |SCRIPT |BLACKLETTER |DOTLESS )?([A-Z])(?: WITH .*)?"
)
_SPELLED_OUT = {"æ": "ae", "œ": "oe", "þ": "th", "ð": "d", "ĸ": "k", "ŋ": "n", "ə": "e"}

_ALONE_RANGES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1100, 0x115E),  # Hangul leading consonants (Korean glues particles to names)
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),
    (0x3041, 0x312F),  # kana, bopomofo
    (0x31F0, 0x31FF),
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xA000, 0xA48F),  # Yi
    (0xAC00, 0xD7A3),
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)
_HANGUL_TAILS = (0x1161, 0x11FF)
_ACCENT_RANGES = (
    (0x0300, 0x036F),
    (0x0483, 0x0489),
    (0x0591, 0x05C7),  # Hebrew points
    (0x0610, 0x061A),
    (0x064B, 0x065F),  # Arabic vowel marks
    (0x0670, 0x0670),
    (0x06D6, 0x06ED),
    (0x1AB0, 0x1AFF),
    (0x1DC0, 0x1DFF),
    (0x20D0, 0x20FF),
    (0xFE20, 0xFE2F),
)
_IGNORABLE_RANGES = (
    (0x115F, 0x1160),  # Hangul fillers
    (0x17B4, 0x17B5),
    (0x180B, 0x180F),
    (0x3164, 0x3164),
    (0xFE00, 0xFE0F),
    (0xFFA0, 0xFFA0),
    (0xE0000, 0xE0FFF),
)
# Capitals drawn in boxes and circles that Unicode itself does not decompose, and flag letters.
_BOXED_RANGES = ((0x1F150, 0x1F169), (0x1F170, 0x1F189), (0x1F1E6, 0x1F1FF))


def _within(code: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(first <= code <= last for first, last in ranges)


def _kind(char: str) -> Kind:
    code = ord(char)
    category = unicodedata.category(char)
    if _within(code, _IGNORABLE_RANGES) or category == "Cf" or _within(code, _ACCENT_RANGES):
        return Kind.DROPPED
    if category[0] == "M" or _HANGUL_TAILS[0] <= code <= _HANGUL_TAILS[1]:
        return Kind.MARK
    if category[0] not in "LN":
        return Kind.GAP
    return Kind.ALONE if _within(code, _ALONE_RANGES) else Kind.LETTER


def _spell(char: str) -> str:
    """A decomposed, case folded character as Latin letter or ASCII digit where it passes for one."""
    if char in _LOOK_ALIKES:
        return _LOOK_ALIKES[char]
    if char in _SPELLED_OUT:
        return _SPELLED_OUT[char]
    dressed = _DRESSED.fullmatch(unicodedata.name(char, "")) if not char.isascii() else None
    if dressed is not None:
        return dressed.group(1).lower()
    digit = unicodedata.decimal(char, None)
    return char if digit is None else str(digit)


def _compute(char: str) -> Pieces:
    code = ord(char)
    for first, last in _BOXED_RANGES:
        if first <= code <= last:
            return ((Kind.LETTER, chr(ord("a") + code - first)),)
    if _within(code, _IGNORABLE_RANGES):
        return ((Kind.DROPPED, ""),)
    # Folding may compose or decompose again ("ΐ"), so it stands between two decompositions.
    # A subscript iota stacked on a letter is an accent, though it folds to a letter.
    decomposed = unicodedata.normalize("NFKD", char).replace("\u0345", "")
    decomposed = unicodedata.normalize("NFKD", decomposed.casefold())
    pieces: list[tuple[Kind, str]] = []
    for piece in decomposed:
        spelled = _spell(piece)
        kind = _kind(spelled[0])
        pieces.append((kind, spelled if kind not in (Kind.GAP, Kind.DROPPED) else ""))
    return tuple(pieces) or ((Kind.DROPPED, ""),)


_PIECES: dict[str, Pieces] = {}


def fold_char(char: str) -> Pieces:
    """The pieces that one character is compared by; never empty."""
    known = _PIECES.get(char)
    if known is None:
        known = _compute(char)
        if len(_PIECES) < _CACHE_LIMIT:
            _PIECES[char] = known
    return known


class _OneToOne(dict[int, str]):
    """Table for `str.translate`: gaps become a space, dropped characters DROPPED, anything odd SLOW."""

    def __missing__(self, code: int) -> str:
        pieces = fold_char(chr(code))
        kinds = {kind for kind, _ in pieces}
        folded = "".join(piece for _, piece in pieces)
        if kinds == {Kind.GAP}:
            result = " "
        elif kinds == {Kind.DROPPED}:
            result = DROPPED
        elif kinds <= {Kind.LETTER, Kind.DROPPED} and len(folded) == 1:
            result = folded
        else:
            result = SLOW
        if len(self) < _CACHE_LIMIT:
            self[code] = result
        return result


one_to_one = _OneToOne()
