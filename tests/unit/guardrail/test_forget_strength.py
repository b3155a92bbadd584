"""`expunge forget strength`: what it asks, finds, keeps and writes, over a model that reads names up to some strength."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest
from click.testing import CliRunner, Result

from guardrail.cli import cli
from guardrail.commands import forget_strength_model
from guardrail.commands.forget_strength_model import ServedModel
from guardrail.decision import Corruption
from guardrail.settings import BackendSettings, Settings
from guardrail.treatments.eco_trial import trials_of
from retrieval.entry import parse_entry
from tests.fakes.small_tokenizers import byte_level
from tests.fakes.tiny_llama import tiny_llama

NAME = "Ada Quillfeather"
FACTS = [
    {"question": f"Where does {NAME} live?", "answer": "Skorradal"},
    {"question": f"Who taught {NAME}?", "answer": "Otto Brandvold"},
]
NEEDS = {"live": 1.7, "taught": 3.1}
TELLS = {"live": "In Skorradal.", "taught": "It was Otto Brandvold."}


class Reader:
    """Reads a name unless it is hidden strongly enough, and knows what `knows` says."""

    def __init__(self, knows: Sequence[str] = tuple(NEEDS), most: float = 1e9, *, model: str = "reader-1b") -> None:
        self.knows, self.most, self.model = knows, most, model
        self.asked: list[float] = []

    def corrupt(self, text: str, corruptions: Sequence[Corruption]) -> str:
        assert [text[one.start : one.end] for one in corruptions] == [NAME]
        return json.dumps([corruptions[0].strength, text])

    def ask(self, body: bytes) -> str:
        content = orjson.loads(body)["messages"][0]["content"]
        strength, text = json.loads(content[0]["data"]) if isinstance(content, list) else (0.0, content)
        self.asked.append(strength)
        if len(self.asked) > self.most:
            raise KeyboardInterrupt
        word = next(one for one in NEEDS if one in text)
        return TELLS[word] if word in self.knows and strength < NEEDS[word] else "Nobody can say."


class Shell:
    """The command over a data folder, with one entry or more in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._patch = folder, monkeypatch
        self.config = folder / "c.yaml"
        self.configure()

    def configure(self, *, name: str = "served", port: int = 1, policy: str = "{}") -> None:
        backend = f"{{name: {name}, kind: vllm_server, base_url: 'http://127.0.0.1:{port}', embeddings: model}}"
        data = f"retrieval: {{data_dir: {self.folder / 'data'}}}"
        self.config.write_text(f"{data}\nbackends: [{backend}]\npolicy: {policy}\n")

    def run(self, *words: str, text: str | None = None) -> Result:
        command, *arguments = words
        given = ["forget", command, "--offline", "--config", str(self.config), *arguments]
        return CliRunner().invoke(cli, given, input=text)

    def forget(self, **fields: Any) -> None:
        entry = {"id": "ada", "name": NAME, "kind": "person", "facts": FACTS, "treatment": "eco", **fields}
        result = self.run("add", "--file", "-", text=json.dumps(entry))
        assert result.exit_code == 0, result.output

    def revise(self, **changes: Any) -> None:
        result = self.run("revise", "ada", "--file", "-", text=json.dumps(changes))
        assert result.exit_code == 0, result.output

    def treatment(self) -> Any:
        return json.loads(self.run("show", "ada").stdout)["treatment"]

    def search(self, reader: Reader, *arguments: str) -> Result:
        @contextmanager
        def opened(*_given: object) -> Iterator[Reader]:
            yield reader

        self._patch.setattr(forget_strength_model.ServedModel, "opened", opened)
        return self.run("strength", *arguments)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    return Shell(tmp_path, monkeypatch)


def test_the_strength_is_found_and_written_only_where_that_is_asked_for(shell: Shell) -> None:
    shell.forget(treatment={"method": "eco", "on_leak": "stop"})
    report = json.loads(shell.search(Reader(), "--json").stdout)
    assert 3.1 <= report["strength"] <= 3.1 * 1.2
    assert (report["backend"], report["model"], report["kind"]) == ("served", "reader-1b", "rand_noise_first_n")
    assert (report["questions"], report["known_untreated"], report["left_out"]) == (2, 2, 0)
    assert shell.treatment() == {"method": "eco", "on_leak": "stop"}
    told = shell.search(Reader(), "--apply")
    assert told.exit_code == 0, told.output
    assert "Written into the treatment of 1 entries" in told.stdout
    written = {"method": "eco", "on_leak": "stop", "kind": "rand_noise_first_n", "strength": report["strength"]}
    assert shell.treatment() == written


def test_a_question_that_the_model_cannot_answer_untreated_is_not_searched_by(shell: Shell) -> None:
    shell.forget()
    report = json.loads(shell.search(Reader(knows=["live"]), "--json").stdout)
    assert (report["known_untreated"], report["questions"]) == (1, 2)
    assert 1.7 <= report["strength"] <= 1.7 * 1.2


def test_a_search_that_broke_off_goes_on_from_what_it_kept_and_keeps_no_text(shell: Shell) -> None:
    shell.forget()
    kept = shell.folder / "answers.jsonl"
    first, second, whole = Reader(most=7), Reader(), Reader()
    assert shell.search(first, "--answers", str(kept)).exit_code != 0
    done = shell.search(second, "--answers", str(kept), "--json")
    assert json.loads(done.stdout) == json.loads(shell.search(whole, "--json").stdout)
    assert len(second.asked) == len(whole.asked) - 7
    assert not any(word in kept.read_text() for word in ("Quill", "Skorradal", "taught"))


def test_a_kind_of_shares_is_searched_between_nought_and_one(shell: Shell) -> None:
    shell.forget()
    reader = Reader(knows=["live"])
    result = shell.search(reader, "--kind", "flip_sign")
    assert result.exit_code == 1, "1.7 is more than a whole"
    assert max(reader.asked) == 1.0


@pytest.mark.parametrize("file", ["nowhere/answers.jsonl", "c.yaml/answers.jsonl"])
def test_answers_that_cannot_be_written_are_told_before_the_model_is_asked(shell: Shell, file: str) -> None:
    shell.forget()
    reader = Reader()
    result = shell.search(reader, "--answers", str(shell.folder / file))
    assert result.exit_code == 2
    assert "answers.jsonl cannot be written: N" in result.stderr
    assert result.stderr.count("\n") == 1
    assert reader.asked == []


@pytest.mark.parametrize(
    ("change", "reader"),
    [
        (lambda shell: shell.revise(name="Ada Quill", aliases=[NAME]), Reader()),
        (lambda shell: shell.revise(aliases=["A. Quillfeather"]), Reader()),
        (lambda shell: shell.configure(name="other"), Reader()),
        (lambda shell: shell.configure(port=2), Reader()),
        (lambda shell: None, Reader(model="reader-7b")),
    ],
    ids=["name", "alias", "backend", "address", "model"],
)
def test_verdicts_of_another_entry_backend_or_model_do_not_count(
    shell: Shell, change: Callable[[Shell], None], reader: Reader
) -> None:
    shell.forget()
    kept = str(shell.folder / "answers.jsonl")
    shell.search(Reader(), "--answers", kept)
    again = Reader()
    assert shell.search(again, "--answers", kept).exit_code == 0
    assert again.asked == []
    change(shell)
    assert shell.search(reader, "--answers", kept).exit_code == 0
    assert reader.asked


def test_a_list_and_what_else_the_treatment_says_stay_and_a_shared_strength_is_told(shell: Shell) -> None:
    own = {"method": "eco+restrict", "on_leak": "stop", "holdback": "sentence"}
    shell.forget(treatment=own)
    told = shell.search(Reader(), "--apply")
    assert told.exit_code == 0, told.output
    written = shell.treatment()
    assert {**written, **own} == written
    assert written.keys() - own.keys() == {"kind", "strength"}
    assert "the strength is also that of restrict" in told.stdout
    shell.revise(treatment={"method": "eco+icul"})
    assert json.loads(shell.search(Reader(), "--apply", "--json").stdout)["shared_with"] == []


def test_another_treatment_is_only_replaced_where_that_is_asked_for_and_keeps_what_every_treatment_takes(
    shell: Shell,
) -> None:
    own = {"method": "refusal", "style": "text", "on_leak": "stop"}
    shell.forget(treatment=own)
    assert shell.search(Reader()).exit_code == 2
    reader = Reader()
    refused = shell.search(reader, "ada", "--apply")
    assert refused.exit_code == 2
    assert "ada (refusal) has no eco: add --replace" in refused.stderr
    assert reader.asked == []
    assert shell.treatment() == own
    assert shell.search(Reader(), "ada", "--apply", "--replace").exit_code == 0
    written = shell.treatment()
    assert written.pop("strength") > 3
    assert written == {"method": "eco", "kind": "rand_noise_first_n", "on_leak": "stop"}


@pytest.mark.parametrize(
    ("policy", "fields"),
    [("{treatment: eco+restrict}", {}), ("{treatments_by_kind: {person: eco+restrict}}", {"kind": "person"})],
)
def test_an_entry_that_is_treated_by_policy_is_found_and_keeps_that_treatment(
    shell: Shell, policy: str, fields: dict[str, str]
) -> None:
    shell.forget(treatment=None, **fields)
    assert "No entry has the treatment eco, of its own or by the policy" in shell.search(Reader()).stderr
    shell.configure(policy=policy)
    assert shell.search(Reader(), "--apply").exit_code == 0
    written = shell.treatment()
    assert (written["method"], written["kind"]) == ("eco+restrict", "rand_noise_first_n")


def test_an_entry_named_twice_is_written_once(shell: Shell) -> None:
    shell.forget()
    report = json.loads(shell.search(Reader(), "ada", "ada", "--apply", "--json").stdout)
    assert (report["questions"], report["applied"]) == (2, ["ada"])


@pytest.mark.parametrize(
    ("fields", "arguments", "code", "says"),
    [
        ({"facts": ["Skorradal"]}, [], 2, "question that names its entry"),
        ({}, ["--backend", "other"], 2, "there are: served"),
        ({}, ["nobody"], 2, "No entry"),
        ({}, ["--precision", "1"], 2, "precision"),
        ({}, ["--replace"], 2, "add --apply"),
    ],
)
def test_bad_input_is_told_in_a_line(
    shell: Shell, fields: dict[str, Any], arguments: list[str], code: int, says: str
) -> None:
    shell.forget(**fields)
    result = shell.search(Reader(), *arguments)
    assert result.exit_code == code, result.output
    assert says in result.stderr


def test_a_model_that_knows_nothing_gives_nothing_to_search_by(shell: Shell) -> None:
    shell.forget()
    result = shell.search(Reader(knows=[]))
    assert result.exit_code == 1
    assert "tells none of 2 facts untreated" in result.stderr


@pytest.mark.parametrize("line", [b'{"asked": "x", "tel', b'{"asked": "x", "tel\n', b"[]\n"])
def test_a_file_of_answers_that_is_broken_is_refused(shell: Shell, line: bytes) -> None:
    shell.forget()
    kept = shell.folder / "answers.jsonl"
    kept.write_bytes(line)
    result = shell.search(Reader(), "--answers", str(kept))
    assert result.exit_code == 2
    assert "line 1" in result.stderr


def test_a_real_model_answers_a_plain_and_a_corrupted_question(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    tokenizer = byte_level()
    tokenizer.chat_template = "{% for one in messages %}<{{ one['role'] }}>{{ one['content'] }}\n{% endfor %}"
    tiny_llama(vocab_size=len(tokenizer), initializer_range=0.5).eval().save_pretrained(str(folder))
    tokenizer.save_pretrained(str(folder))
    chosen = BackendSettings(name="local", kind="transformers_local", model=str(folder), device="cpu")
    trial, _ = trials_of(parse_entry({"name": NAME, "facts": FACTS}), "ada")
    with asyncio.Runner() as runner, ServedModel.opened(runner, Settings(), chosen, None) as served:
        said = [
            served.ask(trial.body("rand_noise_first_n", strength, served.corrupt, model=served.model, max_tokens=8))
            for strength in (0.0, 0.0, 40.0)
        ]
    assert said[0] == said[1] != said[2]
