"""Reads a sentence in another language than English, by its pronouns and its length.

Tables of pronouns, of words for "I" and of what is asked of people; no grammar. A language that leaves the subject out
("¿Dónde nació?") is caught where the question is short.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from guardrail.detectors.reference.pronouns import TOKEN
from guardrail.detectors.reference.values import Gender, Link, Sentence
from guardrail.detectors.reference.words import FUNCTION, listed

_HE = listed(
    "él er ihm ihn sein seine seinen seinem seiner seines il lui lo ele dele hij hem han hans honom он его ему нём него "
    "він його jego jemu niego هو له הוא שלו αυτός 그는 그의 그가 그를"
)
_SHE = listed(
    "ella sie ihr ihre ihren ihrem ihrer elle lei ela dela zij haar hon hennes henne она её ее ей ней неё нее вона її "
    "ona jej niej هي لها היא שלה αυτή 그녀 그녀는 그녀의 그녀가 그녀를"
)
_PERSON = listed(
    "su sus suyo suya son sa ses leur leurs suo sua suoi sue seu seus suas zijn их них им ними onun ona ondan του της वह वे "
    "उसका उसकी उसके उनका उनकी उनके उन्होंने उसने उन्हें उसे ông ấy bà cô dia beliau ia"
)
_I = listed(
    "ich mich mir mein meine meinen meinem meiner yo mi mis me je j'ai moi mon ma mes io mio mia miei eu meu minha ik mijn "
    "я мне мой моя моё мои меня мной ja mój moja mnie ben benim أنا אני मैं मेरा मेरी मुझे saya aku tôi 나는 내 제가 저는"
)
_RELATIONAL = re.compile(
    r"\b(?:nació|murió|esposa|esposo|obras?|libros?|películas?|canciones|canción|geboren|gestorben|verheiratet|ehefrau|ehemann|"
    r"werke?|bücher|filme|lieder|kinder|né|née|mort|épouse|mari|œuvres?|livres?|chansons?|enfants|родился|родилась|умер|"
    r"умерла|жена|муж|книги|фильмы|песни|дети|nato|nata|moglie|marito|opere|libri|nasceu|livros|doğdu|eserleri|lahir)\b"
    r"|出生|去世|妻子|丈夫|作品|代表作|生まれ|亡くな|結婚|结婚|奥さん|続け|继续|还有|那个人|这个人|その人|この人"
    r"|그 사람|계속|태어|जन्म|पत्नी|पति|किताब|ولد|زوجت|كتب|أفلام",
    re.IGNORECASE,
)
_SIGNS = ("他", "她", "彼", "该人", "此人")
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_FRAGMENT_WORDS = 4
_FRAGMENT_CHARS = 5  # of a script without spaces
_RELATIONAL_WORDS = 12
_VAGUE_WORDS = 6
_RELATIONAL_CHARS = 40


def is_foreign(text: str, lowered: Sequence[str]) -> bool:
    """No English function word in it, and something that is not plain English."""
    english = sum(word in FUNCTION for word in lowered)
    if not text.isascii() and sum(char.isalpha() and ord(char) > 0x2AF for char in text) * 2 > len(text):
        return True
    foreign = _HE | _SHE | _PERSON | _I
    signs = sum(word in foreign for word in lowered) + bool(_RELATIONAL.search(text)) + (not text.isascii())
    return signs > 0 and english * 2 < signs + len(lowered) / 2 and english < len(lowered) / 4


def read_foreign(text: str, lowered: Sequence[str], *, anchored: bool, someone: bool) -> Sentence:
    """One sentence. `anchored`, `someone`: the turn has brought a subject, or a person, of its own before it."""
    capitals = [token for token in TOKEN.findall(text)[1:] if token[0].isupper()]
    is_german = any(word in ("der", "die", "das", "und", "wie", "wer", "ist", "ich", "was", "wann") for word in lowered)
    has_name = bool(capitals) and not is_german
    is_vague = not has_name and len(lowered) <= _VAGUE_WORDS and len(text) <= _RELATIONAL_CHARS
    first_i = next((at for at, word in enumerate(lowered) if word in _I), len(lowered))
    for word in lowered[:first_i] if not someone else ():
        if word in _HE | _SHE | _PERSON:
            he, she = word in _HE, word in _SHE
            gender = Gender.HE if he and not she else Gender.SHE if she and not he else Gender.ANY
            return Sentence(link=Link.PERSON, gender=gender, names=has_name, bare=is_vague)
    if any(sign in text for sign in _SIGNS) and not someone:
        return Sentence(link=Link.PERSON, names=has_name, bare=is_vague)
    is_short = len(lowered) <= _RELATIONAL_WORDS and len(text) <= _RELATIONAL_CHARS
    topical = is_short and not has_name and bool(_RELATIONAL.search(text))
    is_packed = bool(_CJK.search(text))
    short = len(text) <= _FRAGMENT_CHARS if is_packed else len(lowered) <= _FRAGMENT_WORDS
    if not anchored and not has_name and first_i == len(lowered) and (topical or short):
        return Sentence(link=Link.NEAREST, topical=topical, bare=True)
    return Sentence(link=Link.OWN, names=has_name, someone=has_name, anchored=True)
