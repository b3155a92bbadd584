"""`expunge init`: two questions, then a configuration file in which every setting is explained.

The questions can be answered by options instead, for scripts. Starts and downloads nothing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import click

from guardrail.commands.config_file import render
from guardrail.commands.options import DEFAULT_CONFIG, BadInput
from guardrail.settings import Settings, parse

BackendChoice = Literal["embedded", "server", "litellm"]
_CHOICES: Final = ("embedded", "server", "litellm")
_SEMANTIC_LIBRARIES: Final = ("faiss", "onnxruntime", "transformers")


def _server_url(text: str) -> str:
    """The server's address without a trailing `/v1`."""
    parts = urlsplit(text)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise BadInput(f"'{text}' is no server address; it looks like http://127.0.0.1:8100.")
    return text.rstrip("/").removesuffix("/v1")


def _backend(choice: str, *, url: str | None, model: str | None, api_key_env: str | None) -> dict[str, Any]:
    if choice == "embedded":
        return {"name": "local", "kind": "transformers_local", "model": model or "smollm2"}
    if choice == "server":
        address = url or click.prompt("Address of the server", default="http://127.0.0.1:8100")
        return {
            "name": "server",
            "kind": "vllm_server",
            "base_url": _server_url(address),
            "models": {model: model} if model else {},
            "api_key_env": api_key_env,
        }
    provider_model = model or click.prompt("Model, as litellm calls it", default="openai/gpt-4o-mini")
    public = provider_model.rpartition("/")[2]
    return {
        "name": "provider",
        "kind": "litellm_provider",
        "models": {public: provider_model},
        "api_key_env": api_key_env,
    }


def _embedder() -> str:
    """Compare meaning where the libraries for it are installed; names, aliases and facts are found without them."""
    found = all(importlib.util.find_spec(name) is not None for name in _SEMANTIC_LIBRARIES)
    return "minilm-int8" if found else "none"


def make_settings(
    choice: str, *, url: str | None, model: str | None, api_key_env: str | None, keys: bool, data_dir: str
) -> Settings:
    """The settings for the answers. Raises `BadInput` or `ConfigError`."""
    return parse(
        {
            "auth": {"required": keys},
            "backends": [_backend(choice, url=url, model=model, api_key_env=api_key_env)],
            "retrieval": {"data_dir": data_dir, "embedder": _embedder()},
        },
        origin="answers",
    )


def _ask_backend() -> str:
    click.echo("Which model is to be served?")
    click.echo("  embedded  a small language model inside the proxy (needs the local-llm extra)")
    click.echo("  server    a vLLM server or another OpenAI-compatible server")
    click.echo("  litellm   a provider that litellm knows, such as OpenAI or Anthropic (needs the litellm extra)")
    answer: str = click.prompt("Backend", type=click.Choice(_CHOICES), default="embedded", show_choices=False)
    return answer


@click.command("init")
@click.option("--backend", type=click.Choice(_CHOICES), help="Where the model is; asked for if absent.")
@click.option("--url", help="server: its address, such as http://127.0.0.1:8100.")
@click.option("--model", help="Hub id, folder or GGUF file (embedded), model name (server), provider/model (litellm).")
@click.option("--api-key-env", help="Environment variable that holds the upstream key.")
@click.option("--keys/--no-keys", default=None, help="Ask callers for keys, or serve this machine only without keys.")
@click.option("--data-dir", default="expunge-data", show_default=True, help="Folder for the registry.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=DEFAULT_CONFIG, show_default=True)
@click.option("--force", is_flag=True, help="Overwrite an existing file.")
def command(
    *,
    backend: str | None,
    url: str | None,
    model: str | None,
    api_key_env: str | None,
    keys: bool | None,
    data_dir: str,
    out: Path,
    force: bool,
) -> None:
    """Write a commented configuration after two questions: which model, and who may call.

    Both can be answered by --backend and --keys/--no-keys instead.
    """
    if out.exists() and not force:
        raise BadInput(f"{out} exists; add --force to overwrite it, or name another file by --out.")
    choice = backend or _ask_backend()
    if keys is None:
        keys = click.confirm("Ask callers for keys? Without keys only this machine can call", default=False)
    settings = make_settings(choice, url=url, model=model, api_key_env=api_key_env, keys=keys, data_dir=data_dir)
    notes = {"auth": "Make keys with: expunge keys create, and one with --admin for the admin listener."}
    try:
        out.write_text(render(settings, notes=notes if keys else None), encoding="utf-8")
    except OSError as error:
        raise BadInput(f"{out} cannot be written: {error.strerror}.") from None
    click.echo(f"Wrote {out}. Next:")
    given = "" if out == DEFAULT_CONFIG else f" --config {out}"
    if keys:
        click.echo(f"  expunge keys create --admin{given}")
    click.echo(f"  expunge serve{given}")
