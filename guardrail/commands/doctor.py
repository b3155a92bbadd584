"""`expunge doctor`: what is configured, reachable and there, and what to mend.

Knows no check by itself; prints each finding on a line and exits 1 if one of them keeps the proxy from serving.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import click

from guardrail.commands import checks
from guardrail.commands.checks import Finding, Level
from guardrail.commands.doctor_offset import check_offsets
from guardrail.commands.doctor_restriction import check_restrictions
from guardrail.commands.options import DEFAULT_CONFIG, config_option, json_option, load_settings, print_json
from guardrail.errors import ConfigError

_COLOURS = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red"}


def examine(config: Path | None) -> Iterator[Finding]:
    """All findings, each as soon as it is known."""
    try:
        settings = load_settings(config)
    except ConfigError as error:
        yield Finding(level=Level.FAIL, what="configuration", detail=str(error), mend="correct the file")
        return
    name = config or DEFAULT_CONFIG
    if config is None and not name.exists():
        detail = f"there is no {name} here; looking at the defaults"
        yield Finding(level=Level.WARN, what="configuration", detail=detail, mend="expunge init")
    else:
        yield Finding(level=Level.OK, what="configuration", detail=f"{name} is right")
    yield from checks.check_versions()
    yield from checks.check_data_folder(settings)
    yield from checks.check_registry(settings)
    yield from checks.check_embedder(settings)
    yield from checks.check_multilingual(settings)
    yield from checks.check_backends(settings)
    yield from check_restrictions(settings)
    yield from check_offsets(settings)
    yield from checks.check_ports(settings)


@click.command("doctor")
@config_option
@json_option
@click.pass_context
def command(ctx: click.Context, *, config: Path | None, as_json: bool) -> None:
    """Check configuration, data folder, registry, audit chain, models, backends and ports.

    Every line is ok, warn or fail; what is not ok says what to mend. Nothing is changed. Exits 1 if something fails.
    """
    findings: list[Finding] = []
    for finding in examine(config):
        findings.append(finding)
        if not as_json:
            level = click.style(f"{finding.level.value:4}", fg=_COLOURS[finding.level])
            click.echo(f"{level}  {finding.what}: {finding.detail}")
            if finding.mend:
                click.echo(f"      -> {finding.mend}")
    failed = any(finding.level is Level.FAIL for finding in findings)
    if as_json:
        print_json({"ok": not failed, "findings": [dataclasses.asdict(finding) for finding in findings]})
    ctx.exit(1 if failed else 0)
