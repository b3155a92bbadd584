"""`expunge backup` and `expunge restore`: the registry with its audit chain, as one checked file.

Knows nothing of what is in the file. A backup can be taken while a proxy runs; a restore needs a folder of its own.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from guardrail.commands.options import BadInput, config_option, json_option, load_settings, print_json


def _data_dir(config: Path | None, data_dir: Path | None) -> Path:
    return data_dir or load_settings(config).retrieval.data_dir


def _default_target() -> Path:
    return Path(f"registry-{datetime.now(UTC).strftime('%Y-%m-%dT%H%M%SZ')}.tar.gz")


@click.command("backup")
@click.argument("target", type=click.Path(path_type=Path, dir_okay=False), required=False)
@config_option
@click.option("--data-dir", type=click.Path(path_type=Path), help="The registry's folder. Default: as configured.")
@json_option
def backup_command(*, target: Path | None, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Save the registry to TARGET (default: registry-TIME.tar.gz here); works while a proxy runs.

    The file holds the entries' text: keep it like the data itself. Its audit head, kept elsewhere, later proves that
    the audit log was not rewritten.
    """
    from retrieval.backup import BackupRefused, backup

    try:
        report = backup(_data_dir(config, data_dir), target or _default_target())
    except BackupRefused as error:
        raise BadInput(str(error)) from None
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    manifest = report.manifest
    click.echo(f"Wrote {report.archive}: {manifest.entries} entries, {manifest.audit_records} audit records.")
    click.echo(f"Audit head: {manifest.audit_head}")


@click.command("restore")
@click.argument("archive", type=click.Path(path_type=Path, dir_okay=False))
@config_option
@click.option("--data-dir", type=click.Path(path_type=Path), help="An empty or new folder. Default: as configured.")
@json_option
def restore_command(*, archive: Path, config: Path | None, data_dir: Path | None, as_json: bool) -> None:
    """Bring the registry in ARCHIVE back into an empty folder, after checking it and its audit chain."""
    from retrieval.backup import BackupRefused, restore

    folder = _data_dir(config, data_dir)
    try:
        report = restore(archive, folder)
    except BackupRefused as error:
        raise BadInput(str(error)) from None
    if as_json:
        print_json(report.model_dump(mode="json"))
        return
    click.echo(f"Restored {report.manifest.entries} entries into {folder}; the audit chain is whole.")
