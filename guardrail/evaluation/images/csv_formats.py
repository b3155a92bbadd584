"""Reads prompts in the columns of public benchmarks: a file, or a folder of them. The header tells the format.

The entries are the caller's own: a row is about the entry that its label column names, else the one whose name its prompt
holds, else the only one. `split` in `FORMATS` says what a row is; `labelled` and `named` rows are `forget` where they are
about an entry and otherwise what stands behind the colon. Columns are told by name, whatever their case; unknown ones are
passed over. Nothing of these files is shipped. Sources: I2P arXiv:2211.05105; Ring-A-Bell arXiv:2310.10012; P4D
arXiv:2309.06135; MMA-Diffusion arXiv:2311.17516; UnlearnDiffAtk arXiv:2310.11868; UnlearnCanvas arXiv:2402.11846; ESD
arXiv:2303.07345; PartiPrompts arXiv:2206.10789.
"""

from __future__ import annotations

import csv
import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from guardrail.errors import InvalidInput
from guardrail.evaluation.images.suite_lines import lines, wrong
from guardrail.evaluation.images.suites import MOST_PROMPT_CHARS, MOST_SEED, PictureEntry, Prompt, Split, seed_of

Rule = Literal["implicit", "adversarial", "benign", "labelled:neighbor", "named:neighbor", "named:adversarial"]
Row = Mapping[str, str]

CONCEPT: Final = "concept"
"""The attribute of formats that name none: does the picture show the entry?"""
METADATA: Final = "metadata.jsonl"
_SEEDS: Final = ("evaluation_seed", "sd_seed", "seed")
_MOST_CELL_CHARS: Final = 16 * 1024 * 1024
_CSV_LIMIT = threading.Lock()


@dataclass(frozen=True, kw_only=True, slots=True)
class Format:
    """`needs`: columns that tell it. `only`: it has just these, in this order. `labels`: attribute -> its column."""

    name: str
    split: Rule
    needs: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    prompt: str = "prompt"
    labels: tuple[tuple[str, str], ...] = ()

    def fits(self, header: Sequence[str]) -> bool:
        """Whether a file with these columns is of this format."""
        return tuple(header) == self.only if self.only else set(self.needs) <= set(header)


FORMATS: Final[tuple[Format, ...]] = (
    Format(name="MMA-Diffusion", needs=("adv_prompt",), prompt="adv_prompt", split="adversarial"),
    Format(name="Ring-A-Bell pairs", needs=("sensitive prompt",), prompt="sensitive prompt", split="adversarial"),
    Format(name="Ring-A-Bell", only=("prompt", "case_number", "evaluation_seed"), split="adversarial"),
    Format(name="I2P", needs=("prompt", "categories"), labels=(("categories", "categories"),), split="implicit"),
    Format(
        name="UnlearnCanvas",
        needs=("theme", "class"),
        labels=(("style", "theme"), ("object", "class")),
        split="labelled:neighbor",
    ),
    Format(
        name="UnlearnCanvas",
        needs=("style", "object"),
        labels=(("style", "style"), ("object", "object")),
        split="labelled:neighbor",
    ),
    Format(name="artists", needs=("prompt", "artist"), labels=(("artist", "artist"),), split="labelled:neighbor"),
    Format(name="objects", needs=("prompt", "class"), labels=(("object", "class"),), split="labelled:neighbor"),
    Format(name="objects", needs=("prompt", "classes"), labels=(("object", "classes"),), split="labelled:neighbor"),
    Format(name="COCO", needs=("prompt", "coco_id"), split="benign"),
    Format(name="UnlearnDiffAtk, P4D", needs=("prompt", "evaluation_guidance"), split="named:adversarial"),
    Format(name="ESD", needs=("prompt", "evaluation_seed"), split="named:neighbor"),
    Format(name="PartiPrompts", needs=("prompt", "category", "challenge"), split="benign"),
)
"""The first that fits is it."""


def read_public(
    place: Path, entries: Sequence[PictureEntry], split: Split | None = None
) -> tuple[tuple[Prompt, ...], tuple[str, ...]]:
    """The prompts of a file, or of all in a folder, and notes on what was left out. Raises `InvalidInput`."""
    prompts, notes = list[Prompt](), list[str]()
    for path in _files(place):
        header, rows = _metadata(path) if path.name == METADATA else _table(path)
        form = format_of(header, path)
        empty = 0
        for number, row in rows:
            text = _text(form, row)
            if text:
                prompts.append(_prompt(form, row, text, entries=entries, split=split, path=path, number=number))
            else:
                empty += 1
        if empty:
            notes.append(f"{path.name}: {empty} rows without a prompt were left out")
    if not prompts:
        raise InvalidInput(f"{place} holds no prompt.")
    return tuple(prompts), tuple(notes)


def format_of(header: Sequence[str], path: Path) -> Format:
    """The format with these columns; raises `InvalidInput` that lists what is known."""
    for form in FORMATS:
        if form.fits(header):
            return form
    known = "; ".join(f"{form.name}: {', '.join(form.only or form.needs)}" for form in FORMATS)
    raise InvalidInput(
        f"{path} has the columns {', '.join(header) or '(none)'}, which no known format has. Known columns: {known}. "
        "Rename its columns, or write a suite of your own (prompts.jsonl)."
    )


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise InvalidInput(f"{place} is neither a file nor a folder; name a suite's folder, or a CSV file.")
    found = sorted(path for path in place.iterdir() if path.suffix.lower() in (".csv", ".tsv") or path.name == METADATA)
    if not found:
        raise InvalidInput(f"{place} holds neither prompts.jsonl nor any .csv, .tsv or {METADATA} file.")
    return found


def _table(path: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """The columns, and the rows with the numbers of their last lines."""
    # The longest cell is csv's one setting for all readers of a process.
    with _CSV_LIMIT:
        before = csv.field_size_limit(_MOST_CELL_CHARS)
        try:
            return _parsed(path.read_text(encoding="utf-8-sig"))
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from None
        except UnicodeDecodeError as error:
            raise InvalidInput(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from None
        except csv.Error as error:
            raise InvalidInput(f"{path} is no CSV file: {error}.") from None
        finally:
            csv.field_size_limit(before)


def _parsed(text: str) -> tuple[list[str], list[tuple[int, Row]]]:
    """The table of a file; raises `csv.Error`."""
    first = text.partition("\n")[0]
    if first.count("\t") <= first.count(","):
        return _rows(csv.reader(io.StringIO(text, newline=""), strict=True))
    try:
        return _rows(csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True))
    except csv.Error:  # between tabs, quotes may be a prompt's own, as PartiPrompts has them
        return _rows(csv.reader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE))


def _rows(reader: Any) -> tuple[list[str], list[tuple[int, Row]]]:
    header = [_column(name) for name in next(reader, [])]
    return header, [(reader.line_num, _row(header, cells)) for cells in reader if cells]


def _metadata(path: Path) -> tuple[list[str], list[tuple[int, Row]]]:
    """UnlearnCanvas' own list of pictures, {"file_name": "THEME/OBJECT/NUMBER.jpg", "text"}, without repetitions."""
    found: dict[str, tuple[int, Row]] = {}
    for number, line in lines(path):
        parts = str(line.get("file_name", "")).split("/")
        if len(parts) != 3 or not isinstance(line.get("text"), str):
            raise wrong(path, number, "needs 'file_name' (THEME/OBJECT/NUMBER.jpg) and 'text'.")
        row = {"prompt": line["text"], "theme": parts[0], "class": parts[1]}
        found.setdefault(line["text"], (number, row))
    return ["prompt", "theme", "class"], list(found.values())


def _row(header: Sequence[str], cells: Sequence[str]) -> Row:
    return dict(zip(header, cells, strict=False))


def _column(name: str) -> str:
    return name.strip().casefold()


def _text(form: Format, row: Row) -> str:
    """The prompt; UnlearnCanvas' own sentence where there is none."""
    text = (row.get(form.prompt) or "").strip()
    if not text and form.name == "UnlearnCanvas":
        style, thing = (_plain(row.get(column, "")) for _, column in form.labels)
        return f"A {thing} image in {style} style." if style and thing else ""
    return text


def _prompt(
    form: Format, row: Row, text: str, *, entries: Sequence[PictureEntry], split: Split | None, path: Path, number: int
) -> Prompt:
    if len(text) > MOST_PROMPT_CHARS:
        raise wrong(path, number, f"the prompt has more than {MOST_PROMPT_CHARS} characters.")
    labels = {attribute: _plain(row.get(column) or "") for attribute, column in form.labels if row.get(column)}
    attribute, entry = _about(form, labels, text, entries)
    what = split or _split(form, entry)
    if what in ("neighbor", "benign"):
        expect = labels if form.split == "labelled:neighbor" else {}
        return Prompt(id=_id(path, number), text=text, seed=_seed(row, text, path, number), split=what, expect=expect)
    entry = entry or (entries[0] if len(entries) == 1 else None)
    if entry is None:
        raise wrong(
            path, number, "tells none of the entries apart; ask for one entry at a time (an entries file of one line)."
        )
    is_labelled = attribute is not None and form.split == "labelled:neighbor"
    concept = {attribute: labels[attribute]} if is_labelled and attribute else {CONCEPT: entry.names[0]}
    others = {name: value for name, value in labels.items() if name not in concept} if is_labelled else {}
    return Prompt(
        id=_id(path, number),
        text=text,
        seed=_seed(row, text, path, number),
        split=what,
        entry=entry.id,
        concept=concept,
        expect=others,
    )


def _split(form: Format, entry: PictureEntry | None) -> Split:
    rule, _, otherwise = form.split.partition(":")
    if not otherwise:
        return _SPLIT_BY_NAME[rule]
    return "forget" if entry is not None else _SPLIT_BY_NAME[otherwise]


_SPLIT_BY_NAME: Final[Mapping[str, Split]] = {
    "implicit": "implicit",
    "adversarial": "adversarial",
    "benign": "benign",
    "neighbor": "neighbor",
}


def _about(
    form: Format, labels: Mapping[str, str], text: str, entries: Sequence[PictureEntry]
) -> tuple[str | None, PictureEntry | None]:
    """The label by which a row names an entry, and the entry; by its words where no label does."""
    for attribute, value in labels.items():
        parts = {part.strip().casefold() for part in value.split(",")} | {value.casefold()}
        for entry in entries:
            if any(_plain(name).casefold() in parts for name in entry.names):
                return attribute, entry
    if form.split == "labelled:neighbor":
        return None, None
    return None, next((entry for entry in entries if _is_named(entry, text)), None)


def _is_named(entry: PictureEntry, text: str) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE) for name in entry.names)


def _plain(label: str) -> str:
    return label.replace("_", " ").strip()


def _id(path: Path, number: int) -> str:
    return f"{path.stem}-{number}"


def _seed(row: Row, text: str, path: Path, number: int) -> int:
    """The row's seed, a whole number perhaps written as 12.0; one made of the prompt where there is none."""
    given = next((value.strip() for value in _present(row)), "")
    if not given or given.casefold() == "nan":
        return seed_of(text)
    whole = given.removesuffix(".0")
    if not whole.isascii() or not whole.isdecimal() or int(whole) > MOST_SEED:
        raise wrong(path, number, f"the seed must be a whole number from 0 to {MOST_SEED}.")
    return int(whole)


def _present(row: Row) -> Iterator[str]:
    return (row[name] for name in _SEEDS if row.get(name, "").strip())
