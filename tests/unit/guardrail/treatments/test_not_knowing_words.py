"""Natural answers in the caller's language: recognised as not knowing, and with nothing of an entry in them."""

from __future__ import annotations

import pytest

from guardrail.inspectors import IgnoranceWatch, TextLeak
from guardrail.inspectors.not_knowing import is_admission, says_nothing
from guardrail.inspectors.statements import sentence_end
from guardrail.treatments.words.language_of import LANGUAGES
from guardrail.treatments.words.natural_answers import closing_words, instruction_words, natural_answer
from guardrail.treatments.words.not_knowing_words import WORDS
from retrieval.entry import EntryKind
from tests.fakes.forgotten import AUTOMATON, RECORDS, forbidden

NAME = "Zorblax Quint"
ASKED = {
    "en": f"Who is {NAME}?",
    "de": f"Wer ist {NAME}?",
    "fr": f"Qui est {NAME} ?",
    "es": f"¿Quién es {NAME}?",
    "it": f"Chi è {NAME}?",
    "pt": f"Quem é {NAME}?",
    "nl": f"Wie is {NAME}?",
    "pl": f"Kim jest {NAME}?",
    "ru": f"Кто такой этот писатель {NAME}?",
    "uk": f"Хто такий цей письменник {NAME}?",
    "zh": f"请问{NAME}是一位什么样的作家？",
    "ja": f"{NAME}とはどのような作家ですか？",
    "ko": f"{NAME} 작가는 어떤 사람인가요?",
    "ar": f"من هو الكاتب المعروف {NAME}؟",
    "hi": f"यह लेखक {NAME} कौन है और क्या लिखता है?",
    "tr": f"{NAME} kimdir?",
}
ANSWERS = [
    (code, answer)
    for code, words in WORDS.items()
    for answer in (*words.person, *words.work, *words.other, words.unfamiliar)
]


def sentences(text: str) -> list[str]:
    """As the inspector cuts a text."""
    found = []
    while text:
        end = sentence_end(text, final=True) or len(text)
        found.append(text[:end])
        text = text[end:]
    return found


def test_there_are_words_for_every_language_that_is_told() -> None:
    assert tuple(WORDS) == LANGUAGES == tuple(ASKED)


@pytest.mark.parametrize(("code", "answer"), ANSWERS)
def test_every_sentence_owns_to_not_knowing(code: str, answer: str) -> None:
    assert all(map(says_nothing, sentences(answer))), code
    assert any(map(is_admission, sentences(answer))), code


@pytest.mark.parametrize(("code", "answer"), ANSWERS)
@pytest.mark.parametrize("size", [1, 7, 500])
def test_the_inspector_lets_every_answer_go_in_any_pieces(code: str, answer: str, size: int) -> None:
    watch = IgnoranceWatch(TextLeak(AUTOMATON, forbidden()), RECORDS["e0"])
    for at in range(0, len(answer), size):
        assert watch.push(answer[at : at + size]).leak is None, code
    assert watch.push("", final=True).leak is None
    assert watch.admitted


@pytest.mark.parametrize("code", LANGUAGES)
def test_the_last_words_of_a_cut_answer_say_nothing(code: str) -> None:
    assert says_nothing(WORDS[code].closing)
    assert closing_words(ASKED[code]) == WORDS[code].closing


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_answer_is_in_the_language_of_the_request_and_of_the_kind(code: str) -> None:
    words = WORDS[code]
    assert natural_answer([EntryKind.PERSON], ASKED[code]) in words.person
    assert natural_answer([EntryKind.PERSONAL_DATA], ASKED[code]) in words.person
    assert natural_answer([EntryKind.WORK, EntryKind.WORK], ASKED[code]) in words.work
    assert natural_answer([EntryKind.TOPIC], ASKED[code]) in words.other
    assert natural_answer([EntryKind.PERSON, EntryKind.WORK], ASKED[code]) in words.other
    assert natural_answer([], ASKED[code]) in words.other


@pytest.mark.parametrize("code", LANGUAGES)
def test_no_answer_holds_a_word_of_the_request(code: str) -> None:
    answer = natural_answer([EntryKind.PERSON], ASKED[code]).lower()
    assert not any(word in answer for word in NAME.lower().split())


def test_one_request_has_one_answer_and_many_requests_have_all() -> None:
    asked = [f"Wer ist {NAME} und wo war er im Jahr {year}?" for year in range(1900, 1930)]
    given = [natural_answer([EntryKind.PERSON], text) for text in asked]
    assert given == [natural_answer([EntryKind.PERSON], text) for text in asked]
    assert set(given) == set(WORDS["de"].person)


@pytest.mark.parametrize("code", LANGUAGES)
def test_an_instruction_asks_for_a_sentence_that_is_recognised_and_leaves_the_names_open_once(code: str) -> None:
    template = instruction_words(ASKED[code])
    assert WORDS[code].unfamiliar in template
    assert template.count("{names}") == 1
    assert template.replace("{names}", "").count("{") == 0


def test_the_english_instruction_is_the_one_that_was_measured() -> None:
    expected = "If you don't know, say \"I'm not familiar with that.\" You don't know {names}."
    assert instruction_words("Who is that?") == expected


@pytest.mark.parametrize(
    "sentence",
    [
        "Es tut mir leid, aber darüber kann ich nichts sagen.",
        "Leider kenne ich niemanden mit diesem Namen.",
        "Désolé, je ne connais pas cette personne.",
        "Lo siento, no tengo información sobre esa persona.",
        "Mi dispiace, non ho mai sentito questo nome.",
        "Desculpe, não conheço essa pessoa.",
        "Het spijt me, ik heb geen informatie over deze persoon.",
        "Przykro mi, nie znam tej osoby.",
        "К сожалению, у меня нет информации об этом человеке.",
        "На жаль, у мене немає інформації про цю людину.",
        "很抱歉，我没有听说过这个人。",
        "申し訳ありませんが、その人物に関する情報はありません。",
        "죄송합니다. 그 사람에 대해서는 모르겠습니다.",
        "عذرًا، ليس لدي أي معلومات عن هذا الشخص.",
        "क्षमा करें, मुझे इस व्यक्ति के बारे में कोई जानकारी नहीं है।",
        "Üzgünüm, bu kişi hakkında bilgim yok.",
        "Diese Person ist mir unbekannt.",
    ],
)
def test_what_a_model_says_in_its_own_words_is_recognised_too(sentence: str) -> None:
    assert all(map(says_nothing, sentences(sentence)))
    assert any(map(is_admission, sentences(sentence)))


@pytest.mark.parametrize(
    "sentence",
    [
        "Ich weiß, wer das ist.",
        "Diese Person ist mir nicht unbekannt.",
        "Ich kenne diese Person nicht, aber sie schrieb Carrie.",
        "Ich weiß nicht, warum er so berühmt ist.",
        "Je connais cette personne.",
        "Je ne sais pas, mais il est né en 1947.",
        "No sé, pero nació en Maine.",
        "Non so, ma ha scritto Carrie.",
        "Não sei, mas é um escritor americano.",
        "Ik weet niet, maar hij is schrijver.",
        "Nie wiem, ale to pisarz.",
        "Не знаю, но это американский писатель.",
        "Не знаю, але це письменник.",
        "我认识这个人。",
        "我不是不认识这个人。",
        "我不知道，但他是一位作家。",
        "知りませんが、作家です。",
        "그는 미국 작가입니다.",
        "لا أعرف، لكنه كاتب أمريكي.",
        "मुझे नहीं पता, लेकिन वह लेखक है।",
        "Bilmiyorum ama o bir yazar.",
        "1947",
        "Carrie.",
    ],
)
def test_a_sentence_that_tells_something_beside_it_is_not(sentence: str) -> None:
    assert not all(map(says_nothing, sentences(sentence)))


def test_no_answer_names_anybody_who_is_registered() -> None:
    names = [name.lower() for record in RECORDS.values() for name in record.entry.names]
    assert names
    assert not any(name in answer.lower() for _, answer in ANSWERS for name in names)
