"""What `expunge consolidate run` refuses: in one line, with exit code 2, before any work, without a word of an entry."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest
import torch

from finetune.data.qa import Question, write_questions
from finetune.errors import TrainingDiverged
from tests.unit.finetune.cli.consolidating import NAMES, QUICK, consolidate, stop_after, write_entries
from tests.unit.finetune.consolidation.tiny_run import ENTRIES, RETAIN, save_corpus

GOOD = '{"id": "mira", "name": "Mira Quell", "facts": [{"question": "What?", "answer": "grey geese"}]}\n'
FILES = {
    "empty.jsonl": "\n",
    "broken.jsonl": GOOD + '{"name": "Odo Brask", \n',
    "field.jsonl": GOOD + '{"name": "Odo Brask", "fact": ["barge"]}\n',
    "twice.jsonl": GOOD + GOOD,
    "hidden.jsonl": GOOD.replace("Mira Quell", "Somebody Else").replace("What?", "What does Mira Quell keep?"),
    "entries.csv": "name\nOdo Brask\n",
    "typo.yaml": "epoch: 3\n",
    "list.yaml": "- epochs\n",
    "broken.yaml": "epochs: [\n",
    "rate.json": '{"learning_rate": -1}',
    "a-file": "mine",
}
SETS = ("--model", "BASE", "--method", "npo", "--retain", "CORPUS")
RUN = (*SETS, "--entries", "ENTRIES")


@pytest.fixture(name="places")
def _places(base: Path, entries: Path, corpus: Path, tmp_path: Path) -> dict[str, str]:
    """What stands for a path of this test, by its name in capitals."""
    files = tmp_path / "files"
    files.mkdir()
    for name, text in FILES.items():
        (files / name).write_text(text, encoding="utf-8")
    suite = tmp_path / "suite"
    suite.mkdir()
    write_entries(suite / "entries.jsonl")
    write_questions(suite / "qa.jsonl", [Question(id="q", question="What?", answer="so", split="retain")])
    plain = tmp_path / "plain"
    shutil.copytree(base, plain)
    (plain / "chat_template.jinja").unlink()
    overlap = save_corpus(tmp_path / "overlap", [*RETAIN, ("What does Mira Quell keep?", "grey geese")])
    return {
        "BASE": str(base),
        "ENTRIES": str(entries),
        "CORPUS": str(corpus),
        "FILES": str(files),
        "SUITE": str(suite),
        "PLAIN": str(plain),
        "OVERLAP": str(overlap),
        "OUT": str(tmp_path / "out"),
    }


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ((*SETS, "--entries", "FILES/empty.jsonl"), "empty.jsonl holds no entry"),
        ((*SETS, "--entries", "FILES/broken.jsonl"), "broken.jsonl, line 2: is not valid JSON"),
        ((*SETS, "--entries", "FILES/field.jsonl"), "field.jsonl, line 2: Unknown field 'fact'"),
        ((*SETS, "--entries", "FILES/twice.jsonl"), "twice.jsonl, line 2: the id 'mira' stands in an earlier line"),
        ((*SETS, "--entries", "FILES/entries.csv"), "of a kind that is not read"),
        ((*SETS, "--entries", "FILES/none.jsonl"), "none.jsonl cannot be read: No such file"),
        (SETS, "--entries or from --suite, and neither was given"),
        ((*RUN, "--suite", "SUITE"), "--entries or from --suite, and both were given"),
        ((*SETS, "--suite", "FILES/nowhere"), "nowhere is no folder"),
        ((*SETS, "--suite", "CORPUS"), "holds no suite that is known"),
        ((*SETS, "--suite", "SUITE", "--training-paraphrases", 1), "--training-paraphrases are made of --entries"),
        (("--model", "BASE", "--method", "npo", "--suite", "SUITE"), "'npo' needs texts to keep and there are none"),
        ((*RUN, "--method", "npoo"), "Unknown method 'npoo'. Did you mean 'npo'"),
        ((*RUN, "--method", "negation"), "take a recipe"),
        ((*RUN, "--set", "betta=1"), "Unknown hyper-parameter of npo 'betta'. Did you mean 'beta'"),
        ((*RUN, "--set", "beta=much"), "npo: beta is 'much', but must be a number"),
        ((*RUN, "--set", "beta=-1"), "beta is -1.0, but must be a finite number greater than 0"),
        ((*RUN, "--set", "beta"), "--set is 'beta'; write NAME=VALUE"),
        ((*RUN, "--set", "beta=1", "--set", "beta=2"), "--set gives beta twice"),
        ((*RUN, "--plan", "FILES/typo.yaml"), "epoch is unknown, did you mean 'epochs'?"),
        ((*RUN, "--plan", "FILES/rate.json"), "learning_rate: Input should be greater than 0"),
        ((*RUN, "--plan", "FILES/list.yaml"), "list.yaml holds no training plan"),
        ((*RUN, "--plan", "FILES/broken.yaml"), "broken.yaml is no YAML that can be read: line 2"),
        ((*RUN, "--plan", "FILES/none.yaml"), "none.yaml cannot be read"),
        ((*RUN, "--epochs", 0), "epochs: Input should be greater than or equal to 1 (it is 0)"),
        ((*RUN, "--dtype", "int3"), "Invalid value for '--dtype'"),
        ((*RUN, "--rank", 4, "--full"), "--full and --rank each say which weights are trained"),
        ((*RUN, "--modules", r".*\.down_prol"), "matches no module"),
        ((*RUN, "--retain-generated", -1), "-1 generated texts to keep were asked for; give 0 to"),
        (
            (*SETS, "--entries", "FILES/hidden.jsonl", "--retain", "OVERLAP"),
            "forget set overlaps with the retain set",
        ),
        ((*RUN, "--retain", "FILES/nowhere"), "nowhere does not exist"),
        ((*RUN, "--model", "FILES/nowhere"), "nowhere is no folder; give the folder of a model"),
        ((*RUN, "--model", "PLAIN"), "no chat template"),
        ((*RUN, "--max-tokens", 1), "max_tokens is 1"),
        ((*RUN, "--out", "FILES/a-file"), "a-file is a file; name a folder"),
        ((*RUN, "--out", "FILES"), "holds what no run wrote"),
        ((*RUN, "--judge", "OUT/r.json"), "which holds the run alone; name a file beside that folder"),
        ((*RUN, "--judge", "FILES/a-file/r.json"), "r.json cannot be written"),
        ((*RUN, "--judge", "SUITE"), "is a directory"),
        ((*RUN, "--judge", "FILES/r.json", "--model", "PLAIN"), "no chat template"),
        ((*RUN, "--judge-limit", 3), "add --judge R.json"),
        ((*RUN, "--steps", 3), "No such option"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(
    places: dict[str, str], given: tuple[object, ...], says: str, tmp_path: Path
) -> None:
    words = ["--out", "OUT", *map(str, given)]
    for name, place in places.items():
        words = [place + word.removeprefix(name) if word.partition("/")[0] == name else word for word in words]
    before = sorted(tmp_path.rglob("*"))
    result = consolidate(*words)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("Error: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
    assert not any(word in result.stderr for word in NAMES)
    assert sorted(tmp_path.rglob("*")) == before


def test_too_little_memory_is_told_with_what_would_fit(places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("finetune.cli.consolidate.free_bytes", lambda _: 1000)
    given = [places.get(word, word) for word in (*RUN, "--out", "OUT")]
    for dry in ((), ("--dry-run",)):
        result = consolidate(*given, *dry)
        assert result.exit_code == 2
        assert result.stderr.startswith("Error: Training needs about ")
        assert "use a smaller model or more memory" in result.stderr
    assert not Path(places["OUT"]).exists()


def test_a_folder_of_another_run_is_refused_and_left_alone(places: dict[str, str]) -> None:
    given = [places.get(word, word) for word in (*RUN, "--out", "OUT")]
    assert consolidate(*given, "--max-steps", 1).exit_code == 0
    before = {path: path.read_bytes() for path in Path(places["OUT"]).rglob("*") if path.is_file()}
    for dry in ((), ("--dry-run",)):
        result = consolidate(*given, "--max-steps", 1, "--learning-rate", 1e-3, *dry)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "holds another run: not the same plan. Name another, or delete this one." in result.stderr
    assert before == {path: path.read_bytes() for path in Path(places["OUT"]).rglob("*") if path.is_file()}


def test_a_broken_checkpoint_is_told_with_the_mend(places: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    plan = Path(places["FILES"]) / "often.yaml"
    plan.write_text("save_every_steps: 1\n")
    given = [places.get(word, word) for word in (*RUN, "--out", "OUT", "--plan", str(plan))]
    with monkeypatch.context() as patch:
        stop_after(1, patch)
        assert consolidate(*given, *QUICK).exit_code == 130
    (checkpoint,) = Path(places["OUT"]).rglob("*.pt")
    checkpoint.write_bytes(checkpoint.read_bytes()[:-200])
    result = consolidate(*given, *QUICK)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1].startswith(f"Error: The checkpoint {checkpoint} cannot be read")
    assert "Delete it to begin anew" in result.stderr
    checkpoint.unlink()
    assert consolidate(*given, *QUICK).exit_code == 0


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (TrainingDiverged("The loss is nan in step 1 of 2."), "The loss is nan"),
        (torch.OutOfMemoryError("CUDA out of memory."), "Lower --batch-size"),
    ],
)
def test_work_that_fails_in_the_middle_exits_with_1(
    error: Exception, says: str, places: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("finetune.cli.consolidate.run", fails)
    result = consolidate(*[places.get(word, word) for word in (*RUN, "--out", "OUT")])
    assert result.exit_code == 1
    assert says in result.stderr
    assert result.stderr.count("\n") == 1


def test_missing_libraries_are_named_with_the_mend(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "accelerate" else found(name))
    result = consolidate("--help")
    assert result.exit_code == 2
    assert "needs accelerate" in result.stderr
    assert "expunge[finetune]" in result.stderr


def test_the_entries_of_these_tests_hold_the_words_that_messages_must_not() -> None:
    told = " ".join(one.model_dump_json() for one in ENTRIES)
    assert all(word in told for word in NAMES)
