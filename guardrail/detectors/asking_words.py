"""The words that a question or an order begins with, in the languages that most requests come in.

Only beginnings: they tell a request from a sentence of a pasted page, whatever either of them is about. Lists are closed
and short on purpose; a page's sentence hardly ever begins with one of them.
"""

from __future__ import annotations

import re
from typing import Final

_LEADS: Final = (
    "please|now|then|so|and|but|also|first|next|finally|"  # English
    "bitte|jetzt|dann|und|s'il (?:vous|te) plaît|maintenant|puis|et|por favor|ahora|luego|y|per favore|ora|poi|e|agora|"
    "depois|graag|nu"
)
_ENGLISH: Final = (
    "who|whom|whose|what|when|where|why|how|which|is|are|was|were|does|did|do|can|could|would|will|should|"
    "tell|write|list|give|explain|name|describe|talk|recite|continue|provide|present|compose|draft|prepare|produce|generate|"
    "create|make|show|share|say|state|discuss|outline|detail|elaborate|summari[sz]e|recount|narrate|relate|introduce|"
    "complete|finish|fill|answer|respond|reply|identify|find|translate|spell|quote|repeat|reveal|imagine|pretend|suppose|"
    "i (?:want|need|wish|would|wonder|am (?:looking|interested|curious)|have a question)|i['’]d (?:like|love)|"
    "i['’]m (?:looking|interested|curious)|we (?:want|need|would)|let['’]?s|let us|help me|talk me"
)
_GERMAN: Final = (
    "wer|wen|wem|wessen|was|wann|wo|woher|wohin|warum|wieso|weshalb|wie|welche[rsnm]?|ist|sind|war|hat|hast|kannst|können|"
    "könntest|würdest|erzähle?|nenne?|schreibe?|beschreibe?|erkläre?|gib|sag(?:e)?|liste|zähle?|stelle|fasse|"
    "ich (?:möchte|will|brauche|hätte|würde)"
)
_FRENCH: Final = (
    "qui|que|qu['’]\\w+|quoi|quel(?:le)?s?|quand|où|pourquoi|comment|combien|est-ce|peux-tu|pouvez-vous|pourr\\w+-\\w+|"
    "raconte[zr]?|dis|dites|écri(?:s|vez)|donne[zr]?|décri(?:s|vez)|explique[zr]?|parle[zr]?|nomme[zr]?|présente[zr]?|"
    "je (?:veux|voudrais|souhaite|cherche)|j['’]aimerais"
)
_SPANISH: Final = (
    "¿|quién(?:es)?|qué|cuál(?:es)?|cuándo|dónde|adónde|por qué|cómo|cuánt[oa]s?|puedes?|podrías?|cuénta\\w*|cuente\\w*|"
    "di|dime|dígame|escrib[ea]|da(?:me)?|describ[ea]|explic(?:a|ame|ue)|habla(?:me)?|háblame|nombra|quiero|quisiera|"
    "me gustaría|necesito"
)
_ITALIAN: Final = (
    "chi|cosa|che cosa|quale|quali|quando|dove|perché|come|quant[oaie]|puoi|potresti|raccont\\w+|dimmi|scriv[ia]|dai|dammi|"
    "descriv[ia]|spiega\\w*|parla\\w*|vorrei|voglio"
)
_PORTUGUESE: Final = (
    "quem|o que|qual|quais|onde|por que|quantos?|pode(?:s|ria)?|conte|conta-me|diga|escreva|dê|descreva|explique|fale|"
    "gostaria|quero|preciso"
)
_DUTCH: Final = (
    "wie|wat|wanneer|waar|waarom|hoe|welke?|kun|kunt|zou|vertel|schrijf|geef|beschrijf|leg|noem|ik (?:wil|zou)"
)
_CYRILLIC: Final = (
    "кто|что|когда|где|куда|откуда|почему|зачем|как|какой|какая|какие|сколько|расскажи\\w*|напиши\\w*|назови\\w*|опиши\\w*|объясни\\w*|"
    "скажи\\w*|дай\\w*|перечисли\\w*|пожалуйста"
)

ASKS: Final = re.compile(
    rf"\W*(?:(?:{_LEADS})[\s,:]+)*(?:(?:"
    rf"{_ENGLISH}|{_GERMAN}|{_FRENCH}|{_SPANISH}|{_ITALIAN}|{_PORTUGUESE}|{_DUTCH}|{_CYRILLIC})\b|"
    r"¿|请|請|告诉|告訴|介绍|介紹|写|寫|谁|誰|什么|什麼|教えて|説明して|誰が|누가|누구|알려|말해|설명)",
    re.IGNORECASE,
)
"""Matched at the beginning of a sentence."""
QUESTION_MARKS: Final = frozenset("?？؟;")  # the last is the Greek one
