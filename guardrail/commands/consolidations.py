"""`expunge consolidate plan|start|status|cancel|approve|reject|publish|rollback|schedule`: what workers do, and the
operator's word on it.

Knows the admin API's URLs and how answers are shown, nothing of jobs.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click
import orjson

from guardrail.commands.connected import client_of, connected
from guardrail.commands.options import BadInput, print_json, print_table

URL: Final = "/v1/consolidations"


@click.command("plan")
@connected
def plan(*, as_json: bool, **given: Any) -> None:
    """Show what is due on each model and why, what stays in context and why, and what a run would cost."""
    with client_of(given) as client:
        found = client.send("GET", f"{URL}/plan")["data"]
    if as_json:
        print_json(found)
        return
    if not found:
        click.echo("Nothing is planned yet; start a worker: `expunge worker`.")
    for one in found:
        cost = one["cost"]
        told = f", about {_span(cost['seconds'])} (by {cost['measured_by']})" if cost else ""
        click.echo(f"{one['model']} on {one['backend']}, next method {one['method']}{told}")
        if one["refused"]:
            click.echo(f"  not consolidatable: {one['refused']}")
        rows = [(item["entry"], item["revision"], _standing(item), item["reason"]) for item in one["items"]]
        if rows:
            print_table(("ENTRY", "REVISION", "DUE", "WHY"), rows)


@click.command("start")
@click.argument("entries", nargs=-1)
@click.option("--model", help="Public name of the model. Default: the only one.")
@click.option("--method", help="Default: the next one of the ladder.")
@click.option("--approval/--no-approval", "needs_approval", default=None, help="Wait for a person before publishing.")
@click.option(
    "--canary", "canary_share", type=click.FloatRange(0, 1, min_open=True), help="Share of requests at first."
)
@connected
def start(*, entries: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Begin a run for what is due, or for ENTRIES by id."""
    names = ("model", "method", "needs_approval", "canary_share")
    body = {name: given[name] for name in names if given[name] is not None} | {"entries": list(entries)}
    with client_of(given) as client:
        job = client.send("POST", URL, body=orjson.dumps(body))
    _show(job, as_json=as_json)


@click.command("status")
@click.argument("job", required=False)
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="Most jobs to show.")
@connected
def status(*, job: str | None, limit: int, as_json: bool, **given: Any) -> None:
    """Show jobs, newest first, or one JOB with what the gate said."""
    with client_of(given) as client:
        if job is not None:
            _show(client.send("GET", _path(job)), as_json=as_json)
            return
        found = client.send("GET", URL, query={"limit": limit})["data"]
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], one["model"], one["state"], _at(one), len(one["entries"]), one["attempts"], one["error"])
        for one in found
    ]
    print_table(("JOB", "MODEL", "STATE", "STEP", "ENTRIES", "ATTEMPTS", "WHY"), rows)


def _word(name: str, told: str) -> click.Command:
    """A command that says one word about a job."""

    @click.command(name, help=told)
    @click.argument("job")
    @connected
    def command(*, job: str, as_json: bool, **given: Any) -> None:
        with client_of(given) as client:
            _show(client.send("POST", f"{_path(job)}:{name}", body=b""), as_json=as_json)

    return command


@click.command("schedule")
@click.option("--cron", help="Minute, hour, day, month, weekday, such as '30 2 * * *'; switches the schedule on.")
@click.option("--timezone", help="IANA name, such as Europe/Berlin.")
@click.option("--window", "window_minutes", type=click.IntRange(1), help="Minutes in which a run may still begin.")
@click.option("--hits", type=click.IntRange(1), help="Requests that touched an entry, from which on it is due.")
@click.option("--leaks", type=click.IntRange(1), help="Caught leaks, from which on it is due.")
@click.option("--age-days", type=click.FloatRange(0, min_open=True), help="Age from which on it is due.")
@click.option("--approval/--no-approval", "needs_approval", default=None, help="Wait for a person before publishing.")
@click.option(
    "--canary", "canary_share", type=click.FloatRange(0, 1, min_open=True), help="Share of requests at first."
)
@click.option("--on/--off", "enabled", default=None, help="Switch it on or off.")
@connected
def schedule(*, as_json: bool, **given: Any) -> None:
    """Show when runs begin by themselves, or change what is named."""
    fields = ("cron", "timezone", "window_minutes", "needs_approval", "canary_share", "enabled")
    rules = ("hits", "leaks", "age_days")
    changes = {name: given[name] for name in fields if given[name] is not None}
    rule = {name: given[name] for name in rules if given[name] is not None}
    with client_of(given) as client:
        there = client.send("GET", f"{URL}/schedule")
        there.pop("object", None)
        if changes or rule:
            switched = {"enabled": True} if "cron" in changes and "enabled" not in changes else {}
            body = {**there, **changes, **switched, "rule": {**there["rule"], **rule}}
            there = client.send("PUT", f"{URL}/schedule", body=orjson.dumps(body))
            there.pop("object", None)
    if as_json:
        print_json(there)
        return
    shown = {**{name: value for name, value in there.items() if name != "rule"}, **_rule(there["rule"])}
    print_table(("SETTING", "VALUE"), [(name, "-" if value is None else value) for name, value in shown.items()])


COMMANDS: Final[Sequence[click.Command]] = (
    plan,
    start,
    status,
    _word("cancel", "End JOB; at its next heartbeat if a worker has it."),
    _word("approve", "Let the weights of JOB be published, which wait for a person's word."),
    _word("reject", "Do not publish the weights of JOB; its entries stay in context."),
    _word("publish", "Let the approved weights of JOB answer every request: ends a canary or takes a rollback back."),
    _word("rollback", "Let what served before the weights of JOB answer again, at once."),
    schedule,
)


def _path(job: str) -> str:
    if not job.startswith("cj_"):
        raise BadInput(f"'{job}' is no job's id; `expunge consolidate status` shows them.")
    return f"{URL}/{urllib.parse.quote(job, safe='')}"


def _show(job: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(job)
        return
    click.echo(f"{job['id']} on {job['model']}: {job['state']}{f' ({_at(job)})' if _at(job) else ''}")
    if job["error"]:
        click.echo(f"  {job['error']}")
    for entry, why in job["due"].items():
        click.echo(f"  {entry}: {why}")
    weights = job["weights"]
    if weights is not None:
        covered = f"{len(weights['covers'])} entries"
        click.echo(f"  weights {weights['id']}, version {weights['version']}: {weights['state']}, {covered}")
        for reason in weights["reasons"]:
            click.echo(f"    {reason}")


def _at(job: Mapping[str, Any]) -> str:
    """The step, and how far it is."""
    if job["state"] != "running":
        return ""
    progress = job["progress"]
    far = f" {progress['done']}/{progress['total']}" if progress["total"] else ""
    left = f", {_span(progress['left_s'])} left" if progress["left_s"] is not None else ""
    return f"{job['step']}{far}{left}"


def _standing(item: Mapping[str, Any]) -> str:
    return "due" if item["is_due"] else "covered" if item["is_covered"] else "no"


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    return {f"rule.{name}": value for name, value in rule.items()}


def _span(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
