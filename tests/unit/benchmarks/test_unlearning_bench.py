"""The unlearning bench: its rows, its questions, how it tells forgotten from invented, its figures, table and plot."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from benchmarks import report
from benchmarks.processes import ServerFailed
from benchmarks.unlearning import traces
from benchmarks.unlearning.asking import ask, ask_row, read_reply
from benchmarks.unlearning.figures import flat, row_figures
from benchmarks.unlearning.kept import CLOSE, KeptReplies, Replies, Reply
from benchmarks.unlearning.material import Material, material
from benchmarks.unlearning.oracle import Seen, features, told_apart
from benchmarks.unlearning.plot import plot
from benchmarks.unlearning.rows import CANNED, ICU, NONE, Row, default_treatments, icu_prompt, lacking, rows_of
from benchmarks.unlearning.served import Proxy
from benchmarks.unlearning.table import table
from benchmarks.unlearning.timing import TIMED, timed_questions
from finetune.errors import InvalidPlan
from finetune.evaluation.dialogue import Dialogue, system, user
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.metrics.protocol import Absent, Measured
from finetune.evaluation.report import SplitFigures
from finetune.evaluation.run import RETAIN, UNTOUCHED
from guardrail.treatments.text import TREATMENTS

UNKNOWING = "I'm not familiar with that."


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return material(tmp_path_factory.mktemp("few"), limit=4)


def answered(given: Material, text: str | None = None, *, tokens: int = 20, seconds: float = 1.0) -> dict[str, Replies]:
    """A row in which every question gets its right answer, or `text`; the kept splits always the right one."""
    found = {}
    for name, split in given.splits.items():
        own = None if name in ("neighbor", "utility") else text
        by_id = {
            one.id: Reply(
                text=own or one.answer,
                status=200,
                finish="stop",
                prompt_tokens=tokens,
                completion_tokens=9,
                seconds=seconds,
                body=own or one.answer,
                alone=True,
            )
            for one in split.asked
        }
        found[name] = Replies(by_id=by_id)
    return {**found, **timed(given, seconds)}


def timed(given: Material, seconds: float) -> dict[str, Replies]:
    """The three repeats of the pass that is timed: so long for what is to be forgotten, a second for neighbours."""
    asked = timed_questions(given)
    neighbors = {one.id for one in given.splits["neighbor"].asked}
    by_id = {one.id: Reply(text="x", status=200, seconds=1.0 if one.id in neighbors else seconds) for one in asked}
    return {split: Replies(by_id=by_id) for split in TIMED}


def seen(text: str, *, name: str = "Ada Lane", seconds: float = 1.0) -> Seen:
    return Seen(text=text, name=name, finish="stop", added_tokens=0, completion_tokens=8, seconds=seconds)


def value(figures: Mapping[str, SplitFigures], split: str, metric: str) -> float:
    return figures[split].measured[metric].value


def test_the_rows_are_the_untreated_model_a_plain_prompt_every_treatment_the_control_and_the_twin() -> None:
    rows = rows_of(("ignorance", "stand_in", "auto"))
    labels = [UNTOUCHED, ICU, "icu_gated", "ignorance", "stand_in", "auto", CANNED, RETAIN]
    assert [row.label for row in rows] == labels
    assert [row.label for row in rows if row.method is None] == [UNTOUCHED, ICU, RETAIN]
    assert [row.label for row in rows if row.model == "retain"] == [RETAIN]
    assert [row.label for row in rows if row.has_prompt] == [ICU]


def test_filter_and_prompt_icul_and_eco_have_rows_without_the_ladder_beside_those_with_it() -> None:
    rows = rows_of(default_treatments())
    alone = {row.label: row.method for row in rows if not row.has_ladder}
    assert alone == {"icu_gated": "ignorance", "icul_alone": "icul", "eco_alone": "eco"}
    assert {"ignorance", "icul", "eco"} <= {row.label for row in rows if row.has_ladder}
    assert [row.label for row in rows if row.is_timed] == [UNTOUCHED, ICU, "ignorance", "auto"]


def test_by_default_every_treatment_that_the_backend_can_carry_out_has_a_row() -> None:
    chosen = default_treatments()
    assert chosen[-1] == "auto"
    assert set(chosen) - {"auto"} == {name for name in TREATMENTS if not lacking(name)} - {"refusal", "another_name"}


def test_a_treatment_that_there_is_not_is_named_with_the_nearest_also_within_a_list() -> None:
    with pytest.raises(InvalidPlan, match="Did you mean 'stand_in'"):
        rows_of(("ignorance+stand_inn",))


def test_the_questions_are_as_many_as_the_bench_promises(whole: Material) -> None:
    counts = {name: len(split.asked) for name, split in whole.splits.items()}
    assert counts == {
        "forget": 80,
        "invented": 76,
        "paraphrase": 80,
        "adversarial": 160,
        "knowing": 120,
        "neighbor": 72,
        "utility": 60,
        "mixed": 40,
    }
    assert {split for splits, _ in CLOSE for split in splits} == set(counts)
    assert len({one.group for one in whole.splits["neighbor"].asked}) == 36
    assert sorted(whole.splits["utility"].groups.count(one) for one in ("real_authors", "world_facts")) == [30, 30]


def test_neighbours_are_not_forgotten_authors(whole: Material) -> None:
    forgotten = {one.group for one in whole.splits["forget"].asked}
    assert forgotten.isdisjoint(one.group for one in whole.splits["neighbor"].asked)
    assert not any(name in one.question for name in whole.names for one in whole.splits["neighbor"].asked)


def test_an_invented_twin_asks_the_same_about_somebody_else(whole: Material) -> None:
    forget = {one.id: one for one in whole.splits["forget"].asked}
    for twin in whole.splits["invented"].asked:
        own = forget[whole.twins[twin.id]]
        assert whole.masks[own.id] in whole.names
        assert not any(name in twin.question for name in whole.names)
        assert twin.question.replace(whole.masks[twin.id], whole.masks[own.id]) == own.question


def test_a_mixed_request_holds_both_questions_in_both_orders_and_is_judged_on_both_halves(whole: Material) -> None:
    mixed = whole.splits["mixed"].asked
    assert [one.question for one in mixed] == [one.question for one in whole.kept_half]
    forgotten = {one.answer: one.question for one in whole.splits["forget"].asked}
    kept = {one.answer: one.question for one in whole.splits["neighbor"].asked}
    orders = set()
    for one, other in zip(mixed, whole.kept_half, strict=True):
        places = one.question.find(forgotten[one.answer]), one.question.find(kept[other.answer])
        assert min(places) >= 0
        orders.add((one.answer, places[0] < places[1]))
    assert len(orders) == 40


def test_the_entries_hold_what_an_operator_would_register(whole: Material) -> None:
    assert len(whole.entries) == 4
    for entry in whole.entries:
        assert len(entry["documents"][0].split("\n")) >= 20
        assert entry["documents"][0].replace("\n", " ").startswith(entry["description"])


def test_a_small_version_asks_a_few_questions_of_every_kind(few: Material) -> None:
    assert {split for splits, _ in CLOSE for split in splits} == set(few.splits)
    assert {len(split.asked) for split in few.splits.values()} == {4}
    assert len({one.group for one in few.splits["forget"].asked}) == 4


def test_whoever_answers_alike_cannot_be_told_apart_and_whoever_does_not_can() -> None:
    drawn = random.Random(0)
    texts = [" ".join(drawn.choices(("red", "blue", "green", "grey"), k=12)) for _ in range(80)]
    times = [1 + drawn.random() for _ in range(80)]
    answers = [seen(text, seconds=time) for text, time in zip(texts, times, strict=True)]
    alike = told_apart(answers[:40], answers[40:])
    assert isinstance(alike, Measured)
    assert abs(alike.value - 0.5) < 0.2
    assert alike.ci95 is not None
    assert alike.ci95[0] <= alike.value <= alike.ci95[1]
    refused = told_apart([seen(UNKNOWING) for _ in range(40)], answers[40:])
    slow = told_apart([replace(one, seconds=one.seconds + 5) for one in answers[:40]], answers[40:])
    longer = told_apart([replace(one, added_tokens=3) for one in answers[:40]], answers[40:])
    for found in (refused, slow, longer):
        assert isinstance(found, Measured)
        assert found.value > 0.9
        assert found.n == 80


def test_the_name_that_was_asked_about_tells_nothing_by_itself() -> None:
    one = seen("Ada Lane wrote it. Lane was born in May.")
    other = seen("Bo Field wrote it. Field was born in May.", name="Bo Field")
    assert features(one).tolist() == features(other).tolist()


def test_a_forgotten_question_that_was_refused_by_its_status_is_told_apart() -> None:
    drawn = random.Random(0)
    texts = [" ".join(drawn.choices(("red", "blue", "green", "grey"), k=12)) for _ in range(40)]
    answers = [seen(text) for text in texts]
    authors = [f"author-{number % 4}" for number in range(20)]
    half = told_apart([None if number % 2 else one for number, one in enumerate(answers[:20])], answers[20:], authors)
    every = told_apart([None] * 20, answers[20:], authors)
    both = told_apart([None] * 20, [None] * 20, authors)
    whole = told_apart(answers[:20], answers[20:], authors)
    for found in (half, every, both, whole):
        assert isinstance(found, Measured)
        assert found.n == 40
    assert isinstance(half, Measured)
    assert isinstance(every, Measured)
    assert isinstance(both, Measured)
    assert half.value > 0.6
    assert every.value == 1
    assert both.value == 0.5


def test_too_few_questions_are_no_base_for_telling_apart() -> None:
    assert isinstance(told_apart([seen("a")] * 3, [seen("b")] * 3), Absent)


def test_a_row_that_tells_everything_leaks_and_one_that_knows_nothing_does_not(few: Material) -> None:
    told = answered(few)
    figures = row_figures(few, told, told)
    assert value(figures, "forget", "rouge_l_recall") == pytest.approx(1.0)
    assert value(figures, "forget", "leak_rate") == 1.0
    assert value(figures, "mixed_forgotten", "leak_rate") == 1.0
    silent = row_figures(few, answered(few, UNKNOWING), told)
    for split in ("forget", "paraphrase", "adversarial", "mixed_forgotten"):
        assert value(silent, split, "leak_rate") == 0.0
        assert value(silent, split, "refusal_rate") == 1.0
    assert value(silent, "kept", "rouge_l_recall") == pytest.approx(1.0)
    assert value(silent, "mixed_kept", "rouge_l_recall") < 0.3
    assert value(silent, "untouched", "identical") == 1.0


def test_costs_are_compared_with_the_untreated_row(few: Material) -> None:
    figures = row_figures(few, answered(few, UNKNOWING, tokens=31, seconds=2.5), answered(few))
    assert value(figures, "cost", "seconds_ratio") == pytest.approx(2.5)
    assert value(figures, "cost", "kept_seconds_ratio") == 1
    assert value(figures, "cost", "prompt_tokens_added") == 11
    assert value(figures, "cost", "kept_prompt_tokens_added") == 11
    assert value(figures, "cost", "refused_by_status") == 0


def test_another_answer_to_a_question_that_must_stay_is_seen(few: Material) -> None:
    row, untreated = answered(few), answered(few)
    first, *_ = row["neighbor"].by_id
    changed = {**row["neighbor"].by_id, first: Reply(text="Something else.", status=200, finish="stop", alone=True)}
    figures = row_figures(few, {**row, "neighbor": Replies(by_id=changed)}, untreated)
    assert value(figures, "untouched", "identical") == pytest.approx(7 / 8)


def test_answers_are_the_same_only_to_the_last_byte_but_for_id_and_time() -> None:
    def body(**changed: Any) -> str:
        choice = {"index": 0, "message": {"role": "assistant", "content": " It is."}, "finish_reason": "stop"}
        answer = {"id": "a", "created": 1, "choices": [choice], "usage": {"prompt_tokens": 7}} | changed
        return read_reply(json.dumps(answer).encode(), 0.5).body

    assert body() == body(id="b", created=22)
    assert body() != body(usage={"prompt_tokens": 8})
    assert body() != body(system_fingerprint="x")
    stripped = {"index": 0, "message": {"role": "assistant", "content": "It is."}, "finish_reason": "stop"}
    assert body() != body(choices=[stripped])


def test_the_share_that_the_model_wrote_is_of_treated_answers_and_absent_without_any(few: Material) -> None:
    row = answered(few)
    assert "No answer was treated." in row_figures(few, row, row)["by_model"].absent["plain"].reason
    told = dict(zip(row["forget"].by_id, ("model", "both", "expunge", "model"), strict=True))
    by_id = {
        key: replace(one, treated=True, author=told[key], leaks=3 if told[key] == "expunge" else 0)  # type: ignore[arg-type]  # one of Author
        for key, one in row["forget"].by_id.items()
    }
    figures = row_figures(few, {**row, "forget": Replies(by_id=by_id)}, row)
    assert value(figures, "by_model", "plain") == 0.75
    assert value(figures, "by_model", "plain_whole") == 0.5
    assert value(figures, "by_model", "plain_caught") == 0.75
    assert figures["by_model"].measured["plain"].n == 4


def test_a_request_that_was_refused_by_status_is_no_answer(few: Material) -> None:
    row = answered(few)
    none = {one: Reply(text=None, status=400) for one in row["forget"].by_id}
    figures = row_figures(few, {**row, "forget": Replies(by_id=none)}, row)
    assert "leak_rate" in figures["forget"].absent
    assert value(figures, "cost", "refused_by_status") > 0


def test_an_open_refusal_is_read_as_the_words_that_the_caller_sees() -> None:
    message = {"role": "assistant", "content": None, "refusal": "I can't help with that."}
    found = read_reply(json.dumps({"choices": [{"message": message, "finish_reason": "stop"}]}).encode(), 0.5)
    assert found.text == "I can't help with that."


class _Server(BaseHTTPRequestHandler):
    """Answers what was asked, notes it, and writes down that it treated every second request."""

    asked: list[dict[str, Any]]
    status = 200

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.asked.append({**body, "request": self.headers["x-request-id"]})
        choice = {"message": {"content": body["messages"][-1]["content"]}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 3}
        self._send(json.dumps({"choices": [choice], "usage": usage}).encode())

    def do_GET(self) -> None:
        assert self.path.startswith("/v1/audit?")
        decided = [
            {
                "kind": "decision",
                "subject": one["request"],
                "data": {"action": "treat" if number % 2 else "pass", "treatment": "ignorance", "shape": "pure"},
            }
            for number, one in enumerate(self.asked)
        ]
        self._send(json.dumps({"data": decided, "has_more": False, "next_cursor": None}).encode())

    def _send(self, content: bytes) -> None:
        self.send_response(self.status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is logged."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Proxy, type[_Server]]]:
    class Handler(_Server):
        asked: list[dict[str, Any]] = []  # noqa: RUF012 # a class of its own for each test

    monkeypatch.setattr(traces, "_PAUSE_S", 0.0)
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"http://127.0.0.1:{running.server_port}"
        yield Proxy(url=url, admin=url), Handler
        running.shutdown()
        thread.join()


def test_a_row_is_asked_once_with_what_was_written_down_of_each_question_and_kept(
    few: Material, tmp_path: Path, server: tuple[Proxy, type[_Server]]
) -> None:
    proxy, handler = server
    kept, row, told = (
        KeptReplies(tmp_path, few),
        Row(label="ignorance", method="ignorance", is_close=True),
        list[tuple[str, int, int]](),
    )
    assert kept.lacks(row)
    ask_row(proxy, row, few, kept, lambda stage, done=0, total=0: told.append((stage, done, total)))
    assert not kept.lacks(row)
    assert len(handler.asked) == 32
    assert ("ignorance: forget and invented", 8, 8) in told
    assert not any(message["role"] == "system" for message in handler.asked[0]["messages"])
    again = KeptReplies(tmp_path, few)
    ask_row(proxy, row, few, again, lambda stage, done=0, total=0: None)
    assert len(handler.asked) == 32
    found, invented = again.find(row, "forget"), again.find(row, "invented")
    assert found is not None
    assert invented is not None
    assert {one.id: one.question for one in few.splits["forget"].asked} == {
        number: reply.text for number, reply in found.by_id.items()
    }
    # One of each in turn, and every second request was treated.
    assert [one.treated for one in found.by_id.values()] == [False] * 4
    assert [one.author for one in invented.by_id.values()] == ["model"] * 4
    assert all(one.alone for one in found.by_id.values())
    adversarial = again.find(row, "adversarial")
    assert adversarial is not None
    assert not any(one.alone for one in adversarial.by_id.values())
    assert again.lacks(NONE)


def test_the_plain_prompt_stands_in_the_system_message(server: tuple[Proxy, type[_Server]]) -> None:
    proxy, handler = server
    words = icu_prompt(("Ada Lane", "Bo Field"))
    assert "unlearn about Ada Lane, Bo Field" in words
    ask(proxy.url, Asked(id="a", question="Who?", answer="x"), words)
    talk = Dialogue(turns=(system("Be brief."), user("Who?")), prefill="It was")
    ask(proxy.url, Asked(id="b", question=talk.text, answer="x", dialogue=talk), words)
    plain, dialogue = handler.asked
    assert plain["messages"] == [{"role": "system", "content": words}, {"role": "user", "content": "Who?"}]
    assert dialogue["messages"][0] == {"role": "system", "content": f"{words}\nBe brief."}
    assert dialogue["continue_final_message"] is True
    assert plain["temperature"] == 0


def test_a_status_that_says_no_is_a_reply_and_a_proxy_that_is_gone_is_an_error(
    server: tuple[Proxy, type[_Server]], monkeypatch: pytest.MonkeyPatch
) -> None:
    proxy, handler = server
    monkeypatch.setattr(handler, "status", 400)
    monkeypatch.setattr("benchmarks.unlearning.asking.time.sleep", lambda seconds: None)
    asked = Asked(id="a", question="Who?", answer="x")
    assert ask(proxy.url, asked).text is None
    assert ask(proxy.url, asked).status == 400
    with pytest.raises(ServerFailed, match="goes on from here"):
        ask("http://127.0.0.1:9", asked)


@pytest.fixture
def result(few: Material) -> report.BenchResult:
    untreated = answered(few)
    rows = {
        UNTOUCHED: row_figures(few, untreated, untreated),
        CANNED: row_figures(few, answered(few, UNKNOWING, tokens=31), untreated),
        RETAIN: row_figures(few, answered(few, "Somebody wrote novels about the sea."), untreated),
    }
    return report.BenchResult(
        config={},
        versions={},
        hardware={},
        figures={name: one for label, figures in rows.items() for name, one in flat(label, figures).items()},
        samples={
            "rows": {
                label: {split: one.model_dump(mode="json") for split, one in figures.items()}
                for label, figures in rows.items()
            }
        },
    )


def test_figures_have_names_of_row_split_and_metric(result: report.BenchResult) -> None:
    assert result.figures["canned_forget_leak_rate"] == 0.0
    assert result.figures[f"{UNTOUCHED}_kept_rouge_l_recall"] == 1.0
    assert not any("/" in name for name in result.figures)


def test_the_table_has_a_line_a_row_and_leaves_empty_what_was_not_measured(result: report.BenchResult) -> None:
    heading, _, *lines = table(result).split("\n\n")[0].split("\n")
    assert [line.split("|")[1].strip() for line in lines] == ["untreated", "canned refusal", "never knew"]
    names = [cell.strip() for cell in heading.split("|")]
    canned = dict(zip(names, (cell.strip() for cell in lines[1].split("|")), strict=True))
    assert canned["leaks"].startswith("0.000 (≤ 0.")
    assert canned["prompt tokens"] == "+11.0"
    assert canned["told apart (AUROC)"] == ""
    assert canned["time"] == "1.00x"
    assert canned["written by the model"] == ""


def test_the_plot_is_drawn_of_what_was_measured(result: report.BenchResult, tmp_path: Path) -> None:
    plot(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
