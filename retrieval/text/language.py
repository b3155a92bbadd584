"""A cheap guess whether a text is in the default embedder's language, English, or in another.

    any clause mostly in another script              -> other
    Latin script: function words of another language -> other, if they outweigh the English ones of their clause
    anything else, and whatever is too short to tell -> English

A wrong "other" costs one slow embedding and a wrong "English" a chance to find a paraphrase, so the guess needs two
pieces of evidence and then does not hesitate. Every clause is looked at by itself: a foreign question must not drown
in an English wrapper. It does not know entries or embedders, and does not tell near languages apart: the code it gives
is the best guess for a log or a table. Words that English uses often ("die", "no", "was") count for no other language.
Linear in the text; about 10 us for 200 characters, 16 us where letters have accents.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

ENGLISH = "en"
OTHER_SCRIPT = "script"
UNKNOWN = "other"
"""Letters no English word has, but no known function words."""

_ENOUGH = 2.0
_QUESTION_WORD = 2.0  # "quién" is Spanish and asks: enough, unless two English words stand beside it
_FOREIGN_LETTERS = 0.5  # names and loan words carry accents in English too
_SCRIPT_SHARE = 0.3
_SHORTEST_SCRIPT_LETTERS = 2
_IDEOGRAPH_LETTERS = 3  # one ideograph says as much as about three letters

_CLAUSE_END = re.compile(r"[.!?;:\n。！？؟।]+")
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
_IDEOGRAPHS = "\u2e80-\u2fdf\u3040-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
_IDEOGRAPH = re.compile(f"[{_IDEOGRAPHS}]")
# Greek to Mongolian without the Latin phonetic block, Greek extended, and the blocks of presentation forms. Emoji and
# mathematical letters are no script.
_OTHER_LETTER = re.compile(
    f"[\u0370-\u1cff\u1f00-\u1fff\ua000-\ua6ff\ufb1d-\ufdff\ufe70-\ufefc\uff66-\uffdc{_IDEOGRAPHS}]"
)
_SPANISH_MARKS = ("¿", "¡")

_FUNCTION_WORDS: Mapping[str, str] = {
    "es": "el la los las de del en que con por para una un su sus fue es se al lo más como pero está este esta "
    "qué cuál cuáles quién quiénes dónde cuándo cómo cuánto cuántos cual quien cuando donde cuanto nació año "
    "años entre sobre desde hasta muy también según durante llama nombre ciudad película canción hizo "
    "tuvo ha",
    "pt": "os as de da das do dos em que com por para uma um seu sua foi é se ao à mais como mas está este esta "
    "são qual quais quem onde quando quantos nasceu ano anos entre sobre desde até muito sem também pelo "
    "pela na nas nos não nome cidade filme música fez teve ele ela",
    "fr": "le la les de des du et en un une est dans que qui pour par sur au aux avec sa ses il elle ce cette "
    "qu'il quel quelle quels quelles où quand comment combien pourquoi né née été était ans année entre "
    "depuis pas ne ont sont être d'un d'une l'on qu'est s'est n'a-t comme mais leur leurs nom ville chanson "
    "quoi dont",
    "it": "il lo la gli le di del della dello dei delle in che con per una uno un suo sua è stato nel nella nelle "
    "si al alla qual quale quali chi dove quando quanti cosa nato nata anno anni tra sul sulla più non anche "
    "ha sono nome città canzone dal dalla ed",
    "de": "der das und ist dem den des ein eine einen einem einer eines mit für von vom zu zum zur im auf aus bei "
    "nach wer wen wem wessen wann wo wie welche welcher welches welchen welchem warum wieviel wurde wird "
    "haben sein seine seiner ihr ihre sich nicht als auch über unter geboren jahr jahre film stadt heißt sie "
    "er es ich wir bitte ersten",
    "nl": "het een en van met voor op aan zijn haar hij zij ze wordt werd naar uit bij ook niet maar als dat deze "
    "dit te wie wat wanneer waar welke hoe waarom hoeveel geboren jaar stad heeft om door over tot er de",
    "sv": "och att det en ett som på är av för med den inte till om han hon från var vad när vem vilken vilket "
    "vilka hur varför född år blev hade sina eller efter under",
    "da": "og at det en et som på er af for med den ikke til om han hun fra var hvad hvornår hvem hvilken hvilket "
    "hvilke hvor hvordan hvorfor født år blev havde sine eller efter ved",
    "pl": "na do jest się nie że od po przez dla był była było jego jej jako oraz przy który która które kto kiedy "
    "gdzie jak jaki jaka jakie ile dlaczego czy kim czym urodził urodziła roku lat co za",
    "cs": "na se je že do od byl byla bylo jeho její jako který která které kdo kdy kde jak jaký jaká jaké proč "
    "kolik co narodil narodila roce není ve při po",
    "ro": "și în de la cu din pe un este care pentru mai nu se al ale lui sa său ce cine când unde cum cât câți "
    "născut anul ani fost prin după între sau",
    "hu": "az és egy hogy nem is volt ki mi mikor hol hogyan melyik mennyi hány milyen született évben szerint meg "
    "vagy mint után című",
    "fi": "ja on oli ei että se hän joka mikä mitä kuka milloin missä miten miksi kuinka syntyi vuonna ovat sen "
    "hänen kanssa mutta myös",
    "tr": "ve bir bu için ile olan olarak da de mi mı mu mü ne kim nerede nasıl neden kaç hangi zaman doğdu "
    "yılında kimdir nedir sonra kadar daha çok onun adı yıl ilk",
    "vi": "và của là có trong được cho với các những một này người khi không đã từ đến ai gì nào đâu sao bao nhiêu "
    "năm sinh tên ông bà anh ở ra về tại",
    "id": "yang dan di dari untuk dengan pada adalah ini itu dalam tidak oleh sebagai akan siapa apa kapan mana "
    "dimana bagaimana mengapa berapa lahir tahun nama kota lagu ke atau telah dia ia karena",
    "tl": "ang ng mga sa na ay si ni kay sino ano kailan saan paano bakit ilan ipinanganak taon niya siya ito may",
    "sw": "ya wa na kwa ni katika la za cha nani nini lini wapi vipi gani alizaliwa mwaka jina kuwa yake",
}
_ENGLISH = (
    "the of and to in is was were are be been am what which who whom whose when where why how did does do done has have "
    "had that this these those with for on at by from as it its his her hers he she they them their him an or not but "
    "about tell name give please write answer can could would should will shall may might must there you your i me my "
    "we our us if then than so no yes into over after before between during while also only more most some any all each "
    "one two first many much other such own up out off very just because through under again both few same don't isn't "
    "it's i'm explain describe provide list find make use used using following english called known respond"
)
_QUESTIONS = (
    "qué cuál cuáles quién quiénes dónde cuándo cómo cuánto cuántos quien cuando cuanto qual quais quem onde quantos quel "
    "quelle quels quelles où quand combien pourquoi quali quale quanti wer wem wessen wann welche welcher welches "
    "welchen welchem warum wieviel wanneer waar welke waarom hoeveel vad när vem vilken vilket vilka varför hvad "
    "hvornår hvem hvilken hvilket hvilke hvordan hvorfor kto kiedy gdzie jaki jaka jakie dlaczego kdo kdy kde jaký "
    "jaká proč kolik când unde mikor hogyan melyik hány kuka milloin missä miten miksi nerede nasıl neden kaç "
    "hangi siapa kapan bagaimana mengapa berapa kailan saan paano "
)
_ENGLISH_WORDS = frozenset(_ENGLISH.split())
_ASKING = frozenset(_QUESTIONS.split())


@dataclass(frozen=True, slots=True)
class _Evidence:
    weight: float
    codes: tuple[str, ...]


def _evidence_by_word() -> dict[str, _Evidence]:
    found: dict[str, list[str]] = {}
    for code, words in _FUNCTION_WORDS.items():
        for word in set(words.split()) - _ENGLISH_WORDS:
            found.setdefault(word, []).append(code)
    return {word: _Evidence(_QUESTION_WORD if word in _ASKING else 1.0, tuple(codes)) for word, codes in found.items()}


_EVIDENCE = _evidence_by_word()


def is_english(text: str) -> bool:
    """True if no clause of `text` is clearly in another language."""
    return guess_language(text) == ENGLISH


def guess_language(text: str) -> str:
    """`en`, or of the first clause that is clearly not English its likely code, `script` or `other`."""
    if text.isascii():
        # Most English texts hold too few words of the table, whatever their clauses.
        known = (_EVIDENCE.get(word) for word in _WORD.findall(text.lower()))
        if sum(evidence.weight for evidence in known if evidence is not None) < _ENOUGH:
            return ENGLISH
    elif any(mark in text for mark in _SPANISH_MARKS):
        return "es"
    for clause in _CLAUSE_END.split(text):
        if not clause.isascii() and _is_other_script(clause):
            return OTHER_SCRIPT
        code = _of_clause(clause)
        if code != ENGLISH:
            return code
    return ENGLISH


def _is_other_script(clause: str) -> bool:
    other = len(_OTHER_LETTER.findall(clause))
    if other < _SHORTEST_SCRIPT_LETTERS:
        return False
    other += len(_IDEOGRAPH.findall(clause)) * (_IDEOGRAPH_LETTERS - 1)
    return other >= _SCRIPT_SHARE * sum(map(len, _WORD.findall(clause)))


def _of_clause(clause: str) -> str:
    """By the function words of Latin-script languages; accented words that are not capitalised count a little."""
    english = 0.0
    accented = 0.0
    found: dict[str, float] = {}
    for written in dict.fromkeys(_WORD.findall(clause)):
        word = written.lower().replace("’", "'")
        evidence = _EVIDENCE.get(word)
        if evidence is not None:
            for code in evidence.codes:
                found[code] = found.get(code, 0.0) + evidence.weight
        elif word in _ENGLISH_WORDS:
            english += 1.0
        elif not written.isascii() and not written[0].isupper():
            accented += _FOREIGN_LETTERS
    best = max(found, key=found.__getitem__, default=UNKNOWN)
    total = found.get(best, 0.0) + accented
    return best if total >= _ENOUGH and total > english else ENGLISH
