"""Log-probabilities of an answer whose names were turned back: the same rows, with the words that the caller reads.

    "Drav" -0.7, "el" -0.1, " bakes" -1.2   ->   "Ada" -0.7, " bakes" -1.2

Where an answer's log-probabilities were missing as soon as a stand-in stood in it, a caller who asks for them would learn
that his request was treated; so their shape is that of any answer, and every number is the model's own, of the tokens that
it wrote. A row of which nothing is left goes, with its alternatives. Rows that cannot be turned back, as their tokens are
parts of letters or ids, would still spell another text: `rows_tell` finds them. `hide_alternatives` is for backends whose
alternatives are those of an untreated model; it alone knows the parallel lists of completions. Nothing here knows of leaks,
or why a text changes.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath
from guardrail.openai_wire.json_path import get_at

Said = tuple[JsonPath, str]
"""Where a token, or an alternative to one, stands in an answer or event, and the text as which it leaves."""

ROWS = ("content", "refusal")
"""The lists of rows in the log-probabilities of a chat."""

PART_OF_A_LETTER = "\ufffd"
"""How a token shows that holds some bytes of a letter, but not all."""


def retell_rows(value: dict[str, Any], said: Sequence[Said]) -> None:
    """Put other texts into rows of tokens, in place; paths that are not there any more are passed over."""
    by_list: dict[JsonPath, dict[tuple[int, int | None], str]] = {}
    for path, text in said:
        is_other = path[-3:-2] == ("top_logprobs",)
        place, rank = (path[:-4], path[-2]) if is_other else (path[:-2], None)
        row = path[len(place)]
        if isinstance(row, int) and (rank is None or isinstance(rank, int)):
            by_list.setdefault(place, {})[row, rank] = text
    for place, told in by_list.items():
        try:
            holder, rows = get_at(value, place[:-1]), get_at(value, place)
        except (KeyError, IndexError, TypeError):
            continue
        if isinstance(rows, list):
            retold = (_retold(row, number, told) for number, row in enumerate(rows))
            holder[place[-1]] = [row for row in retold if row is not None]


def _retold(row: Mapping[str, Any], number: int, told: Mapping[tuple[int, int | None], str]) -> dict[str, Any] | None:
    own = row.get("token") or ""
    said = told.get((number, None), own)
    if own and not said:
        return None
    others = []
    for rank, other in enumerate(row.get("top_logprobs") or ()):
        its_own = other.get("token") or ""
        text = said if its_own == own else told.get((number, rank), its_own)
        if text or not its_own:
            others.append(_named(other, text))
    kept = {"top_logprobs": others} if row.get("top_logprobs") else {}
    return {**_named(row, said), **kept}


def _named(token: Mapping[str, Any], text: str) -> dict[str, Any]:
    if text == (token.get("token") or ""):
        return dict(token)
    spelt = {"bytes": list(text.encode())} if token.get("bytes") is not None else {}
    return {**token, "token": text, **spelt}


def rows_tell(logprobs: Any, texts: Collection[str]) -> bool:
    """True if the chosen tokens spell a part of a text beside them, or all of these with other things around them, such as
    end marks. `logprobs` is a list of rows, or an object that holds such lists.

    Where tokens are parts of letters, they must spell the end of one text, or all of it.
    """
    if isinstance(logprobs, Mapping):
        logprobs = [row for field in ROWS for row in logprobs.get(field) or ()]
    spelt = b"".join(map(_spelling, logprobs or ())).decode(errors="replace")
    if not spelt.strip(PART_OF_A_LETTER):
        return True
    if PART_OF_A_LETTER in spelt:
        return any(_ends_in(text, re.split(f"{PART_OF_A_LETTER}+", spelt)) for text in texts)
    return any(spelt in text for text in texts) or (bool(texts) and all(text in spelt for text in texts))


def _spelling(row: Mapping[str, Any]) -> bytes:
    """The bytes of a token; where it is a part of a letter, those that the backend gives for it."""
    token, raw = row.get("token") or "", row.get("bytes")
    is_given = isinstance(raw, list) and all(isinstance(one, int) and 0 <= one < 256 for one in raw)
    return bytes(raw) if is_given and raw and PART_OF_A_LETTER in token else token.encode()


def _ends_in(text: str, pieces: Sequence[str]) -> bool:
    """True if the text ends in these pieces with something between each two of them; found in one pass."""
    at = -1
    for piece in pieces[:-1]:
        start = text.find(piece, at + 1)
        if start < 0:
            return False
        at = start + len(piece)
    return text.endswith(pieces[-1]) and at + len(pieces[-1]) < len(text)


def hide_alternatives(value: Any) -> bool:
    """Empty all lists of alternatives in an answer or event, in place; the chosen tokens stay. True if there were any."""
    found = False
    others = value.get("top_logprobs") if isinstance(value, dict) else None
    if isinstance(others, list) and any(others):
        # Completions hold them in a list beside that of the tokens, all others in each token's row.
        value["top_logprobs"] = [None] * len(others) if "tokens" in value else []
        found = True
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        found |= hide_alternatives(item)
    return found
