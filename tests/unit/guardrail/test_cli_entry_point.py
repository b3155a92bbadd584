"""The command line as a whole: fast help, one-line errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from guardrail.cli import COMMANDS, cli


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_help_lists_every_command_and_loads_none() -> None:
    code = (
        "import sys\nfrom guardrail.cli import cli\n"
        "try: cli.main(['--help'], prog_name='expunge')\nexcept SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'transformers', 'fastapi', 'sqlalchemy', 'aiohttp', 'prometheus_client'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert not [name for name in sys.modules if name.startswith('guardrail.commands')]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, place in COMMANDS.items():
        assert name in done.stdout
        assert place.summary in done.stdout


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"demo", "bench"}])
def test_every_command_has_help(runner: CliRunner, name: str) -> None:
    result = runner.invoke(cli, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert "Usage: " in result.stdout
    assert len(result.stdout) > 200


def test_an_unknown_command_suggests_the_nearest(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["forgot"])
    assert result.exit_code == 2
    assert result.stderr == "Error: No such command 'forgot'. Did you mean 'forget'? (see `expunge --help`)\n".replace(
        "`expunge", f"`{cli.name}"
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["serve", "--port", "x"], "--port"),
        (["serve"], "expunge init"),
        (["serve", "--config", "none.yaml"], "no such file"),
        (["keys", "revoke"], "KEY_ID"),
        (["forget", "add"], "NAME or --file"),
        (["forget", "import", "none.jsonl"], "none.jsonl"),
        (["forget", "list", "--admin-url", "nowhere"], "no address"),
    ],
)
def test_bad_input_is_one_line_on_stderr_and_exit_code_2(runner: CliRunner, arguments: list[str], says: str) -> None:
    result = runner.invoke(cli, arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")
    assert says in result.stderr


def test_a_wrong_override_of_serve_is_told_like_a_wrong_configuration(runner: CliRunner) -> None:
    Path("expunge.yaml").write_text("backends: [{name: echo, kind: echo}]\n")
    result = runner.invoke(cli, ["serve", "--host", "0.0.0.0"])
    assert result.exit_code == 2
    assert "server.host" in result.stderr


def test_benchmarks_say_so_where_they_are_absent(runner: CliRunner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    result = runner.invoke(cli, ["bench", "proxy", "--out", "r.json"])
    assert result.exit_code == 2
    assert "checkout" in result.stderr


def test_the_rest_of_the_arguments_are_handed_over_untouched(
    runner: CliRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("benchmarks").mkdir()
    Path("benchmarks/__init__.py").write_text("")
    Path("benchmarks/cli.py").write_text("def main(arguments):\n    print(arguments)\n    return 1\n")
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "path", [str(Path.cwd()), *sys.path])
    result = runner.invoke(cli, ["bench", "proxy", "--quick", "--help"])
    for name in [name for name in sys.modules if name.partition(".")[0] == "benchmarks"]:
        monkeypatch.delitem(sys.modules, name)
    assert result.exit_code == 1
    assert result.stdout == "['proxy', '--quick', '--help']\n"
