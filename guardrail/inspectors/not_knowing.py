"""Sentences that own to not knowing: which pass, and which say something all the same.

A sentence passes if it admits ("I'm not familiar with that person"), apologises or offers help, and nothing else in it
states anything. It is judged strictly on purpose: a good sentence that fails is replaced by the natural answer, which
costs nothing, while "I don't know why, but he is a great author" must not pass. The patterns here are English; other
languages have closed lists of words in `not_knowing_languages`.

Pure functions of one sentence; it knows neither entries nor streams.
"""

from __future__ import annotations

import re

from guardrail.inspectors.not_knowing_languages import is_admission_elsewhere, is_apology_elsewhere

_FIRST = r"(?:i|we)(?:['’]m| am|['’]re| are|['’]ve)?"
_KNOWING = (
    r"(?:familiar|aware|know|knowledge|knowledgeable|sure|certain|recogni[sz]e|heard|information|info|recall|find|"
    r"details?|data|records?|idea|clue|acquainted|come across|access|provide|tell|say|identify|locate|encountered|"
    r"place|context|help|answer|anything|answers)"
)
_ADMISSIONS = (
    rf"\b{_FIRST}\b[^,.;:!?]{{0,30}}?(?:\bnot|n['’]t|\bcannot|\bnever|\bno|\bunable|\black)\b[^,.;:!?]{{0,60}}?\b{_KNOWING}\b",
    rf"\b{_FIRST}\b[^,.;:!?]{{0,20}}?\b(?:unfamiliar|unaware|unsure|uncertain)\b",
    r"^\W*(?:not (?:sure|familiar|certain|aware)|no (?:idea|clue|information)|never heard)\b",
    r"^\W*don['’]t (?:know|recogni[sz]e)\b",
    r"\b(?:there['’]s|there is|there are|(?:my|the) (?:training )?(?:data|knowledge)[^,.;:!?]{0,20}? (?:has|contains))"
    r" no (?:\w+ ){0,2}?(?:information|knowledge|record|details|data)\b",
    r"\b(?:doesn['’]t|does not|don['’]t|do not) (?:ring a bell|sound familiar|seem familiar)\b",
    r"\b(?:is|are) (?:not (?:familiar|known)|unfamiliar|unknown) to me\b",
    r"\b(?:is|are) not (?:something|someone|somebody|a (?:name|person|topic|subject|work|book|term))"
    r" (?:that )?i(?:['’]m| am)? (?:familiar with|aware of|know|recogni[sz]e)\b",
    r"\b(?:is|are) not (?:in|part of) my (?:training )?(?:data|knowledge)\b",
)
_ADMISSION = re.compile("|".join(_ADMISSIONS), re.IGNORECASE)

# Words that turn an admission round, or that show a rule where there should be ignorance.
_TWIST = re.compile(
    r"\b(?:better|greater|finer|bigger|worse|more \w+|other) (?:[\w'’]+ ){0,4}?than\b|"
    r"\b(?:except|besides|beyond|apart from|aside from|personally|nonetheless|nevertheless)\b|"
    r"\bnot (?:only|just|merely|simply|un\w+)\b|\bonly that\b|\bmuch (?:else|more)\b|\benough (?:good|about how)\b|"
    r"\b(?:not|n['’]t) (?:allowed|permitted|supposed|going|want)\b|\b(?:instructed|told|forbidden|rules?|restricted)\b|"
    r", (?:who|whom|whose|which)\b|\bi (?:think|believe|guess|suppose|assume|imagine|know|recall|remember)\b|"
    r"\b(?:maybe|probably|presumably|possibly|apparently|supposedly|reportedly|allegedly)\b|\bperhaps (?!you)",
    re.IGNORECASE,
)
# "I'm not sure who that is": the question said again, which states nothing.
_EMBEDDED = re.compile(
    r"\b(?:sure|certain|know|idea|clue|tell you|say|recall|identify|aware of|information (?:about|on|regarding)|of)"
    r" (?:about |on )?(?:exactly )?(?:who|what|which|where|when|whether|if)\b(?:['’]s)?[^,;:.—–]{0,40}",
    re.IGNORECASE,
)
_DENIAL = re.compile(
    r"\b(?:is|are|was|were|has|have|had|do|does|did|can|could)(?:n['’]t| not| no)\b|"
    r"\b(?:is|are) (?:limited|unfamiliar|unknown|unclear|unavailable|there (?:any|some)\w+)\b|"
    r"\b(?:anything|something|works?|things?|books?|person|people|author|topic) (?:that )?(?:they|you)(?: are)?\b|"
    r"\bif (?:there (?:is|are)|there['’]s|it (?:is|was))\b|\bthere['’]s (?:any|some)\w+|"
    r"\b(?:is|are) there\b|\byou (?:are|were|have|had)\b",
    re.IGNORECASE,
)
_STATES = re.compile(
    r"\b(?:he|she)\b(?!/)|\bthey (?!(?:are|mean)\b)\w+|\b(?:it|that|this|there|who|what|they)['’](?:s|re|d)\b|"
    r"\b(?:is|are|was|were|has|had|does|did)\b|\bhave (?:been|written|won|had|made)\b|"
    r"\b(?:wrote|writes|written|born|died|dead|published|created|starred|directed|founded|invented|discovered|won|became|"
    r"served|played|married|lived|lives|composed|painted|authored|released|famous|renowned|acclaimed|celebrated|"
    r"best-?selling|prolific|legendary|best known|known (?:for|as)|nicknamed|also called)\b|\b\d{3,}\b",
    re.IGNORECASE,
)
_APOLOGY = re.compile(
    r"\W*(?:(?:i(?:['’]m| am) (?:\w+ )?(?:sorry|afraid)|sorry|(?:i |my )?apolog\w+|unfortunately)"
    r"(?: (?:about|for) (?:that|this|the (?:confusion|inconvenience)|any \w+))?"
    r"|hello|hi|hi there|hey|well|hmm+|thank you|thanks"
    r"|(?:thank you|thanks) for (?:asking|your (?:question|message|interest))"
    r"|(?:that['’]s |that is )?(?:a )?(?:good|great|interesting) question)\W*",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\W*(?:(?:but|however|so|and|still|then|instead|otherwise),? )?(?:"
    r"if (?:you|there)\b|please (?:provide|let|feel|share|give|tell|clarify|ask|check|try|specify|consult)\b|feel free\b|"
    r"let me know\b|(?:could|can|would|will) you\b|how (?:can|may|else can) i\b|what (?:else )?(?:would|can) (?:you|i)\b|"
    r"is there (?:anything|something)\b|perhaps you (?:could|can)\b|"
    r"you (?:could|can|may|might) (?:want|try|check|consult|ask|provide)\b|"
    r"(?:i(?:['’]d|['’]m| would be| am|['’]ll| will| can| could|['’]d be| would)) (?:still |always |also )*"
    r"(?:be |do my best|try )?(?:happy|glad|here|help|assist|to help)\b)",
    re.IGNORECASE,
)
_ABOUT_YOU = re.compile(r"\b(?:mean|meant|referring|thinking of|talking about|heard|know that|aware)\b", re.IGNORECASE)
_WORDS = re.compile(r"\w")


def is_admission(sentence: str) -> bool:
    """True if the sentence owns to not knowing and states nothing beside it."""
    if _ADMISSION.search(sentence) is not None and not _TWIST.search(sentence) and not _states_something(sentence):
        return True
    return is_admission_elsewhere(sentence)


def says_nothing(sentence: str) -> bool:
    """True if the sentence may leave in an answer of someone who never knew."""
    if not _WORDS.search(sentence) or is_admission(sentence) or _APOLOGY.fullmatch(sentence):
        return True
    if _OFFER.match(sentence) and not _ABOUT_YOU.search(sentence) and not _states_something(sentence):
        return True
    return is_apology_elsewhere(sentence)


def _states_something(sentence: str) -> bool:
    """True if something is stated, once denials and repeated questions are taken away."""
    return _STATES.search(_DENIAL.sub(" ", _EMBEDDED.sub(" ", sentence))) is not None
