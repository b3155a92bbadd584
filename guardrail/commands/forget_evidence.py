"""`expunge forget evidence`: what can be shown to an auditor of one entry.

Knows the admin API's URL and where the page goes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from guardrail.commands.admin_client import entry_path
from guardrail.commands.connected import client_of, connected
from guardrail.commands.options import CommandFailed, print_json, print_table


@click.command("evidence")
@click.argument("entry_id")
@click.option(
    "--html", "page", type=click.Path(path_type=Path, dir_okay=False), help="Write one HTML page to this file."
)
@connected
def evidence(*, entry_id: str, page: Path | None, as_json: bool, **given: Any) -> None:
    """Show what was asked of ENTRY_ID, how often it acted, which weights cover it and by which figures."""
    with client_of(given) as client:
        report = client.send("GET", f"{entry_path(entry_id)}/evidence")
    if page is not None:
        from guardrail.api.admin.evidence_page import page_of

        try:
            page.write_text(page_of(report), encoding="utf-8")
        except OSError as error:
            raise CommandFailed(f"{page} cannot be written: {error.strerror}.") from None
        click.echo(f"Written to {page}.", err=True)
    if as_json:
        print_json(report)
        return
    entry, acted = report["entry"], report["acted"]
    rows = [
        ("state", entry["state"]),
        ("asked", f"{entry['asked_at']} by {entry['asked_by']}"),
        ("reference", entry["reference"] or "-"),
        ("requests that touched it", acted["requests"]),
        ("leaks caught", acted["leaks_caught"]),
        *(
            (f"weights {one['id']}", f"{one['state']}, version {one['version']} of {one['model']}")
            for one in report["weights"]
        ),
        ("report", report["sha256"]),
    ]
    print_table(("WHAT", "VALUE"), rows)


def _weights(one: dict[str, Any]) -> tuple[str, str]:
    return f"weights {one['id']}", f"{one['state']}, version {one['version']} of {one['model']}"
