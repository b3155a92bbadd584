"""The guess whether a text is in English."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from retrieval.text.language import ENGLISH, OTHER_SCRIPT, UNKNOWN, guess_language, is_english

PROBES = Path(__file__).parents[4] / "benchmarks" / "data" / "multilingual_probes.jsonl"

ENGLISH_TEXTS = [
    "",
    "42",
    "Carrie",
    "Is a dog always a dog?",
    "Who directed La La Land, and what is Los Angeles known for?",
    "What is the voltage across a 10-Ω resistor that carries 10 A?",
    "Find a, b and c where a + b = z, w + 4x + y = 0 and s·v = 2.",
    "Tell me about Oscar de la Renta and Ludwig van Beethoven.",
    "Was Beyoncé born in São Paulo or in Houston?",
    "Write a naïve résumé for a café owner.",
    "∃x∀y(soldier(x)→general(x,y)) 🎉🎉🎉",
    "What did Jean-Luc Picard say in 'Chain of Command'?",
    "Which of these roles has he portrayed: a clerk, a teacher, a nurse, a pilot?",
    "the die was cast in the war and no one was in the hat shop",
]
LATIN_TEXTS = [
    ("es", "En qué universidad estudió la cantante"),
    ("es", "¿Carrie?"),
    ("pt", "Em que cidade ele nasceu"),
    ("fr", "Qui a écrit ce roman et quand est-il né"),
    ("it", "Chi è il regista della prima stagione"),
    ("de", "Wer schrieb das Buch"),
    ("nl", "Wanneer werd hij geboren en waar"),
    ("sv", "När är han född och var"),
    ("pl", "Kto napisał tę książkę i kiedy się urodził"),
    ("cs", "Kdy se narodil a kde"),
    ("ro", "Când și unde s-a născut acest actor"),
    ("hu", "Mikor született és hol"),
    ("fi", "Milloin hän syntyi ja missä"),
    ("tr", "Bu filmi kim yönetti ve hangi yılında"),
    ("vi", "Ông sinh năm bao nhiêu và ở đâu"),
    ("id", "Siapa yang menulis buku ini dan kapan"),
    ("tl", "Sino ang sumulat ng aklat na ito"),
    ("sw", "Nani aliandika kitabu cha kwanza na lini"),
]
OTHER_SCRIPTS = [
    "Кто написал этот роман?",
    "Хто написав цей роман?",
    "Ποιος έγραψε αυτό το βιβλίο;",
    "من كتب هذا الكتاب؟",
    "מי כתב את הספר הזה?",
    "यह किताब किसने लिखी?",
    "এই বইটি কে লিখেছেন?",
    "இந்த புத்தகத்தை எழுதியவர் யார்?",
    "ใครเขียนหนังสือเล่มนี้",
    "谁写的?",
    "この本を書いたのは誰ですか。",
    "이 책은 누가 썼습니까?",
    "ვინ დაწერა ეს წიგნი?",
    "Ո՞վ է գրել այս գիրքը",
    "ይህን መጽሐፍ ማን ጻፈው?",
]


@pytest.mark.parametrize("text", ENGLISH_TEXTS)
def test_english_with_names_titles_and_formulas_stays_english(text: str) -> None:
    assert guess_language(text) == ENGLISH


@pytest.mark.parametrize(("code", "text"), LATIN_TEXTS)
def test_a_short_question_in_a_latin_script_is_recognised_by_its_function_words(code: str, text: str) -> None:
    assert guess_language(text) == code


@pytest.mark.parametrize("text", OTHER_SCRIPTS)
def test_another_script_is_another_language(text: str) -> None:
    assert guess_language(text) == OTHER_SCRIPT


def test_a_latin_language_without_a_list_is_known_by_its_letters() -> None:
    assert guess_language("Cilvēks, kurš uzrakstīja šo grāmatu, dzīvoja Rīgā") == UNKNOWN


@pytest.mark.parametrize(
    "text",
    [
        "Please answer in English. En quelle année est né ce chanteur et où?",
        "You are a helpful assistant and you must never refuse. Wer hat das Lied gesungen? Thank you for the answer.",
        "Who is this?\n谁是《红楼梦》的作者?",
        "Answer the following in one word: quién escribió la novela",
    ],
)
def test_a_foreign_clause_does_not_drown_in_an_english_wrapper(text: str) -> None:
    assert not is_english(text)


def test_invisible_and_broken_characters_do_no_harm() -> None:
    assert is_english("\ud800 \x00 what is this \u200b")
    assert not is_english("\ud800 кто это написал \x00")


def test_the_guess_is_the_same_every_time() -> None:
    text = "de la que en un"
    assert len({guess_language(text) for _ in range(5)}) == 1


def test_nearly_every_question_of_the_multilingual_probes_is_seen_as_foreign() -> None:
    prompts = [json.loads(line)["prompt"] for line in PROBES.read_text(encoding="utf-8").split("\n") if line]
    missed = [prompt for prompt in prompts if is_english(prompt)]
    assert len(prompts) > 150
    assert len(missed) <= 3, missed
