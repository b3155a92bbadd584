"""Reads the names of its subject in an opening sentence: "Robert Craig Vale (born Roberto Valle; 1938), known
professionally as Bobby Vale, was ...".

It does not know entries: it says who the sentence is about and what else it calls him, and how surely. Patterns are
English; names in other scripts are taken from the brackets behind the subject.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from retrieval.memory.name_runs import fold, is_other_script, name_at, name_end, without_ends
from retrieval.text.views import sentences


class Naming(StrEnum):
    """How a sentence comes to a name."""

    SUBJECT = "subject"  # the sentence is about it
    BIRTH = "birth"  # born so, or in full
    MAIDEN = "maiden"  # with the family name of former days
    KNOWN_AS = "known_as"  # a stage name, pen name or other usual name
    NICKNAME = "nickname"  # what one is dubbed; shared and playful
    SCRIPT = "script"  # the name in another script or romanisation


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """A name and how the sentence came to it."""

    text: str
    naming: Naming


@dataclass(frozen=True, kw_only=True, slots=True)
class Opening:
    """The subject of a sentence and its other names, in their order. `is_defining`: it says what the subject is."""

    subject: str
    others: tuple[Named, ...]
    is_defining: bool


_OPENING_CHARS = 700
_BRACKETED = re.compile(r"\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)")
_MIDDLE_NICKNAME = re.compile(r"[\"“]([^\"”]{1,30})[\"”]")
_COPULA = re.compile(r"\s*,?\s*(?:is|was|are|were)\b|\s*:\s", re.IGNORECASE)
_OF_LIFE = re.compile(r"\b(?:born|b\.|c\.|née|né|died)\b|\b\d{3,4}\b", re.IGNORECASE)
_STAGE = r"(?:stage|ring|pen|screen|professional|rap|artist|birth|full|real|legal|given)"
_SURE = r"(?:also|better|professionally|mononymously|simply|commonly|formerly|originally|popularly|usually|often)"
_AS_NAME = rf"(?:(?:his|her|their|its|the)\s+(?:{_STAGE}\s+)?(?:name|pseudonym|alias|moniker)\s+)?"
_KNOWN_AS = re.compile(
    rf",?\s*(?:who\s+(?:is|was)\s+)?(?:{_SURE}\s+)*known\s+(?:(?:{_SURE}|to\s+\w+)\s+)*(?:as|by)\s+{_AS_NAME}",
    re.IGNORECASE,
)
_OR_ALSO = re.compile(r",?\s*(?:or\s+simply|or|also(?:\s+called)?|aka|a\.k\.a\.|alias|called)\s+", re.IGNORECASE)
_BORN = re.compile(r",?\s*(?:born|né|née)\s+(?:as\s+)?", re.IGNORECASE)
_DUBBED = re.compile(
    r"\b(?:nicknamed|dubbed|hailed\s+as|(?:referred\s+to|known|called|billed|renowned|regarded)\s+as)\s+(?:the\s+)?"
    r"[\"“]([^\"”]{2,40})[\"”]|\bby\s+(?:his|her|their)\s+nickname\s+([^,;.]{2,30})",
    re.IGNORECASE,
)
_PEN_NAME = re.compile(
    rf"\b(?:pseudonyms?|pen\s+names?|nom\s+de\s+plume|{_STAGE}\s+names?)\s+(?:is\s+|was\s+|of\s+|as\s+)?", re.IGNORECASE
)
_MAIDEN = re.compile(r"(?:née|nee|formerly|previously)\s+", re.IGNORECASE)
_LABEL = re.compile(r"[A-Z][\w ]{2,24}:\s*")
_ROMANISED = re.compile(r"(?:hanyu pinyin|pinyin|romani[sz]ed|transliterated)(?:\s+as)?:?\s*", re.IGNORECASE)
_FAMILY = re.compile(
    r"\b(?:son|daughter|sister|brother|wife|husband|father|mother|cousin|nephew|niece|friend|fan|biograph\w+)\b", re.I
)


def read_opening(text: str, known: Sequence[str] = ()) -> Opening | None:
    """The subject that `text` begins with, and its names; None where it does not begin with the name of its subject.

    `known`: names that are taken as a whole where the text begins with one ("Lena, Countess of Ven").
    """
    head = text.lstrip()[:_OPENING_CHARS]
    end = max([name_end(head), *(len(name) for name in known if head.startswith(name))])
    if not end:
        return None
    subject, rest = " ".join(head[:end].split()), head[end:]
    others: list[Named] = []
    nickname = _MIDDLE_NICKNAME.search(subject)
    if nickname:
        others.append(Named(text=nickname.group(1), naming=Naming.NICKNAME))
        subject = " ".join(_MIDDLE_NICKNAME.sub(" ", subject).split())
    has_life = False
    bracket = _BRACKETED.match(rest)
    if bracket:
        others += _in_brackets(bracket.group(1), subject)
        has_life = bool(_OF_LIFE.search(bracket.group(1)))
        rest = rest[bracket.end() :]
    behind, rest = _behind_subject(rest, subject)
    others += behind
    is_defining = (has_life or bool(_COPULA.match(rest))) and _FAMILY.search(rest[:80]) is None
    if not (is_defining or has_life or behind):
        return None
    said = _first_sentence(rest)
    others += [Named(text=" ".join((m[1] or m[2]).split()), naming=Naming.NICKNAME) for m in _DUBBED.finditer(said)]
    return Opening(subject=subject, others=_each_once(others), is_defining=is_defining)


def _first_sentence(text: str) -> str:
    first = next(iter(sentences(text)), None)
    return text[first.start : first.end] if first is not None else ""


def pen_names(sentence: str) -> list[str]:
    """Names after "pseudonym", "pen name", "stage name" and the like, anywhere in a sentence."""
    found = []
    for match in _PEN_NAME.finditer(sentence):
        name = name_at(sentence[match.end() :])
        if name:
            found.append(name)
    return found


def _behind_subject(rest: str, subject: str) -> tuple[list[Named], str]:
    """Names in the clauses right behind the subject, and what follows them."""
    found: list[Named] = []
    for _ in range(4):
        for pattern, naming in ((_KNOWN_AS, Naming.KNOWN_AS), (_BORN, Naming.BIRTH), (_OR_ALSO, Naming.KNOWN_AS)):
            match = pattern.match(rest)
            quoted = match and _MIDDLE_NICKNAME.match(rest, match.end())
            if match and quoted:
                found.append(Named(text=quoted.group(1), naming=Naming.NICKNAME))
                rest = rest[quoted.end() :]
                break
            name = name_at(rest[match.end() :]) if match else ""
            if match and name:
                found.append(Named(text=name, naming=naming))
                rest = rest[match.end() + name_end(rest[match.end() :]) :]
                bracket = _BRACKETED.match(rest)
                if bracket:
                    found += _in_brackets(bracket.group(1), subject)
                    rest = rest[bracket.end() :]
                break
        else:
            return found, rest
    return found, rest


def _in_brackets(text: str, subject: str) -> list[Named]:
    """Names between the brackets behind a subject."""
    found: list[Named] = []
    for part in re.split(r"[;,]", text):
        piece = part.strip()
        born, maiden, roman = _BORN.match(piece), _MAIDEN.match(piece), _ROMANISED.match(piece)
        if maiden and (name := name_at(piece[maiden.end() :])):
            before = " ".join(without_ends(subject).split()[:-1])
            found.append(Named(text=f"{before} {name}".strip(), naming=Naming.MAIDEN))
        elif born and (name := name_at(piece[born.end() :])):
            found.append(Named(text=name, naming=Naming.BIRTH))
        elif roman and (name := name_at(piece[roman.end() :])):
            found.append(Named(text=name, naming=Naming.SCRIPT))
        else:
            plain = _LABEL.sub("", piece, count=1).strip()
            if plain and is_other_script(plain) and len(plain) <= 40:
                found.append(Named(text=plain, naming=Naming.SCRIPT))
            elif piece == name_at(piece) and len(piece.split()) >= 3:
                found.append(Named(text=piece, naming=Naming.BIRTH))
    return found


def _each_once(found: list[Named]) -> tuple[Named, ...]:
    return tuple({(fold(one.text), one.naming): one for one in reversed(found) if fold(one.text)}.values())[::-1]
