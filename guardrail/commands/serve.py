"""`expunge serve`: reads the configuration, applies the overrides of the command line, runs the proxy.

Knows nothing of how the proxy is put together. Holds the data folder's lock while it runs.
"""

from __future__ import annotations

from pathlib import Path

import click

from guardrail.commands.options import config_option, require_settings
from guardrail.errors import ConfigError
from guardrail.serving_lock import serving_lock
from guardrail.settings import Settings, parse


def with_overrides(settings: Settings, overrides: dict[str, object]) -> Settings:
    """The settings with `server` values of the command line; checked as a whole again. Raises `ConfigError`."""
    given = {key: value for key, value in overrides.items() if value is not None}
    if not given:
        return settings
    data = settings.model_dump()
    data["server"].update(given)
    return parse(data, origin="command line")


@click.command("serve")
@config_option
@click.option("--host", help="Address of the OpenAI-compatible listener.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port of the OpenAI-compatible listener.")
@click.option("--admin-host", help="Address of the admin listener.")
@click.option("--admin-port", type=click.IntRange(0, 65535), help="Port of the admin listener.")
@click.option("--workers", type=click.IntRange(1), help="Processes that serve the OpenAI-compatible listener.")
def command(
    *,
    config: Path | None,
    host: str | None,
    port: int | None,
    admin_host: str | None,
    admin_port: int | None,
    workers: int | None,
) -> None:
    """Run the proxy until it is stopped (Ctrl-C or SIGTERM; answers under way are finished).

    Clients use http://HOST:PORT/v1 as their OpenAI base URL. Forget entries are managed on the admin listener, for
    example with `expunge forget add NAME`.
    """
    overrides: dict[str, object] = {
        "host": host,
        "port": port,
        "admin_host": admin_host,
        "admin_port": admin_port,
        "workers": workers,
    }
    settings = with_overrides(require_settings(config), overrides)
    if not settings.backends:
        raise ConfigError("backends: none is configured; `expunge init` writes a configuration with one")
    with serving_lock(settings.retrieval.data_dir):
        from guardrail.app import serve

        serve(settings)
