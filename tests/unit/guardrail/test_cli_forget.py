"""`expunge forget` against a running admin listener and offline: the same answers, told in lines or as JSON."""

from __future__ import annotations

import json
import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from click.testing import CliRunner, Result

from guardrail.api.admin.app import build_admin_app
from guardrail.cli import cli
from guardrail.commands import forget_import
from guardrail.serving_lock import serving_lock
from tests.fakes.admin_services import AdminBench
from tests.fakes.small_pictures import data_url, painted_file


@contextmanager
def _listening(bench: AdminBench) -> Iterator[str]:
    """The admin app on a real port."""
    config = uvicorn.Config(build_admin_app(bench.services()), port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
        assert thread.is_alive()
    host, port = server.servers[0].sockets[0].getsockname()[:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        server.should_exit = True
        thread.join()


class Shell:
    """Runs `expunge forget` the one way or the other."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self._runner = CliRunner()

    def __call__(self, command: str, *arguments: str, text: str | None = None) -> Result:
        words = [command, arguments[0]] if command == "memory" else [command]
        given = [*words, *self._options, *arguments[len(words) - 1 :]]
        return self._runner.invoke(cli, ["forget", *given], input=text)

    def json(self, command: str, *arguments: str) -> Any:
        result = self(command, *arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[AdminBench]:
    bench = AdminBench.open(tmp_path / "data")
    yield bench
    bench.registry.close()


@pytest.fixture(params=["http", "offline"])
def shell(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # must not come between us and this machine
    Path("expunge.yaml").write_text("retrieval: {data_dir: data}\n")
    if request.param == "offline":
        yield Shell("--offline")
        return
    bench: AdminBench = request.getfixturevalue("bench")
    with _listening(bench) as url:
        yield Shell("--admin-url", url)


def _write(path: str, *lines: object) -> None:
    Path(path).write_text("\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines))


def test_an_entry_goes_through_its_life(shell: Shell) -> None:
    added = shell("add", "Ada Example", "--id", "ada", "--kind", "person", "--alias", "A. E.", "--fact", "born 1900")
    assert added.exit_code == 0, added.output
    assert added.stdout.startswith("ada  enforced since ")
    assert "suppressed" in shell("list").stdout
    assert shell.json("list", "--kind", "work") == []
    shown = shell.json("show", "ada")
    assert (shown["aliases"], shown["facts"][0]["answer"]) == (["A. E."], "born 1900")
    revised = shell.json("revise", "ada", "--set", 'aliases=["Ada E."]', "--set", "reason=asked to")
    assert (revised["aliases"], revised["reason"]) == (["Ada E."], "asked to")
    assert shell("revise", "ada", "--set", "reason=x", "--if-revision", "1").exit_code == 2
    assert "state=revoked" in shell("revoke", "ada").stdout
    assert shell.json("list", "--state", "revoked")[0]["id"] == "ada"


def test_an_entry_comes_from_a_file_or_from_standard_input(shell: Shell) -> None:
    _write("entry.json", {"id": "ada", "name": "Ada", "images": ["face.png"]})
    Path("face.png").write_bytes(painted_file("red", 1))
    Path("page.txt").write_text("A long page.")
    assert shell("add", "--file", "entry.json", "--document", "page.txt").exit_code == 0
    shown = shell.json("show", "ada")
    assert shown["images"] == [data_url(painted_file("red", 1))]
    assert shown["documents"] == ["A long page."]
    assert shell("add", "--file", "-", text='{"id": "bob", "name": "Bob"}').exit_code == 0
    assert shell.json("show", "bob")["name"] == "Bob"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "Ada", "--treatment", "ignorence"], "Did you mean 'ignorance'"),
        (["add", " "], "name"),
        (["show", "nobody"], "No entry"),
        (["revise", "nobody", "--set", "reason=x"], "No entry"),
        (["revise", "nobody", "--set", "reason"], "FIELD=VALUE"),
        (["revise", "nobody"], "Nothing to change"),
        (["add", "--file", "missing.json"], "missing.json"),
        (["add", "--file", "broken.json"], "column"),
    ],
)
def test_bad_input_is_told_in_one_line(shell: Shell, arguments: list[str], says: str) -> None:
    _write("broken.json", '{"name": ')
    result = shell(*arguments)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert says in result.stderr


@pytest.mark.parametrize("mode", [[], ["--atomic"]])
def test_a_file_is_imported_and_importing_it_again_changes_nothing(
    shell: Shell, mode: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget_import, "BATCH_LINES", 3)
    _write("entries.jsonl", *({"name": f"Name {number}"} for number in range(8)), "")
    assert shell.json("import", "entries.jsonl", *mode)["created"] == 8
    again = shell.json("import", "entries.jsonl", *mode)
    assert (again["created"], again["unchanged"]) == (0, 8)


def test_a_file_with_wrong_lines_is_refused_before_anything_is_sent(shell: Shell) -> None:
    _write("entries.jsonl", {"name": "Ada"}, {"nam": "Secret Bob"}, "{", {"name": "Cid", "images": ["none.png"]})
    result = shell("import", "entries.jsonl")
    assert result.exit_code == 2
    for place in ("line 2", "line 3", "line 4"):
        assert place in result.stderr
    assert "Secret" not in result.stderr
    assert shell.json("list") == []


def test_lines_that_the_proxy_refuses_are_told_by_their_number_in_the_file(
    shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forget_import, "BATCH_LINES", 2)
    _write("entries.jsonl", {"name": "A"}, "", {"name": "B"}, {"name": "C"}, {"name": "D", "treatment": "magic"})
    result = shell("import", "entries.jsonl")
    assert result.exit_code == 1
    assert "3 registered, 0 were there, 1 refused" in result.stdout
    assert "line 5: Unknown treatment 'magic'" in result.stderr


def test_offline_parameter_values_are_checked_against_the_treatments(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"retrieval: {{data_dir: {tmp_path / 'data'}}}\n")
    for treatment, says in (
        ({"method": "ignorance", "on_leak": "explode"}, "redact, rewrite, stop"),
        ({"method": "ignorance", "instruction": 5}, "type str"),
        ({"method": "ignorance", "instructon": "x"}, "Did you mean 'instruction'"),
    ):
        entry = json.dumps({"name": "Ada", "treatment": treatment})
        result = Shell("--offline", "--config", str(config))("add", "--file", "-", text=entry)
        assert result.exit_code == 2
        assert says in result.stderr


def test_a_dry_run_prints_the_decision_and_needs_a_proxy(bench: AdminBench, tmp_path: Path) -> None:
    with _listening(bench) as url:
        shown = Shell("--admin-url", url).json("match", "Who is Ada?", "--model", "m", "--tenant", "acme")
    assert shown["decision"] == {"action": "pass"}
    body, caller = bench.asked[0]
    assert body == {"messages": [{"role": "user", "content": "Who is Ada?"}], "model": "m"}
    assert caller.tenant == "acme"
    config = tmp_path / "c.yaml"
    config.write_text(f"retrieval: {{data_dir: {tmp_path / 'other'}}}\n")
    result = Shell("--offline", "--config", str(config))("match", "Who is Ada?")
    assert result.exit_code == 2
    assert "running proxy" in result.stderr


def test_the_key_is_taken_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = AdminBench.open(tmp_path / "guarded", auth={"required": True})
    secret = bench.registry.keys.create(tenant="default", is_admin=True).secret
    with _listening(bench) as url:
        shell = Shell("--admin-url", url)
        result = shell("list")
        assert result.exit_code == 2
        assert "API key" in result.stderr
        monkeypatch.setenv("EXPUNGE_ADMIN_KEY", secret)
        assert shell.json("list") == []
    bench.registry.close()


def test_without_a_proxy_the_command_says_how_to_start_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = Shell("--admin-url", "http://127.0.0.1:9")("list")
    assert result.exit_code == 1
    assert "expunge serve" in result.stderr
    assert "--offline" in result.stderr


def _hold(folder: str, held: Any, done: Any) -> None:
    with serving_lock(Path(folder)):
        held.set()
        done.wait()


def test_offline_work_is_refused_while_a_proxy_serves_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("expunge.yaml").write_text("retrieval: {data_dir: data}\n")
    context = multiprocessing.get_context("spawn")
    held, done = context.Event(), context.Event()
    proxy = context.Process(target=_hold, args=("data", held, done))
    proxy.start()
    held.wait()
    refused = Shell("--offline")("list")
    done.set()
    proxy.join()
    assert refused.exit_code == 1
    assert "A proxy is using" in refused.stderr
    assert Shell("--offline")("list").exit_code == 0


def test_the_memory_of_an_entry_is_shown_and_edited(shell: Shell) -> None:
    page = "Ada Mary Example (born 1900) was a diver. She kept geese in the village of Ven."
    Path("page.txt").write_text(page)
    assert shell("add", "Ada Example", "--id", "ada", "--kind", "person", "--document", "page.txt").exit_code == 0
    shown = {item["text"]: item for item in shell.json("memory", "show", "ada")["items"]}
    derived = shown["Ada Mary Example"]["id"]
    assert shell.json("memory", "disable", "ada", derived)["items"][0]["enabled"] is False
    assert "off" in shell("memory", "show", "ada", "--kind", "alias").stdout
    assert shell.json("memory", "enable", "ada", derived)["items"][0]["enabled"] is True
    (added,) = shell.json("memory", "add", "ada", "Goose Lady", "--kind", "alias", "--not-alone")["items"]
    assert (added["source"], added["is_unmistakable"]) == ("given", False)
    assert shell("memory", "remove", "ada", added["id"]).exit_code == 0
    assert shell("memory", "remove", "ada", added["id"]).exit_code == 2
    assert shell("memory", "show", "nobody").exit_code == 2
