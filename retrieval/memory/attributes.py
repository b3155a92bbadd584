"""Finds in a text what must match exactly: dates, years, amounts, mail addresses, phone numbers, codes, birthplaces.

Two people can share a sentence but not a birthday: "the author born in Seoul on 05/11/1991" is another one than the author
born there on 02/03/1980, however near the texts lie. Dates are ISO 8601 with what is known ("1991-05-11", "1991-05",
"--05-11"); a numeric date of which day and month cannot be told apart carries both readings. It does not know entries,
embeddings or scores. Month names are English, German, French, Spanish, Italian and Portuguese.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from typing import Literal

from retrieval.text.views import normalise

AttributeKind = Literal["date", "birthdate", "year", "amount", "email", "phone", "code", "birthplace"]

_MONTHS = (
    "january januar janvier enero gennaio janeiro jan",
    "february februar fevrier febrero febbraio fevereiro feb",
    "march marz mars marzo marco mar",
    "april avril abril aprile apr",
    "may mai mayo maggio maio",
    "june juni juin junio giugno junho jun",
    "july juli juillet julio luglio julho jul",
    "august aout agosto aug",
    "september septembre septiembre settembre setembro sept sep",
    "october oktober octobre octubre ottobre outubro oct",
    "november novembre noviembre novembro nov",
    "december dezember decembre diciembre dicembre dezembro dec",
)
_MONTH_NUMBER = {name: number for number, names in enumerate(_MONTHS, start=1) for name in names.split()}
_MONTH = r"(?P<month>[A-Za-zÀ-ÿ]{3,10})\.?"
_DAY = r"(?P<day>[0-3]?\d)(?:st|nd|rd|th|\.|er|º)?"
_YEAR = r"(?P<year>1\d{3}|20\d{2})"
_OF = r"(?:\s+(?:of|de|del))?(?:\s+the)?(?:\s+year)?"
_ISO = re.compile(r"(?<![\d-])(?P<year>\d{4})-(?P<month>\d{2})-(?P<day>\d{2})(?![\d-])")
_NUMERIC = re.compile(r"(?<![\d./-])(?P<a>\d{1,2})(?P<mark>[./-])(?P<b>\d{1,2})(?P=mark)(?P<year>\d{4})(?![\d/-])")
_DAY_FIRST = re.compile(rf"(?<!\d){_DAY}{_OF}\s+{_MONTH}(?:,?{_OF}(?:\s+in)?(?:\s+the\s+year)?\s+{_YEAR})?(?!\d)")
_MONTH_FIRST = re.compile(rf"\b{_MONTH}\s+{_DAY}(?!\d)(?:,?{_OF}(?:\s+in)?(?:\s+the\s+year)?\s+{_YEAR}(?!\d))?")
_MONTH_YEAR = re.compile(rf"\b{_MONTH},?{_OF}\s+{_YEAR}(?!\d)")
_YEAR_ALONE = re.compile(r"(?<![\d.,/-])(?:1[0-9]\d{2}|20\d{2})(?:(?=s\b)|(?![\d/]|[.,]\d))")
_EMAIL = re.compile(r"[\w.+%-]+@[\w-]+(?:\.[\w-]+)+")
_PHONE = re.compile(r"(?<![\w.])\+?\(?\d[\d\s().-]{6,18}\d(?![\w])")
_YEARS = re.compile(r"\s*(?:1\d|20)\d\d\s?[-–]\s?(?:1\d|20)\d\d\s*")
_CODE = re.compile(r"\b(?=[\w-]*\d)(?=[\w-]*[A-Z])[A-Z0-9]{2,}(?:-[A-Z0-9]+)*\b")
_SCALE = {"thousand": 3, "million": 6, "billion": 9, "trillion": 12, "k": 3, "m": 6, "bn": 9}
_AMOUNT = re.compile(
    r"(?P<money>US\$|[$€£¥])?\s?(?<![\w.])(?P<number>\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?)"
    r"\s?(?P<unit>thousand|million|billion|trillion|bn|%|percent|per cent|kg|km|cm|mm|miles|feet|metres|meters|mph)?"
    r"(?![\w])",
    re.IGNORECASE,
)
_FULL = len("1991-05-11")
_OF_BIRTH = re.compile(
    r"\b(?:born|birth|birthday|birthdate|née?|nacid[oa]|nato|nata|geboren|nascid[oa])\b[^.;?!]{0,80}$", re.I
)
_BORN_IN = re.compile(
    r"\b(?:born|raised)(?:\s+(?!in\b)[\w,]+){0,6}?\s+in\s+(?:the\s+(?:\w+\s+){0,3}(?:city|town|village|heart)\s+of\s+)?"
    r"(?P<place>[A-ZÀ-Þ][\w'’-]+(?:\s+[A-ZÀ-Þ][\w'’-]+){0,3})"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Attribute:
    """One such thing, in the form in which it compares. `also` is the other reading of an ambiguous date."""

    kind: AttributeKind
    value: str
    also: str = ""


def attributes(text: str) -> frozenset[Attribute]:
    """Everything in `text` that must match exactly."""
    found: set[Attribute] = set()
    read: list[re.Match[str]] = []
    for match in _EMAIL.finditer(text):
        found.add(Attribute(kind="email", value=match.group().casefold().rstrip(".")))
        read.append(match)
    rest = _blanked(text, read)
    for pattern, made in _DATE_FORMS:
        dated = [(match, date) for match in pattern.finditer(rest) if (date := made(match)) is not None]
        for match, date in dated:
            found.add(date)
            if _OF_BIRTH.search(text, max(0, match.start() - 100), match.start()):
                found.add(replace(date, kind="birthdate"))
        rest = _blanked(rest, [match for match, _ in dated])
    for match in _BORN_IN.finditer(text):
        place = _plain(match["place"])
        if place.partition(" ")[0] not in _MONTH_NUMBER:
            found.add(Attribute(kind="birthplace", value=place))
    return frozenset(found.union(_numbers(rest)))


def _blanked(text: str, matches: Sequence[re.Match[str]]) -> str:
    """The text with spaces in the matches' places: what is read once is not read again, and places stay."""
    if not matches:
        return text
    parts, at = list[str](), 0
    for match in matches:
        parts += (text[at : match.start()], " " * (match.end() - match.start()))
        at = match.end()
    return "".join((*parts, text[at:]))


def conflict(request: Set[Attribute], entry: Set[Attribute]) -> float:
    """How much a request speaks of somebody else: 0 not at all; 1 where each birthday, mail address and phone number that
    it gives is another than the entry's; at most 0.5 where only birthplaces differ, as a city lies in a country.

    Only kinds of which the entry has some are compared. Other dates, years and amounts come and go in any text.
    """
    exact = _differing(request, entry, ("birthdate", "email", "phone"))
    if exact is not None:
        return exact
    return 0.5 * (_differing(request, entry, ("birthplace",)) or 0.0)


def _differing(request: Set[Attribute], entry: Set[Attribute], kinds: Collection[str]) -> float | None:
    """The share of the request's attributes of these kinds that are none of the entry's; None if nothing compares."""
    compared = [(one, theirs) for one in request if one.kind in kinds and (theirs := _comparable(one, entry))]
    if not compared:
        return None
    return sum(not any(_agree(one, other) for other in theirs) for one, theirs in compared) / len(compared)


def agreement(request: Set[Attribute], entry: Set[Attribute]) -> float:
    """The share of the request's attributes that the entry has, too; 0 where the request gives none."""
    if not request:
        return 0.0
    return sum(any(_agree(one, other) for other in entry) for one in request) / len(request)


def _comparable(one: Attribute, entry: Set[Attribute]) -> list[Attribute]:
    """What of the entry must not differ from `one`; a birthday stands on a page as any date ("(1839 - 1937)")."""
    if one.kind != "birthdate":
        return [other for other in entry if other.kind == one.kind]
    if len(one.value) < _FULL:
        return []
    return [replace(other, kind="birthdate") for other in entry if other.kind == "date" and len(other.value) == _FULL]


def _agree(one: Attribute, other: Attribute) -> bool:
    if one.kind == other.kind == "birthplace":
        return one.value == other.value or one.value in other.value or other.value in one.value
    if one.kind == "year" and other.kind == "date":
        return other.value.startswith(one.value)
    if one.kind != other.kind:
        return False
    return any(
        _dates_agree(mine, theirs) if one.kind in ("date", "birthdate") else mine == theirs
        for mine in (one.value, one.also)
        for theirs in (other.value, other.also)
        if mine and theirs
    )


def _dates_agree(one: str, other: str) -> bool:
    """Equal in what both tell, and they tell something of the same."""
    first, second = _date_parts(one), _date_parts(other)
    pairs = [(a, b) for a, b in zip(first, second, strict=True) if a and b]
    return bool(pairs) and all(a == b for a, b in pairs)


def _date_parts(value: str) -> tuple[str, str, str]:
    if value.startswith("--"):
        return "", value[2:4], value[5:7]
    return value[:4], value[5:7], value[8:10]


def _numeric(match: re.Match[str]) -> Attribute | None:
    first, second = int(match["a"]), int(match["b"])
    readings = [made for day, month in ((second, first), (first, second)) if (made := _date(day, month, match["year"]))]
    if not readings:
        return None
    values = list(dict.fromkeys(made.value for made in readings))
    return Attribute(kind="date", value=values[0], also=values[1] if len(values) > 1 else "")


def _iso(match: re.Match[str]) -> Attribute | None:
    return _date(int(match["day"]), int(match["month"]), match["year"])


def _worded(match: re.Match[str]) -> Attribute | None:
    groups = match.groupdict()
    month = _MONTH_NUMBER.get(_plain(match["month"]))
    if month is None or match["month"] in ("may", "march", "mar"):  # words of their own where they are small
        return None
    return _date(int(groups.get("day") or 0), month, groups.get("year") or "")


def _date(day: int, month: int, year: str) -> Attribute | None:
    if not 1 <= month <= 12 or not 0 <= day <= 31:
        return None
    value = f"{year or '-'}-{month:02}" + (f"-{day:02}" if day else "")
    return Attribute(kind="date", value=value)


_DATE_FORMS: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], Attribute | None]], ...] = (
    (_ISO, _iso),
    (_NUMERIC, _numeric),
    (_DAY_FIRST, _worded),
    (_MONTH_FIRST, _worded),
    (_MONTH_YEAR, _worded),
)


def _numbers(text: str) -> Iterator[Attribute]:
    """Phone numbers, codes, amounts and years of a text without its dates."""
    phones = [(match, re.sub(r"\D", "", match.group())) for match in _PHONE.finditer(text)]
    phones = [(match, digits) for match, digits in phones if len(digits) >= 8 and not _YEARS.fullmatch(match.group())]
    yield from (Attribute(kind="phone", value=digits) for _, digits in phones)
    rest = _blanked(text, [match for match, _ in phones])
    for match in _CODE.finditer(rest):
        if sum(map(str.isdigit, match.group())) >= 2:
            yield Attribute(kind="code", value=match.group())
    for match in _YEAR_ALONE.finditer(rest):
        yield Attribute(kind="year", value=match.group())
    for match in _AMOUNT.finditer(rest):
        if match["money"] or match["unit"]:
            yield Attribute(kind="amount", value=_amount(match))


def _amount(match: re.Match[str]) -> str:
    number = float(match["number"].replace(",", ""))
    unit = (match["unit"] or "").casefold()
    value = number * 10 ** _SCALE[unit] if unit in _SCALE else number
    shown = f"{value:.10g}"
    money = {"US$": "$"}.get(match["money"] or "", match["money"] or "")
    unit = "" if unit in _SCALE else {"percent": "%", "per cent": "%"}.get(unit, unit)
    return f"{money}{shown}{unit}"


def _plain(text: str) -> str:
    return " ".join(normalise(text).words)
