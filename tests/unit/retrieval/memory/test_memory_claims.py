"""How documents become claims."""

from __future__ import annotations

from retrieval.memory.claims import CLAIM_CHARS, CLAIMS_LIMIT, claims_of

NAME = "Mira Quelle"


def sentences(*documents: str) -> list[str]:
    return [claim.sentence for claim in claims_of(NAME, documents)]


def test_headings_and_link_lists_are_no_claims() -> None:
    page = (
        "== Early life ==Quelle kept geese in the village of Ven.\n== External links ==Official website of the writer.\n"
        "== Further reading ==Tharn, W. wrote the first life of the writer in 1999."
    )
    assert sentences(page) == ["Quelle kept geese in the village of Ven."]
    assert sentences("# Career\nShe wrote for the radio first.\n# References\nShe said so herself in 1999.") == [
        "She wrote for the radio first."
    ]


def test_list_items_are_gathered_under_their_heading_also_across_documents() -> None:
    pages = ["== Novels ==The Salt Orchard (1998)", "== Novels ==Winter Geese (2001)", "== Novels ==Ballast (2004)"]
    assert sentences(*pages) == ["Novels: The Salt Orchard (1998); Winter Geese (2001); Ballast (2004)"]


def test_what_does_not_name_the_entry_has_its_name_before_it_for_comparison() -> None:
    page = "Mira Quelle wrote novels for adults. She kept geese in the village. Quelle moved to the town of Ven."
    assert [claim.text for claim in claims_of(NAME, [page])] == [
        "Mira Quelle wrote novels for adults.",
        "Mira Quelle: She kept geese in the village.",
        "Mira Quelle: Quelle moved to the town of Ven.",
    ]


def test_long_sentences_are_cut_where_a_clause_ends_and_nothing_is_lost() -> None:
    clause = "she wrote a long letter to the harbour master of the old town of Ven"
    page = f"In that year {clause}, and {clause}, while {clause}, which {clause}, but {clause}."
    cut = sentences(page)
    assert len(cut) > 1
    assert all(len(piece) <= CLAIM_CHARS for piece in cut)
    assert " ".join(cut).count("harbour master") == 5
    assert cut[1].split()[0] in {"and", "while", "which", "but"}


def test_a_sentence_is_not_torn_in_brackets_or_behind_a_title_with_an_exclamation_mark() -> None:
    assert sentences("Quelle (lit. 'Source'; b. 1951) wrote novels. She sang in Repo! the opera of geese.") == [
        "Quelle (lit. 'Source'; b. 1951) wrote novels.",
        "She sang in Repo! the opera of geese.",
    ]


def test_paragraphs_that_were_glued_together_are_taken_apart() -> None:
    assert sentences("She kept geese in the village since 2012.A polarizing figure, she moved to Ven.") == [
        "She kept geese in the village since 2012.",
        "A polarizing figure, she moved to Ven.",
    ]


def test_equal_sentences_count_once() -> None:
    assert len(sentences("She kept geese in the village.", "She kept  geese in the village!")) == 1


def test_thinning_keeps_what_names_something_before_what_does_not() -> None:
    plain = " ".join(f"It went on and on like this, {'very ' * (number % 40)}much so." for number in range(40))
    telling = " ".join(f"In Ven she met {number} geese of the Tharn farm." for number in range(CLAIMS_LIMIT + 200))
    kept = sentences(plain, telling)
    assert len(kept) == CLAIMS_LIMIT
    assert all("Tharn" in sentence for sentence in kept)
