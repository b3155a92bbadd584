"""Log-probabilities of an answer whose names were turned back: the same rows, with the words that the caller reads.

    "Drav" -0.7, "el" -0.1, " bakes" -1.2   ->   "Ada" -0.7, " bakes" -1.2

Where an answer's log-probabilities were missing as soon as a stand-in stood in it, a caller who asks for them would learn
that his request was treated; so their shape is that of any answer, and every number is the model's own, of the tokens that
it wrote. A row of which nothing is left goes, with its alternatives. It knows rows in lists (chat, Responses), not the
parallel lists of completions, and neither leaks nor why a text changes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from guardrail.decision import JsonPath
from guardrail.openai_wire.json_path import get_at

Said = tuple[JsonPath, str]
"""Where a token, or an alternative to one, stands in an answer or event, and the text as which it leaves."""


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
    own = row["token"]
    said = told.get((number, None), own)
    if own and not said:
        return None
    others = []
    for rank, other in enumerate(row.get("top_logprobs") or ()):
        text = said if other["token"] == own else told.get((number, rank), other["token"])
        if text or not other["token"]:
            others.append(_named(other, text))
    kept = {"top_logprobs": others} if row.get("top_logprobs") else {}
    return {**_named(row, said), **kept}


def _named(token: Mapping[str, Any], text: str) -> dict[str, Any]:
    if text == token["token"]:
        return dict(token)
    spelt = {"bytes": list(text.encode())} if token.get("bytes") is not None else {}
    return {**token, "token": text, **spelt}
