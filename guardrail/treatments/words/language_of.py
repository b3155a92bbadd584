"""Which of the languages that natural answers are written in a text is in; English wherever that is not clear.

    most letters in another script   -> the language that writes so, unless its letters or words tell of another one
    Latin script                     -> function words and letters: the best language, if it has enough and English has few

The answer to a Bulgarian, Persian or Swedish question is English: there are no words for it here, and a near language
would be worse. A short text ("Stephen King?") or a mixed one ("Translate: wer ist das?") is English too.
`retrieval.text.language` asks another question (is any clause not English?) and does not tell near languages apart; its
verdict is heard where it knows a language that is not spoken here. Long texts are read at both ends.
"""

from __future__ import annotations

import re

from retrieval.text.language import ENGLISH, OTHER_SCRIPT, UNKNOWN, guess_language

LANGUAGES = ("en", "de", "fr", "es", "it", "pt", "nl", "pl", "ru", "uk", "zh", "ja", "ko", "ar", "hi", "tr")

_END_CHARS = 1_000
_SCRIPT_SHARE = 0.5
_LEAST_SCRIPT_LETTERS = 3
_LEAST_SIGNS = 2
_SIGN_LETTERS = 3  # a sign says about as much as three letters
_ENOUGH = 2.0
_TELLING_WEIGHT = 2.0
_LETTER = 0.75  # names carry accents into any language
_ENGLISH_SHARE = 0.5

_SCRIPTS = {
    "kana": re.compile("[\u3041-\u30ff\u31f0-\u31ff]"),
    "han": re.compile("[\u3400-\u4dbf\u4e00-\u9fff]"),
    "hangul": re.compile("[\uac00-\ud7af\u1100-\u11ff]"),
    "cyrillic": re.compile("[\u0400-\u04ff]"),
    "arabic": re.compile("[\u0620-\u064a\u066e-\u06d3]"),
    "devanagari": re.compile("[\u0900-\u0963]"),
}
_SIGNS = ("kana", "han", "hangul")
_WORD = re.compile(r"[^\W\d_]+")
_SPACED_WORD = re.compile(r"[^\s.,;:!?।]+")

_NOT_UKRAINIAN = re.compile("[ўыэёъђјљњћџѓќѕ]")
_NOT_RUSSIAN = re.compile("[ўіїєґђјљњћџѓќѕәғқңөұүһӣӯҷ]")
_NOT_ARABIC = re.compile("[پچژگکیہھےٹڈڑںۀېۇ]")
_RUSSIAN_WORDS = (
    "кто что чем ком такой такая такое такие какой какая какое какие когда где почему сколько чей куда этот этом "
    "расскажи расскажите напиши объясни скажи его если ты мне"
)
_UKRAINIAN_WORDS = (
    "хто що такий така таке який яка яке коли де чому скільки чий куди цей ця це про розкажи розкажіть напиши написав "
    "поясни скажи його якщо ти"
)
_NOT_HINDI_WORDS = "आहे आहेत आणि कोण कोणी काय छ छन् हो र थियो"
_UKRAINIAN = frozenset(_UKRAINIAN_WORDS.split())
_RUSSIAN = frozenset(_RUSSIAN_WORDS.split())
_NOT_HINDI = frozenset(_NOT_HINDI_WORDS.split())

# A word that only one of these languages asks or tells with says as much as two function words.
_TELLING_WORDS = {
    "de": "wer wen wem wessen wann welche welcher welches welchen warum erzähl erzähle erkläre wieso geschrieben",
    "fr": "qui quel quelle quels quelles où quand pourquoi combien parle parlez raconte expliquez explique écrit",
    "es": "quién quiénes quien qué cuál cuáles dónde cuándo cuándo cómo cuántos háblame cuéntame dime escribió explica",
    "it": "chi cosa quali dove quando perché quanti parlami dimmi raccontami spiegami scritto spiega",
    "pt": "quem quais onde quando quantos fale conte explique escreveu diga você",
    "nl": "wat wanneer waar welke waarom hoeveel vertel schreef geschreven leg",
    "pl": "kto kiedy gdzie jaki jaka jakie dlaczego ile napisał napisała opowiedz powiedz kim wyjaśnij",
    "tr": "kimdir nedir nerede nasıl neden kaç hangi anlat yazdı söyle açıkla ne",
}
_FUNCTION_WORDS = {
    "de": "der die das den dem des ein eine einen einem einer und ist war sind hat haben wurde was wie wo über von vom zu "
    "zum zur im in auf aus bei nach mit für sein seine ihr ihre nicht auch mir du ich er sie es bitte buch bücher",
    "fr": "le la les de des du un une et est était sont a ont été que dans sur par pour avec au aux ce cette son sa ses il "
    "elle moi pas ne je tu livre livres roman ville né née c d l qu",
    "es": "el la los las de del un una y es fue son era ha que en por para con sobre su sus se al lo como más me libro "
    "libros ciudad nació está",
    "it": "il lo la i gli le di del della dei un una e è era sono ha hanno che in per con su suo sua mi al nel nella come "
    "libro libri città nato nata più",
    "pt": "o a os as de do da dos das um uma e é foi são era tem que em no na por para com sobre seu sua se ao me como "
    "livro livros cidade nasceu não mais qual",
    "nl": "de het een en is was zijn heeft wie hoe van voor op aan in uit bij met over mij me je ik zij hij niet ook dat "
    "die boek boeken geboren stad dan",
    "pl": "jest są był była było w we na z ze do o od i a się nie to tego tej jego jej mi co jak czy dla przez książka "
    "książki książkę urodził urodziła",
    "tr": "ve bir bu şu için ile olan mı mi mu mü bana onun kitap kitabı kitapları kim hakkında nın nin doğdu yaşıyor",
}
_ENGLISH_WORDS = (
    "the of and to in is was are were what which who whom whose when where why how did does do has have had that this for "
    "with on at by from about tell me please write give explain translate i you he she it they an be can could would not "
    "english answer question following if or as so"
)
# Words that English has too ("was", "is", "die") tell only in company.
_TELLING_PAIRS = {
    "de": re.compile(r"\bwas (?:ist|hat|war|wurde|weißt|kannst|sind|macht)\b|\bwie heißt\b"),
    "nl": re.compile(r"\bwie (?:is|was|heeft|zijn)\b"),
    "pt": re.compile(r"\bo que (?:é|foi|você)\b"),
}
_LETTERS = {
    "de": "äöüß",
    "fr": "éèêëàâçîïôûùœ",
    "es": "ñ¿¡áéíóú",
    "it": "àèéìòù",
    "pt": "ãõçáâéêíóôú",
    "pl": "ąćęłńóśźż",
    "tr": "ğışçöü",
}
_TELLING = {code: frozenset(words.split()) for code, words in _TELLING_WORDS.items()}
_FUNCTION = {code: frozenset(words.split()) for code, words in _FUNCTION_WORDS.items()}
_ENGLISH = frozenset(_ENGLISH_WORDS.split())


def language_of(text: str) -> str:
    """One of `LANGUAGES`."""
    if len(text) > 2 * _END_CHARS:
        text = f"{text[:_END_CHARS]} {text[-_END_CHARS:]}"
    return (_of_script(text) if not text.isascii() else None) or _of_words(text)


def _of_script(text: str) -> str | None:
    """The language of a text that is mostly in another script; None for Latin script."""
    counts = {script: len(pattern.findall(text)) for script, pattern in _SCRIPTS.items()}
    letters = len("".join(_WORD.findall(text)))
    signs = sum(counts[script] for script in _SIGNS)
    weight = letters + signs * (_SIGN_LETTERS - 1)
    if signs >= _LEAST_SIGNS and signs * _SIGN_LETTERS > _SCRIPT_SHARE * weight:
        if counts["hangul"] * 2 > signs:
            return "ko"
        return "ja" if counts["kana"] else "zh"
    for script in ("cyrillic", "arabic", "devanagari"):
        if counts[script] >= _LEAST_SCRIPT_LETTERS and counts[script] > _SCRIPT_SHARE * letters:
            return _of_alphabet(script, text.lower())
    return None


def _of_alphabet(script: str, text: str) -> str:
    if script == "arabic":
        return ENGLISH if _NOT_ARABIC.search(text) else "ar"
    if script == "devanagari":
        return ENGLISH if set(_SPACED_WORD.findall(text)) & _NOT_HINDI else "hi"
    words = set(_WORD.findall(text))
    russian = bool(re.search("[ыэё]", text)) + len(words & _RUSSIAN)
    ukrainian = bool(re.search("[іїєґ]", text)) + len(words & _UKRAINIAN)
    if ukrainian > russian:
        return ENGLISH if _NOT_UKRAINIAN.search(text) else "uk"
    return "ru" if russian and not _NOT_RUSSIAN.search(text) else ENGLISH


def _of_words(text: str) -> str:
    """The language of a text in Latin script."""
    lowered = text.replace("İ", "i").lower()
    words = set(_WORD.findall(lowered))
    scores = {code: _score(code, telling, words, lowered) for code, telling in _TELLING.items()}
    (best, score), (_, second) = sorted(scores.items(), key=lambda pair: -pair[1])[:2]
    if score < _ENOUGH or score == second or len(words & _ENGLISH) > _ENGLISH_SHARE * score:
        return ENGLISH
    heard = guess_language(text)
    return best if heard in (ENGLISH, OTHER_SCRIPT, UNKNOWN, *LANGUAGES) else ENGLISH


def _score(code: str, telling: frozenset[str], words: set[str], text: str) -> float:
    told = len(words & telling)
    common = len((words & _FUNCTION[code]) - telling - _ENGLISH)
    told += code in _TELLING_PAIRS and _TELLING_PAIRS[code].search(text) is not None
    letters = any(letter in text for letter in _LETTERS.get(code, ""))
    return told * _TELLING_WEIGHT + common + letters * _LETTER
