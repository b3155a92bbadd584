"""`expunge init` writes a file that loads and in which every setting is explained."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from pydantic import BaseModel

from guardrail import settings
from guardrail.cli import cli
from guardrail.commands.config_file import explanations, render
from guardrail.settings import BackendSettings, Settings, parse


@pytest.fixture
def runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CliRunner:
    monkeypatch.chdir(tmp_path)
    return CliRunner()


def test_two_answers_give_a_file_that_loads(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["init"], input="embedded\ny\n")
    assert result.exit_code == 0, result.output
    loaded = settings.load(Path("expunge.yaml"))
    assert loaded.backends[0].kind == "transformers_local"
    assert loaded.auth.required
    assert "expunge keys create --admin" in result.stdout
    assert "expunge serve" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--backend", "server", "--url", "http://h:1/v1/"], {"kind": "vllm_server", "base_url": "http://h:1"}),
        (["--backend", "litellm", "--model", "openai/gpt-x"], {"models": {"gpt-x": "openai/gpt-x"}}),
        (["--backend", "embedded", "--model", "/models/m"], {"model": "/models/m"}),
    ],
)
def test_options_answer_the_questions_for_scripts(
    runner: CliRunner, arguments: list[str], expected: dict[str, object]
) -> None:
    result = runner.invoke(cli, ["init", *arguments, "--no-keys", "--out", "c.yaml"])
    assert result.exit_code == 0, result.output
    backend = settings.load(Path("c.yaml")).backends[0].model_dump()
    assert {key: backend[key] for key in expected} == expected


def test_an_existing_file_is_only_overwritten_on_demand(runner: CliRunner) -> None:
    Path("expunge.yaml").write_text("mine")
    arguments = ["init", "--backend", "embedded", "--no-keys"]
    result = runner.invoke(cli, arguments)
    assert (result.exit_code, Path("expunge.yaml").read_text()) == (2, "mine")
    assert runner.invoke(cli, [*arguments, "--force"]).exit_code == 0
    assert Path("expunge.yaml").read_text() != "mine"


def test_an_address_that_is_none_is_refused_and_nothing_written(runner: CliRunner) -> None:
    result = runner.invoke(cli, ["init", "--backend", "server", "--url", "localhost", "--no-keys"])
    assert result.exit_code == 2
    assert not Path("expunge.yaml").exists()


@pytest.mark.parametrize("kind", ["transformers_local", "vllm_server", "litellm_provider", "echo"])
def test_every_setting_stands_in_the_file_with_its_explanation(kind: str) -> None:
    backend = {"name": "b", "kind": kind, "base_url": "http://h:1", "models": {"a": "b"}}
    original = parse({"backends": [backend], "policy": {"refusal_text": "No: never #1, 'really'."}})
    text = render(original)
    assert parse(yaml.safe_load(text)) == original
    words = " ".join(text.replace("#", " ").split())
    sections: list[type[BaseModel]] = [
        type(getattr(original, name)) for name in Settings.model_fields if name != "backends"
    ]
    sections.append(BackendSettings)
    for model in sections:
        for field in model.model_fields:
            assert f"{field}:" in text, field
            assert explanations(model)[field] in words, field
