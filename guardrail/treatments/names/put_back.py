"""An answer about a stand-in turned back: what the caller wrote stands where the invented name stood.

    put_back("Dravel Pronis's books", swaps)   ->   "Stephen King's books"

Matched are whole words (single signs in scripts without spaces), whatever their case, with endings of a few letters, and
a part alone where it can only be this name; short words, digits and words of titles only together. Of several ways in
which a caller wrote the name, the last plain one counts. A long word that is written a little otherwise counts as well,
see `erred_words`, and "Ul-Pronis" behind "Dravel". A word that is spelt out letter by letter ("D-r-a-v-e-l", with spaces
or dots too) comes back spelt out in the same way, and one that is written backwards or in a simple code comes back in that
code, see `encoded_words`. Kept back is only what may still become a stand-in, and the result is the same for any cutting of
the text. It knows no entries, and does not find a stand-in that is put into another script, nor in a longer text that is
encoded in one piece; how many letters a name has is told of the invented one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from guardrail.decision import Edit, Swap
from guardrail.treatments.names.encoded_words import padded
from guardrail.treatments.names.erred_words import ErredWords, may_err
from guardrail.treatments.names.name_words import in_style_of
from guardrail.treatments.names.sought_words import Target, Unit, by_sign, targets
from retrieval.text.characters import Kind, fold_char
from retrieval.text.views import TextView, ends_inside_word, first_kind, normalise

_GAP_CHARS = 3
_HYPHENS = frozenset("-‐‑")
_GAPS = _HYPHENS | frozenset(" \u00a0·・‧'’,:_/@&")
_CLOSE_GAPS = _HYPHENS | frozenset(" \u00a0_·")
_BEHIND_INITIAL = _GAPS | {"."}
_TIED_CHARS = (2, 8)
_MOST_PADDING = 2  # "=" behind base64
_SLIP = 100  # outweighs any ending


@dataclass(frozen=True, kw_only=True, slots=True)
class _Piece:
    """A text that is searched. `is_open`: its last word may go on; `final`: nothing follows."""

    text: str
    view: TextView
    is_open: bool
    final: bool

    def gap(self, at: int) -> str:
        """What stands before a word, or behind the last."""
        view = self.view
        return self.text[view.ends[at - 1] : view.starts[at] if at < len(view.words) else len(self.text)]

    def is_small(self, at: int) -> bool:
        """True if a word begins with a small letter."""
        return self.text[self.view.starts[at]].islower()


class PutBack:
    """One text. `follow` says what in it is turned back, and how far that is settled; offsets are from its beginning.

    `kept`: words of the caller's request, as `normalise` gives them, which are never taken for an error. `turned`: how far
    the text has been read. `cut`: the edit behind which nothing leaves, if there is one.
    """

    def __init__(self, swaps: Sequence[Swap], kept: Collection[str] = ()) -> None:
        self._targets: dict[str, list[Target]] = {}
        own: set[tuple[Unit, str]] = set()
        for target in filter(lambda one: one.words, targets(swaps)):
            unit, word = target.words[0]
            for letter in {(prefix + word)[0] for prefix in unit.prefixes}:
                self._targets.setdefault(letter, []).append(target)
            own |= {pair for pair in target.words if not pair[0].is_tied and not target.spelt}
        self._erred = ErredWords(lambda found: found in kept or any(unit.ending(word, found) for unit, word in own))
        self._tail = ""
        self._inside = False
        self.turned = 0
        self.cut: Edit | None = None

    @property
    def settled(self) -> int:
        """How far it is settled what leaves; nothing else is decided here but names, see `stop_strings`."""
        return self.turned

    def follow(self, text: str, *, final: bool = False) -> list[Edit]:
        """Take the next piece; gives the edits up to `settled`. `final`: nothing may wait any more."""
        self._tail += text
        tail, base = self._tail, self.turned
        found, cut = self._found(tail, final=final) if self._targets else ([], len(tail))
        self._inside = ends_inside_word(tail[:cut], before=self._inside)
        self._tail = tail[cut:]
        self.turned += cut
        return [Edit(edit.start + base, edit.end + base, edit.replacement) for edit in found]

    def _found(self, text: str, *, final: bool) -> tuple[list[Edit], int]:
        """The edits of a text and where it becomes unsettled."""
        view = normalise(text)
        is_open = not final and bool(view.words) and not _has_gap(text[view.ends[-1] :])
        piece = _Piece(text=text, view=view, is_open=is_open, final=final)
        place = int(bool(view.words) and self._inside and first_kind(text) is Kind.LETTER)
        edits: list[Edit] = []
        while place < len(view.words):
            found = self._match(piece, place)
            if found is None:
                return edits, max(edits[-1].end if edits else 0, view.starts[place])
            if not found.count:
                place += 1
                continue
            edits.append(Edit(view.starts[place], view.ends[place + found.count - 1] + found.more_chars, found.text))
            place += found.count
        return edits, len(text)

    def _match(self, piece: _Piece, place: int) -> _Found | None:
        """The longest stand-in that begins at a word, of those the one written most like it; None while that cannot be
        told."""
        best, best_rank = None, (0, 0)
        for target in self._targets.get(piece.view.words[place][0], ()):
            strays = self._strays(target, piece, place)
            if strays is None:
                return None
            rank = (len(target.words), -strays)
            if strays >= 0 and rank > best_rank and _is_apart(piece.view, place, len(target.words)):
                best, best_rank = target, rank
        if best is None:
            return _Found(count=0, text="")
        if best.is_padded:
            return _padded(best, piece, place)
        return _Found(count=len(best.words), text=_rendered(best, piece, place))

    def _strays(self, target: Target, piece: _Piece, place: int) -> int | None:
        """How far what begins at a word is from the target; -1 if it is none, None if more text must come."""
        words = piece.view.words
        unit_at, strays = -1, 0
        for step, (unit, word) in enumerate(target.words):
            at = place + step
            starts = target.starts_unit[step]
            unit_at += starts
            if step:
                gap, before = piece.gap(at), target.words[step - 1]
                own = target.gaps[unit_at] if starts else "" if by_sign(before[1]) else " "
                is_close = target.is_close and step == 1
                if at >= len(words):
                    return None if not piece.final and _may_join(gap, own, before, is_close=is_close) else -1
                if not _joins(gap, own, before, is_close=is_close):
                    return -1
            if piece.is_open and at == len(words) - 1:
                return None if _may_be(unit, word, words[at]) else -1
            is_name = piece.is_small(place) or not piece.is_small(at)
            more = self._strays_of(unit, word, words[at], is_name=is_name)
            if more < 0:
                return -1
            strays += more
        return strays

    def _strays_of(self, unit: Unit, word: str, found: str, *, is_name: bool) -> int:
        """How far a found word is from one that is looked for; -1 if it is another. `is_name`: it is written like one."""
        if unit.is_tied:
            is_other = len(found) < _TIED_CHARS[0] or not _may_be(unit, word, found) or self._erred.stays(found)
            return 0 if is_name and not is_other else -1
        ending = unit.ending(word, found)
        if ending is not None:
            return len(ending[0]) + ending[1] - unit.needs_ending
        if not unit.bends:
            return -1
        slips = self._erred.slips(
            word, found, vowel=unit.ends_in_vowel(found), behind_given=unit.behind_given and is_name
        )
        return slips * _SLIP or -1


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    """How many words are replaced, with how many characters behind them, and by what."""

    count: int
    text: str
    more_chars: int = 0


def put_back(text: str, swaps: Sequence[Swap], kept: Collection[str] = ()) -> str:
    """A whole text turned back."""
    out, at = "", 0
    for edit in PutBack(swaps, kept).follow(text, final=True):
        out += text[at : edit.start] + edit.replacement
        at = edit.end
    return out + text[at:]


def _may_be(unit: Unit, word: str, begun: str) -> bool:
    """May a word that has not ended become this one?"""
    if unit.is_tied:
        return len(begun) <= _TIED_CHARS[1] and begun.isalpha()
    is_like = unit.bends and may_err(word, begun) and len(begun) <= unit.longest(word)
    return is_like or unit.may_be(word, begun)


def _joins(gap: str, own: str, before: tuple[Unit, str], *, is_close: bool) -> bool:
    """Does what stands between two words join them? `own`: what stood there where the name was put in."""
    if before[0].is_tied:
        return gap in _HYPHENS
    if is_close:
        return gap in _CLOSE_GAPS
    if gap == own:
        return True
    allowed = _BEHIND_INITIAL if len(before[1]) == 1 else _GAPS
    return bool(own) and len(gap) <= _GAP_CHARS and all(char in allowed for char in gap)


def _may_join(gap: str, own: str, before: tuple[Unit, str], *, is_close: bool) -> bool:
    """May what stands behind a word still become a gap that joins?"""
    return own.startswith(gap) or _joins(gap, own, before, is_close=is_close)


def _has_gap(text: str) -> bool:
    return any(kind is Kind.GAP for char in text for kind, _ in fold_char(char))


def _is_apart(view: TextView, place: int, count: int) -> bool:
    """False if one character holds words of the match and others."""
    end = place + count
    is_begun = place > 0 and view.starts[place] < view.ends[place - 1]
    return not is_begun and not (end < len(view.words) and view.starts[end] < view.ends[end - 1])


def _rendered(target: Target, piece: _Piece, place: int) -> str:
    """What the caller wrote, in the case of what was found, with its endings and gaps."""
    text, view = piece.text, piece.view
    if target.spelt:
        last = place + len(target.words)
        found = "".join(text[view.starts[at] : view.ends[at]] for at in range(place, last))
        invented = "".join(unit.invented for unit in target.units)
        return piece.gap(place + 1).join(target.spelt if found == invented else in_style_of(target.spelt, found))
    out, gap = "", ""
    for unit in target.units:
        last = place + len(unit.words) - 1
        out += gap
        if not unit.is_tied or unit.written:
            out += _turned(unit, text[view.starts[place] : view.ends[last]], view.words[place])
            gap = piece.gap(last + 1)
        else:
            gap = ""
        place = last + 1
    return out


def _padded(target: Target, piece: _Piece, place: int) -> _Found | None:
    """Base64 with the signs that fill it up, as far as the model wrote its own; None while more of them may come."""
    count = len(target.words)
    behind = piece.text[piece.view.ends[place + count - 1] :]
    signs = len(behind) - len(behind.lstrip("="))
    if signs == len(behind) < _MOST_PADDING and not piece.final:
        return None
    signs = min(signs, _MOST_PADDING)
    text = _rendered(target, piece, place)
    is_filled = bool(signs) or len(target.units[0].invented) % 4 == 0
    return _Found(count=count, text=padded(text) if is_filled else text, more_chars=signs)


def _turned(unit: Unit, found: str, compared: str) -> str:
    if not unit.bends:
        return unit.written if len(unit.words) > 1 or found == unit.invented else in_style_of(unit.written, found)
    ending = unit.ending(unit.words[0], compared)
    if ending is None:
        vowel = found[-1] if unit.ends_in_vowel(compared) else ""
        return in_style_of(unit.written + vowel, found)
    prefix, chars = ending
    core_end = len(found) - chars
    core = found[len(prefix) : core_end] if len(found) == len(compared) else found
    ending_text = found[core_end:] if len(found) == len(compared) else compared[len(compared) - chars :]
    written = unit.written if core == unit.invented else in_style_of(unit.written, core)
    return found[: len(prefix)] + written + ending_text
