"""What a stand-in costs: few draws whatever the script and the number of names, and none for a name that was drawn."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from guardrail.decision import Detection, Evidence, EvidenceKind, Passage, Role
from guardrail.treatments.names import invented_words, name_words
from guardrail.treatments.names.invented_words import Draw, is_near, script_of
from guardrail.treatments.names.name_words import fold, words_in
from guardrail.treatments.names.stand_in import stand_in_for
from guardrail.treatments.names.strangers import about_strangers
from retrieval.entry import RegisteredEntry, parse_entry

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SCRIPTS = {
    "katakana": 0x30A2,
    "hiragana": 0x3042,
    "han": 0x4E00,
    "hangul": 0xAC00,
    "cyrillic": 0x0430,
    "greek": 0x03B1,
    "arabic": 0x0627,
    "devanagari": 0x0915,
    "latin": 0x0061,
}
MOST_PICKS = 1_000
MOST_COMPARED = 3_000  # some ten microseconds each


class Counted:
    """Counts the choices that are drawn and the words that are compared."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.picks = self.compared = 0
        pick = Draw.pick

        def picked(draw: Draw, choices: Sequence[str]) -> str:
            self.picks += 1
            return pick(draw, choices)

        def near(one: str, other: str) -> bool:
            self.compared += 1
            return is_near(one, other)

        patch.setattr(invented_words.Draw, "pick", picked)
        patch.setattr(name_words, "is_near", near)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def names(script: str, count: int, *, signs: int = 4) -> list[str]:
    """Names of two words in a script, no two alike."""
    first, span = SCRIPTS[script], 2_000 if script in ("han", "hangul") else 22
    return [
        " ".join(
            "".join(chr(first + (word * 5 + at * (3 + number % 7) + number * 11) % span) for at in range(signs))
            for word in (0, 1)
        )
        for number in range(count)
    ]


@pytest.mark.parametrize("kind", ["person", "topic"])
@pytest.mark.parametrize("script", SCRIPTS)
def test_twenty_aliases_of_any_script_take_few_draws(script: str, kind: str, counted: Counted) -> None:
    aliases = list(dict.fromkeys(names(script, 20)))
    one = stand_in_for(parse_entry({"id": "e1", "name": "Stephen King", "kind": kind, "aliases": aliases}), key=b"k")
    for alias in aliases:
        assert one.swap(alias).invented != alias
    assert counted.picks < MOST_PICKS
    assert counted.compared < MOST_COMPARED


@pytest.mark.parametrize("script", ["katakana", "hiragana", "han", "hangul"])
def test_a_few_names_of_signs_take_few_draws(script: str, counted: Counted) -> None:
    entry = parse_entry({"id": "e1", "name": "Stephen King", "kind": "person", "aliases": names(script, 4, signs=6)})
    stand_in_for(entry, key=b"k")
    assert counted.picks < MOST_PICKS // 4


@pytest.mark.parametrize("script", ["katakana", "hiragana", "han", "hangul"])
def test_where_the_signs_run_out_each_name_still_has_a_stand_in_of_its_own(script: str) -> None:
    aliases = list(dict.fromkeys(names(script, 12)))
    one = stand_in_for(parse_entry({"id": "e1", "name": "Stephen King", "aliases": aliases}), key=b"k")
    own = {fold(match.group()) for alias in aliases for match in words_in(alias)}
    made = [one.words[word] for word in own if word in one.words]
    assert len(set(made)) == len(made) > 12
    assert not own & set(made)
    for word in own & set(one.words):
        assert script_of(one.words[word]) == script
        assert not set(word) & set(one.words[word])


def test_more_names_of_one_sign_than_the_table_holds_get_longer_stand_ins() -> None:
    entry = parse_entry(
        {"id": "e1", "name": "岑", "aliases": list("郁晏霁澜峤昀珩漪蘅黎樾遥瀚芮翊沅昶筠璟穆湛邈屿茉聿濯蔚珞淳一")}
    )
    made = stand_in_for(entry, key=b"k").words
    assert len(set(made.values())) == len(made) > 20
    assert not set(made) & set(made.values())


def test_a_name_that_was_drawn_for_this_revision_is_not_drawn_again(counted: Counted) -> None:
    text = "Who is Mira Quelle?"
    entry = parse_entry({"name": "Mira Quelle", "kind": "person", "description": "Wrote 'The Salt Orchard'."})
    passages = [Passage(path=("prompt",), role=Role.USER, text=text + " Did she write 'The Salt Orchard'?")]
    evidence = Evidence(detector="d", kind=EvidenceKind.NAME, score=1.0, passage=0, start=7, end=18)

    def ask(revision: int, key: bytes = b"k") -> int:
        before = counted.picks
        record = RegisteredEntry(id="mira", revision=revision, entry=entry, created_at=NOW, updated_at=NOW)
        made = about_strangers(passages, [Detection(entry=record, score=1.0, evidence=(evidence,))], key=key)
        assert made is not None
        assert len(made.swaps) == 2
        return counted.picks - before

    assert ask(1) > 0
    assert ask(1) == 0
    assert ask(2) > 0
    assert ask(2, b"another key") > 0


def test_words_that_share_a_sign_are_near() -> None:
    assert is_near("村上", "上田")
    assert not is_near("村上", "田中")
