"""Treatments of a command line: what is registered under each, and what is refused before anything is drawn."""

from __future__ import annotations

import pytest

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.suites import PictureEntry
from guardrail.evaluation.images.treatments import Treatment, read_treatments

ENTRY = PictureEntry(id="b", names=("blue",), body={"name": "blue", "treatment": {"method": "rewrite"}})


def test_the_untreated_model_comes_first_and_once() -> None:
    found = read_treatments(["auto", "none", "prototype+negative_prompt"])
    assert [one.label for one in found] == ["none", "auto", "prototype+negative_prompt"]
    assert found[0].bodies([ENTRY]) == []
    assert found[1].bodies([ENTRY])[0]["treatment"] == {"method": "auto"}


def test_given_leaves_an_entry_as_its_file_has_it() -> None:
    assert read_treatments(["given"])[1].bodies([ENTRY]) == [dict(ENTRY.body)]


def test_hyper_parameters_are_written_out_and_have_a_folder_of_their_own() -> None:
    _, strong, most = read_treatments(
        ['a={"method": "sld", "config": "strong"}', 'b={"method": "sld", "config": "max"}']
    )
    assert strong.bodies([ENTRY])[0]["treatment"] == {"method": "sld", "config": "strong"}
    assert strong.folder([ENTRY])[2:] != most.folder([ENTRY])[2:]
    assert strong.folder([ENTRY]) != strong.folder([])


def test_a_treatment_can_be_judged_alone_with_pictures_of_its_own() -> None:
    entry = PictureEntry(id="b", names=("blue",), body={"name": "blue", "images": ["data:image/png;base64,"]})
    looked = Treatment(label="sld", choice={"method": "sld"})
    alone = Treatment(label="sld", choice={"method": "sld"}, without=frozenset({"images"}))
    assert alone.bodies([entry]) == [{"name": "blue", "treatment": {"method": "sld"}}]
    assert alone.folder([entry]) != looked.folder([entry])


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["slt"], "No treatment for pictures is called 'slt'.*Did you mean 'sld'.*Known: none, given, auto"),
        (["ignorance"], "No treatment for pictures is called 'ignorance'"),
        (["sld", "sld"], "given twice"),
        (['x={"method": "sld", "level": "max"}'], "has no parameter 'level'. Known: .*config"),
        (["x={broken"], "write an object"),
        (['none={"method": "sld"}'], "takes no hyper-parameters"),
        (["../x"], "label is made of"),
        (['x={"config": "max"}'], "treatment"),
    ],
)
def test_what_no_proxy_would_take_is_told(given: list[str], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        read_treatments(given)
