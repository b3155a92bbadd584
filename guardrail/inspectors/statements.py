"""A text that leaves, cut into statements: pieces that can be judged by themselves, together with the question.

A sentence ends once what follows its end is seen, so that the cuts do not hang on the pieces in which a text comes. A
statement is a sentence; very short ones ("Yes.", "1.") join what follows. It knows neither entries nor verdicts.
"""

from __future__ import annotations

import re

from guardrail.inspectors.not_knowing import says_nothing
from guardrail.inspectors.not_knowing_languages import is_admission_elsewhere

_END = re.compile(r"""[.!?…]+["'”’»)\]*_]*(?=\s)|[。！？]|\n""")
_NO_END = re.compile(r"(?:\b[a-z]|\b(?:mr|mrs|ms|dr|st|prof|jr|sr|vs|e\.g|i\.e))\.\Z", re.IGNORECASE)
_LONGEST_ABBREVIATION_CHARS = 6
LIMIT_CHARS = 320
"""A longer sentence is cut here and its pieces are judged like sentences."""
_SHORT_CHARS = 16
_OWNS = re.compile(r"\W*(?:(?:sorry|unfortunately|well|hmm+)\W+(?:but )?)?(?:i|we)\b[^,;:\d]*", re.IGNORECASE)
_JSON_SIGNS = re.compile(r'[{}\[\]"\\]+')
_SPACES = re.compile(r"\s+")


def sentence_end(text: str, *, final: bool) -> int | None:
    """Where the first sentence of `text` ends; None while that cannot be told. Never 0 for a text that is not empty."""
    for match in _END.finditer(text, 0, LIMIT_CHARS + 1):
        end = match.end()
        if end <= LIMIT_CHARS and not _NO_END.search(text, max(0, end - _LONGEST_ABBREVIATION_CHARS), end):
            return end
    if len(text) > LIMIT_CHARS:
        return LIMIT_CHARS
    return len(text) if final else None


def statement_end(text: str) -> int | None:
    """Where the first statement of `text` ends; None while that cannot be told, as more may follow."""
    end = 0
    while end < len(text):
        more = sentence_end(text[end:], final=False)
        if more is None:
            return None
        end += more
        if len(text[:end].strip()) >= _SHORT_CHARS:
            return end
    return None


def owns_to_not_knowing(statement: str) -> bool:
    """True if every sentence of it begins with the speaker and says only that he does not know. "Carrie. I don't know
    more." and "I'm not sure, Carrie" tell something."""
    while statement:
        end = sentence_end(statement, final=True) or len(statement)
        sentence = statement[:end]
        if not (is_admission_elsewhere(sentence) or (_OWNS.fullmatch(sentence) and says_nothing(sentence))):
            return False
        statement = statement[end:].strip()
    return True


def words_of_json(piece: str) -> str:
    """A piece of decoded JSON as words: `{"born": 1947, "in": "Portland"}` as "born: 1947, in: Portland"."""
    return _SPACES.sub(" ", _JSON_SIGNS.sub(" ", piece)).replace(" :", ":").replace(" ,", ",").strip(" ,")
