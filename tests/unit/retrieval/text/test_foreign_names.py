"""Names in other scripts: met part for part, one person at one place, other people left alone."""

from __future__ import annotations

import pytest

from retrieval.text.foreign_names import ForeignNames
from retrieval.text.phrases import PhraseTag

PEOPLE = ("stephen king", "taylor swift", "george washington", "michael jackson", "tabitha king", "beyonce", "joe hill")


def found(text: str) -> set[str]:
    names = ForeignNames()
    for name in PEOPLE:
        names.add(tuple(name.split()), PhraseTag(entry_id=name, kind="name"))
    return {tag.entry_id for name in names.find(text).names for tag in name.tags}


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        (
            "stephen king",
            "Стивен Кинг|жена Стивена Кинга|スティーヴン・キングの妻|ستيفن كينغ|स्टीफन किंग|Στίβεν Κινγκ|סטיבן קינג",
        ),
        ("taylor swift", "Тейлор Свифт|泰勒·斯威夫特的歌|테일러 스위프트는|تايلور سويفت|टेलर स्विफ्ट|טיילור סוויפט"),
        ("george washington", "Джордж Вашингтон|乔治·华盛顿|ジョージ・ワシントン|جورج واشنطن|Τζορτζ Ουάσινγκτον"),
        ("michael jackson", "Майкл Джексон|迈克尔·杰克逊|マイケル・ジャクソン|마이클 잭슨|माइकल जैक्सन|Μάικλ Τζάκσον"),
        ("beyonce", "Бейонсе|ビヨンセ"),
    ],
)
def test_a_name_is_met_in_another_script(name: str, texts: str) -> None:
    for text in texts.split("|"):
        assert found(text) == {name}, text


@pytest.mark.parametrize(
    "text",
    [
        "Оуэн Кинг",
        "Александр Пушкин и Лев Толстой",
        "東京は日本の首都です",
        "中国的首都是北京",
        "Stеphеn",  # a disguise in Latin letters, not a foreign word
        "Стивен, а потом Кинг",
        "μ1 − μ2",
    ],
)
def test_others_are_not(text: str) -> None:
    assert found(text) == set()


def test_a_removed_name_is_met_no_more() -> None:
    names = ForeignNames()
    tags = [PhraseTag(entry_id=entry, kind="name") for entry in ("e1", "e2")]
    for tag in tags:
        names.add(("stephen", "king"), tag)
    names.remove(("stephen", "king"), tags[0])
    assert [name.tags for name in names.find("Стивен Кинг").names] == [(tags[1],)]
    names.remove(("stephen", "king"), tags[1])
    names.remove(("stephen", "king"), tags[1])
    assert names.find("Стивен Кинг").names == ()


def test_endless_foreign_words_are_cut_off_and_told() -> None:
    names = ForeignNames()
    names.add(("stephen", "king"), PhraseTag(entry_id="e1", kind="name"))
    assert names.find("一二三四五六七·一二三四五六七。" * 4000).truncated
    assert not names.find("Стивен Кинг " * 500).truncated
