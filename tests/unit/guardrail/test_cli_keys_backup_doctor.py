"""`expunge keys`, `backup`, `restore` and `doctor` on a real data folder."""

from __future__ import annotations

import json
import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from guardrail.cli import cli
from guardrail.serving_lock import serving_lock
from retrieval.entry import ForgetEntry
from retrieval.registry import Registry


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    Path("expunge.yaml").write_text(
        f"server: {{port: {_free_port()}, admin_port: {_free_port()}}}\n"
        "auth: {required: true}\nbackends: [{name: fake, kind: echo}]\nretrieval: {data_dir: data}\n"
    )
    return CliRunner()


@pytest.fixture
def registry(runner: CliRunner) -> Iterator[Registry]:
    registry = Registry.open(Path("data"))
    yield registry
    registry.close()


def _json(runner: CliRunner, *arguments: str, code: int = 0) -> Any:
    result = runner.invoke(cli, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def test_a_key_is_shown_once_and_works_until_it_is_revoked(runner: CliRunner, registry: Registry) -> None:
    arguments = ["--tenant", "acme", "--admin", "--model", "a", "--rate-limit", "5", "--label", "ci"]
    made = _json(runner, "keys", "create", *arguments)
    record = registry.keys.verify(made["secret"])
    assert record is not None
    assert (record.tenant, record.is_admin, record.models, record.rate_limit_per_min) == ("acme", True, ("a",), 5)
    listed = runner.invoke(cli, ["keys", "list"])
    assert made["key_id"] in listed.stdout
    assert made["secret"] not in listed.stdout
    assert _json(runner, "keys", "list")[0]["role"] == "admin"
    assert runner.invoke(cli, ["keys", "revoke", made["key_id"]]).exit_code == 0
    assert registry.keys.verify(made["secret"]) is None
    assert "revoked" in runner.invoke(cli, ["keys", "list"]).stdout


def test_only_the_secret_goes_to_stdout_so_that_scripts_can_take_it(runner: CliRunner, registry: Registry) -> None:
    result = runner.invoke(cli, ["keys", "create"])
    assert registry.keys.verify(result.stdout.strip()) is not None
    assert "not shown again" in result.stderr


def test_revoking_a_key_that_is_not_there_is_bad_input(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["keys", "revoke", "nobody"])
    assert result.exit_code == 2
    assert "keys list" in result.stderr


def test_a_backup_comes_back_in_another_folder(runner: CliRunner, registry: Registry) -> None:
    registry.create(ForgetEntry(id="ada", name="Ada"), actor="test")
    report = _json(runner, "backup", "saved.tar.gz")
    assert report["manifest"]["entries"] == 1
    assert runner.invoke(cli, ["backup", "saved.tar.gz"]).exit_code == 2
    result = runner.invoke(cli, ["restore", "saved.tar.gz"])
    assert result.exit_code == 2
    assert "not empty" in result.stderr
    assert runner.invoke(cli, ["restore", "saved.tar.gz", "--data-dir", "other"]).exit_code == 0
    other = Registry.open(Path("other"))
    assert other.get("ada").entry.name == "Ada"
    other.close()


def test_a_broken_archive_fails_with_exit_code_1(runner: CliRunner) -> None:
    Path("broken.tar.gz").write_bytes(b"no archive")
    result = runner.invoke(cli, ["restore", "broken.tar.gz"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1


def _levels(report: dict[str, Any]) -> dict[str, str]:
    return {finding["what"]: finding["level"] for finding in report["findings"]}


def test_the_doctor_finds_a_sound_setup_sound(runner: CliRunner, registry: Registry) -> None:
    registry.keys.create(tenant="default", is_admin=True)
    report = _json(runner, "doctor")
    levels = _levels(report)
    assert report["ok"]
    assert levels.pop("embedder") == "warn"
    assert set(levels.values()) == {"ok"}
    assert {"configuration", "registry", "audit chain", "backend fake", "port", "admin port"} <= set(levels)


def test_the_doctor_changes_nothing(runner: CliRunner, tmp_path: Path) -> None:
    report = _json(runner, "doctor")
    assert _levels(report)["keys"] == "warn"
    assert not Path("data").exists()


def test_the_doctor_finds_a_tampered_audit_chain(runner: CliRunner, registry: Registry) -> None:
    registry.create(ForgetEntry(name="Ada"), actor="test")
    with sqlite3.connect("data/registry.db") as database:
        database.execute("UPDATE audit_records SET actor = 'somebody else'")
    database.close()
    assert _levels(_json(runner, "doctor", code=1))["audit chain"] == "fail"


def test_the_doctor_names_what_keeps_the_proxy_from_serving(runner: CliRunner) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        Path("expunge.yaml").write_text(
            f"server: {{port: {port}}}\nretrieval: {{data_dir: expunge.yaml/data}}\nbackends:\n"
            "  - {name: keyless, kind: vllm_server, base_url: 'http://127.0.0.1:9', api_key_env: NO_SUCH_VARIABLE}\n"
            f"  - {{name: down, kind: vllm_server, base_url: 'http://127.0.0.1:{_free_port()}'}}\n"
            "  - {name: lost, kind: transformers_local, model: /nowhere/model.gguf}\n"
            "  - {name: bare, kind: transformers_local, adapter: /nowhere/adapter}\n"
        )
        report = _json(runner, "doctor", code=1)
    failed = {what for what, level in _levels(report).items() if level == "fail"}
    assert {"port", "data folder", "backend keyless", "backend down", "backend lost", "backend bare"} <= failed
    assert all(finding["mend"] for finding in report["findings"] if finding["level"] != "ok")


def test_the_doctor_tells_a_wrong_configuration_in_a_line(runner: CliRunner) -> None:
    Path("expunge.yaml").write_text("server: {prot: 1}\n")
    result = runner.invoke(cli, ["doctor"])
    assert result.exit_code == 1
    assert "server.prot" in result.stdout


def test_the_serving_lock_is_free_again_when_it_is_let_go(tmp_path: Path) -> None:
    with serving_lock(tmp_path), serving_lock(tmp_path):
        pass
    with serving_lock(tmp_path):
        pass
