"""`expunge forget shadow-report`: what entries in shadow would have changed.

Knows the admin API's URL and how the answer is shown, not how it is counted.
"""

from __future__ import annotations

from typing import Any

import click

from guardrail.commands.connected import client_of, connected
from guardrail.commands.options import print_json, print_table


@click.command("shadow-report")
@click.option("--since", help="Only decisions since then, such as 2026-01-31T00:00:00Z.")
@click.option("--limit", type=click.IntRange(1, 1_000_000), help="Most decisions to read, the newest. Default: 100000.")
@connected
def shadow_report(*, since: str | None, limit: int | None, as_json: bool, **given: Any) -> None:
    """Show how often entries in shadow were met and would have changed what a caller gets.

    Entries are in shadow by --set shadow=true, or all of them by policy.shadow in the configuration.
    """
    with client_of(given) as client:
        report = client.send("GET", "/v1/forget/shadow-report", query={"since": since, "limit": limit})
    if as_json:
        print_json(report)
        return
    rows = [
        (
            entry["id"],
            entry["state"],
            "?" if entry["requests"] is None else entry["requests"],
            entry["met"],
            entry["would_change"],
            "?" if entry["share"] is None else f"{entry['share']:.4%}",
            _largest(entry["by_tenant"]),
            _largest(entry["by_model"]),
            entry["name"],
        )
        for entry in report["entries"]
    ]
    print_table(("ID", "STATE", "REQUESTS", "MET", "WOULD CHANGE", "SHARE", "MOSTLY FOR", "MODEL", "NAME"), rows)
    click.echo(f"{report['decisions']} decisions read, since {report['since'] or 'none was taken'}.")
    if not report["is_complete"]:
        click.echo("There are more; raise --limit.", err=True)


def _largest(counts: dict[str, int]) -> str:
    """The name with the largest count, and the count."""
    return next((f"{name} ({count})" for name, count in counts.items()), "")
