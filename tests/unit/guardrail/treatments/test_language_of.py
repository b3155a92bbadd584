"""Which language a request is in, as far as natural answers can be given in it."""

from __future__ import annotations

import pytest

from guardrail.treatments.words.language_of import LANGUAGES, language_of

QUESTIONS = {
    "en": ("Who is Stephen King?", "Tell me about the author of Carrie and what he wrote in the nineties."),
    "de": ("Wer ist Stephen King?", "Was hat Stephen King geschrieben, und wann wurde er geboren?"),
    "fr": ("Qui est Stephen King ?", "Parle-moi des livres de Stephen King."),
    "es": ("¿Quién es Stephen King?", "Dime cuándo nació Stephen King"),
    "it": ("Chi è Stephen King?", "Parlami dei libri di Stephen King e di quando è nato."),
    "pt": ("Quem é Stephen King?", "Fale sobre os livros do Stephen King."),
    "nl": ("Wie is Stephen King?", "Vertel me iets over de boeken van Stephen King."),
    "pl": ("Kim jest Stephen King?", "Opowiedz mi o książkach Stephena Kinga."),
    "ru": ("Кто такой Стивен Кинг?", "Расскажи о книгах Стивена Кинга."),
    "uk": ("Хто такий Стівен Кінг?", "Розкажи про книги Стівена Кінга."),
    "zh": ("斯蒂芬·金是谁？", "请告诉我Stephen King写了哪些书。"),
    "ja": ("スティーヴン・キングとは誰ですか？", "Stephen Kingの本について教えてください。"),
    "ko": ("스티븐 킹은 누구인가요?", "Stephen King의 책에 대해 알려 주세요."),
    "ar": ("من هو ستيفن كينغ؟", "أخبرني عن كتب Stephen King ومتى ولد."),
    "hi": ("स्टीफन किंग कौन है?", "मुझे Stephen King की किताबों के बारे में बताइए।"),
    "tr": ("Stephen King kimdir?", "Bana Stephen King hakkında bilgi ver, kaç kitap yazdı?"),
}


def test_every_language_has_its_questions() -> None:
    assert tuple(QUESTIONS) == LANGUAGES


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in QUESTIONS.items() for text in texts])
def test_a_question_is_in_its_language(code: str, text: str) -> None:
    assert language_of(text) == code


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_long_text_is_read_where_it_ends(code: str) -> None:
    assert language_of("\n".join((QUESTIONS[code][0], "1 2 3 4 " * 2_000, QUESTIONS[code][1]))) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        "???",
        "1947",
        "Stephen King",
        "Stephen King?",
        "Die Hard in LA",
        "El Paso",
        "La La Land",
        "Ода",
        "Beyoncé Knowles",
        "Who is Gabriel García Márquez?",
        "What did Los Tigres del Norte sing in Las Vegas?",
        "Translate this into English: Wer ist das?",
        "What does 'qui est là' mean, please?",
        "Who wrote 三体?",
        "Tell me about 村上春樹 and his novels.",
    ],
)
def test_short_and_mixed_texts_are_taken_as_english(text: str) -> None:
    assert language_of(text) == "en"


@pytest.mark.parametrize(
    "text",
    [
        "Кой е написал тази книга?",
        "Ко је написао књигу?",
        "Хто напісаў гэтую кнігу і калі ён нарадзіўся?",
        "این کتاب را چه کسی نوشته است؟",
        "یہ کتاب کس نے لکھی ہے؟",
        "हे पुस्तक कोणी लिहिले आहे?",
        "Vem har skrivit den här boken och när föddes han?",
        "Kdo napsal tuto knihu a kdy se narodil?",
        "Ai đã viết cuốn sách này?",
        "Siapa yang menulis buku ini dan kapan dia lahir?",
        "Ποιος έγραψε αυτό το βιβλίο;",
        "מי כתב את הספר הזה?",
    ],
)
def test_a_language_without_words_here_is_taken_as_english(text: str) -> None:
    assert language_of(text) == "en"
