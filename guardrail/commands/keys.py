"""`expunge keys`: create, list and revoke API keys, on the data folder itself.

Works while a proxy runs: it notices at its next request. A secret is shown once, when it is made; only its hash is kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from guardrail.commands.options import config_option, json_option, load_settings, print_json, print_table

if TYPE_CHECKING:
    from retrieval.registry import Registry
    from retrieval.stores.keys import KeyRecord


@contextmanager
def _registry(config: Path | None) -> Iterator[Registry]:
    from retrieval.registry import Registry

    registry = Registry.open(load_settings(config).retrieval.data_dir)
    try:
        yield registry
    finally:
        registry.close()


def _shown(record: KeyRecord) -> dict[str, Any]:
    return {
        "key_id": record.key_id,
        "tenant": record.tenant,
        "role": "admin" if record.is_admin else "user",
        "models": list(record.models),
        "rate_limit_per_min": record.rate_limit_per_min,
        "label": record.label,
        "created_at": record.created_at.isoformat(),
        "revoked_at": record.revoked_at.isoformat() if record.revoked_at else None,
    }


@click.group("keys")
def command() -> None:
    """Create, list and revoke API keys.

    A user key may call the model; an admin key may also manage forget entries. Keys are asked for when the
    configuration says `auth.required: true`.
    """


@command.command("create")
@config_option
@click.option(
    "--tenant", default="default", show_default=True, help="Whose key it is; entries can be scoped by tenant."
)
@click.option("--admin", is_flag=True, help="May manage forget entries on the admin listener.")
@click.option("--model", "models", multiple=True, help="May use this model only; repeat for more. Default: all.")
@click.option("--rate-limit", type=click.IntRange(1), help="Most requests a minute. Default: no limit.")
@click.option("--label", default="", help="A note for `expunge keys list`.")
@json_option
def create(
    *,
    config: Path | None,
    tenant: str,
    admin: bool,
    models: tuple[str, ...],
    rate_limit: int | None,
    label: str,
    as_json: bool,
) -> None:
    """Make a key and show its secret, this once."""
    with _registry(config) as registry:
        made = registry.keys.create(
            tenant=tenant, is_admin=admin, models=models or ("*",), rate_limit_per_min=rate_limit, label=label
        )
    if as_json:
        print_json({**_shown(made.record), "secret": made.secret})
        return
    click.echo(made.secret)
    click.echo(f"Key {made.record.key_id}: keep the secret now, it is not shown again.", err=True)


@command.command("list")
@config_option
@json_option
def list_keys(config: Path | None, as_json: bool) -> None:
    """Show every key, without secrets."""
    with _registry(config) as registry:
        shown = [_shown(record) for record in registry.keys.list()]
    if as_json:
        print_json(shown)
        return
    rows = [
        (
            key["key_id"],
            key["tenant"],
            key["role"],
            ",".join(key["models"]),
            key["rate_limit_per_min"] or "-",
            "revoked" if key["revoked_at"] else "active",
            key["label"],
        )
        for key in shown
    ]
    print_table(("KEY", "TENANT", "ROLE", "MODELS", "PER MIN", "STATE", "LABEL"), rows)


@command.command("revoke")
@config_option
@click.argument("key_id")
@json_option
def revoke(config: Path | None, key_id: str, as_json: bool) -> None:
    """End a key: it fails from the next request on. KEY_ID is the id of `expunge keys list`, not the secret."""
    with _registry(config) as registry:
        record = registry.keys.revoke(key_id)
    if as_json:
        print_json(_shown(record))
    else:
        click.echo(f"Key {record.key_id} is revoked.")
