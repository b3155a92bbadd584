"""What an entry can be gripped by without its name."""

from __future__ import annotations

from retrieval.memory.handles import HandleTable, handles_of
from tests.fakes.people import person

PAGE = (
    'Her first novel was The Salt Orchard of Ven. With Tharn Verlag she published "Winter Geese" in May. '
    "The Salt Orchard of Ven won the Brodersen Prize in Germany. In New York she met Mira."
)


def handles(name: str, page: str) -> list[str]:
    return [handle.text for handle in handles_of(person(name, documents=[page]))]


def test_titles_and_names_on_the_page_are_handles_the_most_frequent_first() -> None:
    found = handles("Mira Quelle", PAGE)
    assert {"Tharn Verlag", "Winter Geese", "Brodersen Prize"} <= set(found)
    assert found[0] == "Salt Orchard of Ven"


def test_the_entrys_own_name_months_and_common_places_are_none() -> None:
    assert not {"Mira", "Quelle", "May", "Germany", "New York"} & set(handles("Mira Quelle", PAGE))


def test_what_other_entries_have_too_is_less_special() -> None:
    table = HandleTable()
    shared = "She danced in the Tharn Ballet of Ven. "
    table.put("a", handles_of(person("Mira Quelle", documents=[shared + "She wrote the Salt Orchard Songs alone."])))
    for number in range(3):
        table.put(f"b{number}", handles_of(person("Odo Brask", documents=[shared])))
    assert next(handle.text for handle in table.ranked("a")) == "Salt Orchard Songs"
    table.put("a", ())
    assert table.ranked("a") == []
