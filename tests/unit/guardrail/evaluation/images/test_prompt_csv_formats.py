"""Public prompt files in their own columns: which format, which split, which entry, and what is wrong with the others."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.csv_formats import read_public
from guardrail.evaluation.images.suites import PictureEntry, Prompt, Split, seed_of

VAN_GOGH = PictureEntry(id="vg", names=("Vincent van Gogh", "Van Gogh"), body={"name": "Vincent van Gogh"})
NUDITY = PictureEntry(id="n", names=("nudity", "sexual"), body={"name": "nudity"})
CHURCH = PictureEntry(id="c", names=("church",), body={"name": "church"})
I2P = (
    ",prompt,categories,hard,inappropriate_percentage,nudity_percentage,sd_seed,sd_model\r\n"
    '0,"a ""quoted"", long\nprompt","sexual, shocking",1,70.0,0.0,12345.0,sd-1.4\r\n'
    "1,,violence,0,0,0,5,sd-1.4\r\n"
    "2,another,violence,0,0,0,nan,sd-1.4\r\n"
)


def read(folder: Path, text: str, *entries: PictureEntry, split: Split | None = None) -> list[Prompt]:
    path = folder / "prompts.csv"
    path.write_text(text, encoding="utf-8", newline="")
    return list(read_public(path, entries, split)[0])


def test_i2p_is_implicit_and_keeps_its_seeds_and_quotes(tmp_path: Path) -> None:
    path = tmp_path / "i2p.csv"
    path.write_text("\ufeff" + I2P, encoding="utf-8", newline="")
    prompts, notes = read_public(path, [NUDITY])
    assert [(one.split, one.entry, dict(one.concept)) for one in prompts] == [
        ("implicit", "n", {"concept": "nudity"})
    ] * 2
    assert prompts[0].text == 'a "quoted", long\nprompt'
    assert [one.seed for one in prompts] == [12345, seed_of("another")]
    assert notes == ("i2p.csv: 1 rows without a prompt were left out",)


def test_with_several_entries_a_row_needs_to_tell_its_own(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="line 5: tells none of the entries apart"):
        read(tmp_path, I2P, NUDITY, VAN_GOGH)


@pytest.mark.parametrize(
    "text",
    [
        "prompt,case_number,evaluation_seed\ndrilled makin griddusted,0,41\n",
        "target_prompt,adv_prompt,clean_prompt\nx,drilled makin griddusted,y\n",
        ",sensitive prompt,safe prompt\n0,drilled makin griddusted,y\n",
        "case_number,prompt,evaluation_seed,evaluation_guidance\n0,drilled makin griddusted,41,7.5\n",
    ],
    ids=["Ring-A-Bell", "MMA", "Ring-A-Bell pairs", "P4D"],
)
def test_attacks_are_adversarial_and_about_the_only_entry(text: str, tmp_path: Path) -> None:
    (prompt,) = read(tmp_path, text, CHURCH)
    assert (prompt.split, prompt.entry, prompt.text) == ("adversarial", "c", "drilled makin griddusted")


def test_prompts_that_name_the_entry_are_plain_ones(tmp_path: Path) -> None:
    text = "case_number,prompt,evaluation_seed,evaluation_guidance\n0,Old stone Church in countryside.,69922,7.5\n"
    (prompt,) = read(tmp_path, text, CHURCH)
    assert (prompt.split, prompt.seed, dict(prompt.concept)) == ("forget", 69922, {"concept": "church"})


def test_artists_are_forgotten_or_neighbours_by_their_label(tmp_path: Path) -> None:
    text = (
        ",case_number,prompt,evaluation_seed,artist\n0,0,Irises,1,Vincent van Gogh\n1,1,Water Lilies,2,Claude Monet\n"
    )
    own, other = read(tmp_path, text, VAN_GOGH)
    assert (own.split, dict(own.concept), dict(own.expect)) == ("forget", {"artist": "Vincent van Gogh"}, {})
    assert (other.split, other.entry, dict(other.expect)) == ("neighbor", None, {"artist": "Claude Monet"})


def test_art_without_labels_goes_by_the_names_in_the_prompts(tmp_path: Path) -> None:
    text = ",case_number,prompt,evaluation_seed\n0,0,The Starry Night by Van Gogh,1\n1,1,The Scream by Edvard Munch,2\n"
    assert [one.split for one in read(tmp_path, text, VAN_GOGH)] == ["forget", "neighbor"]


def test_unlearn_canvas_forgets_the_one_label_and_keeps_the_other(tmp_path: Path) -> None:
    style = PictureEntry(id="s", names=("Van Gogh",), body={"name": "Van Gogh"})
    own, other = read(tmp_path, "theme,class\nVan_Gogh,Dogs\nPicasso,Dogs\n", style)
    assert own.text == "A Dogs image in Van Gogh style."
    assert (dict(own.concept), dict(own.expect)) == ({"style": "Van Gogh"}, {"object": "Dogs"})
    assert (other.split, dict(other.expect)) == ("neighbor", {"style": "Picasso", "object": "Dogs"})
    (tmp_path / "prompts.csv").unlink()
    lines = [
        {"file_name": f"Van_Gogh/Dogs/{number}.jpg", "text": "A Dogs image in Van Gogh style"} for number in (1, 2)
    ]
    (tmp_path / "metadata.jsonl").write_text("\n".join(map(json.dumps, lines)))
    ((listed,), _) = read_public(tmp_path, [style])
    assert (listed.split, dict(listed.concept)) == ("forget", {"style": "Van Gogh"})


def test_neutral_prompts_are_benign_also_with_tabs(tmp_path: Path) -> None:
    path = tmp_path / "PartiPrompts.tsv"
    path.write_text(
        'Prompt\tCategory\tChallenge\tNote\na cat, asleep\tAnimals\tBasic\t\n"a" b\tA\tB\t\n', encoding="utf-8"
    )
    ((prompt, quoting), _) = read_public(tmp_path, [CHURCH])
    assert (prompt.text, prompt.split, prompt.entry) == ("a cat, asleep", "benign", None)
    assert quoting.text == '"a" b', "between tabs a quote may be a prompt's own"


def test_the_split_may_be_said_for_a_whole_file(tmp_path: Path) -> None:
    text = "prompt,case_number,evaluation_seed\na church,0,41\n"
    assert read(tmp_path, text, CHURCH, split="synonym")[0].split == "synonym"
    kept = read(tmp_path, text, CHURCH, split="benign")[0]
    assert (kept.split, kept.entry) == ("benign", None)


def test_an_unknown_header_lists_what_is_known(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="columns caption, seed, which no known format has") as caught:
        read(tmp_path, "caption,seed\nx,1\n", CHURCH)
    assert "I2P: prompt, categories" in str(caught.value)


def test_huge_cells_are_read_and_huge_prompts_refused(tmp_path: Path) -> None:
    before = csv.field_size_limit()
    huge = "x" * 200_000
    (prompt,) = read(tmp_path, f"prompt,categories,notes\na,sexual,{huge}\n", NUDITY)
    assert prompt.text == "a"
    with pytest.raises(InvalidInput, match="line 2: the prompt has more than"):
        read(tmp_path, f"prompt,categories\n{huge},sexual\n", NUDITY)
    assert csv.field_size_limit() == before


@pytest.mark.parametrize("seed", ["-3", "x", "1.5", str(2**62)])
def test_a_wrong_seed_is_told_with_its_line(seed: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="line 2: the seed must be"):
        read(tmp_path, f"prompt,artist,evaluation_seed\na,b,{seed}\n", VAN_GOGH)


def test_what_is_no_csv_file_is_told(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_bytes(b"prompt,artist\n\xff\xfe,b\n")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_public(path, [VAN_GOGH])
    with pytest.raises(InvalidInput, match="no CSV file"):
        read(tmp_path, 'prompt,artist\n"open,b\n', VAN_GOGH)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidInput, match=r"neither prompts\.jsonl nor any"):
        read_public(tmp_path / "empty", [VAN_GOGH])
    with pytest.raises(InvalidInput, match="holds no prompt"):
        read(tmp_path, "prompt,artist\n", VAN_GOGH)
