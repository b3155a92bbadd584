"""`expunge forget`: what is to be forgotten, told to a running proxy or, with `--offline`, to its data folder.

Knows the admin API's URLs and how answers are shown, not how they come about.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import orjson

from guardrail.commands.admin_client import entry_path
from guardrail.commands.connected import client_of, connected
from guardrail.commands.entry_file import as_data_url, complete
from guardrail.commands.forget_evidence import evidence
from guardrail.commands.forget_import import import_file
from guardrail.commands.forget_match import show_match
from guardrail.commands.forget_memory import memory
from guardrail.commands.forget_strength import strength
from guardrail.commands.options import BadInput, CommandFailed, print_json, print_table
from guardrail.commands.shadow_report import shadow_report
from retrieval.entry import EntryKind, EntryState
from retrieval.errors import InvalidEntry

_URL = "/v1/forget/entries"


def _read(path: str) -> bytes:
    try:
        with click.open_file(path, "rb") as stream:
            content: bytes = stream.read()
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
    return content


def _read_text(path: str) -> str:
    try:
        return _read(path).decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadInput(f"{path} is not UTF-8 (byte {error.start}).") from None


def _read_object(path: str) -> dict[str, Any]:
    try:
        value = orjson.loads(_read(path))
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{path} is not valid JSON: {error.msg} (line {error.lineno} column {error.colno}).") from None
    if not isinstance(value, dict):
        raise BadInput(f"{path} must hold a JSON object.")
    return value


def _print_entry(shown: Mapping[str, Any], done: str) -> None:
    click.echo(f"{shown['id']}  {done}  state={shown['state']} revision={shown['revision']} memory={shown['memory']}")


@click.group("forget")
def command() -> None:
    """Manage what the served model is to forget.

    Commands speak to a running proxy's admin listener. With --offline they work on the data folder, while no proxy runs.
    """


command.add_command(evidence)
command.add_command(memory)
command.add_command(shadow_report)
command.add_command(strength)


@command.command("add")
@click.argument("name", required=False)
@click.option("--file", "file", help="A JSON file with the whole entry; - for standard input.")
@click.option("--id", "entry_id", help="Your own stable id.")
@click.option("--kind", type=click.Choice([kind.value for kind in EntryKind]), help="What kind of thing it is.")
@click.option("--alias", "aliases", multiple=True, help="Another name or spelling; repeat for more.")
@click.option("--description", help="What tells it from its neighbours.")
@click.option("--fact", "facts", multiple=True, help="Something that must not come out; repeat for more.")
@click.option("--exemplar", "exemplars", multiple=True, help="A request that touches it; repeat for more.")
@click.option("--neighbor", "neighbors", multiple=True, help="A near request that stays untouched; repeat for more.")
@click.option("--document", "documents", multiple=True, help="A text file about it; repeat for more.")
@click.option("--treatment", help="How it is forgotten: ignorance, refusal, substitute, redact.")
@click.option("--substitute", help="What to say instead (for the treatment substitute).")
@connected
def add(*, name: str | None, file: str | None, as_json: bool, documents: tuple[str, ...], **given: Any) -> None:
    """Register one entry. NAME is what people call it; more than the name is optional."""
    if (name is None) == (file is None):
        raise BadInput("Give either a NAME or --file.")
    fields: dict[str, Any] = {"name": name} if file is None else _read_object(file)
    fields |= {"id": given["entry_id"]} if given["entry_id"] else {}
    for key in ("kind", "aliases", "description", "facts", "exemplars", "neighbors", "treatment", "substitute"):
        if given[key]:
            fields[key] = given[key]
    if documents:
        fields["documents"] = [_read_text(path) for path in documents]
    if fields.get("images"):
        folder = Path(file).parent if file and file != "-" else Path()
        fields["images"] = list(complete(fields, folder).images)
    with client_of(given) as client:
        shown = client.send("POST", _URL, body=orjson.dumps(fields))
    if as_json:
        print_json(shown)
    else:
        _print_entry(shown, f"enforced since {shown['enforced_at']}" if shown["enforced_at"] else "not enforced")


@command.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--atomic", is_flag=True, help="All lines in one step or none; otherwise in batches.")
@connected
def import_entries(*, file: Path, atomic: bool, as_json: bool, **given: Any) -> None:
    """Register a file of entries, one JSON object a line.

    The whole file is checked first. An import that breaks off can be run again: what is there stays unchanged, also for
    lines without an id.
    """
    with client_of(given) as client:
        result = import_file(client, file, atomic=atomic)
    if as_json:
        print_json(result.shown())
    else:
        click.echo(f"{result.created} registered, {result.unchanged} were there, {result.failed} refused.")
        for problem in result.problems:
            click.echo(f"  line {problem['line']}: {problem['error']}", err=True)
    if result.failed:
        raise CommandFailed(f"{result.failed} lines of {file} were refused.")


@command.command("list")
@click.option("--state", type=click.Choice([state.value for state in EntryState]), help="Only entries in this state.")
@click.option("--kind", type=click.Choice([kind.value for kind in EntryKind]), help="Only entries of this kind.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="Most entries to show.")
@connected
def list_entries(*, state: str | None, kind: str | None, limit: int, as_json: bool, **given: Any) -> None:
    """Show what is registered, oldest first."""
    entries: list[dict[str, Any]] = []
    cursor: str | None = None
    more = True
    with client_of(given) as client:
        while more and len(entries) < limit:
            query = {"state": state, "kind": kind, "limit": min(limit - len(entries), 1000), "cursor": cursor}
            page = client.send("GET", _URL, query=query)
            entries += page["data"]
            more, cursor = page["has_more"], page["next_cursor"]
    if as_json:
        print_json(entries)
        return
    rows = [(entry["id"], entry["state"], entry["kind"], entry["revision"], entry["name"]) for entry in entries]
    print_table(("ID", "STATE", "KIND", "REVISION", "NAME"), rows)
    if more:
        click.echo(f"There are more; raise --limit ({limit}).", err=True)


@command.command("show")
@click.argument("entry_id")
@connected
def show(*, entry_id: str, as_json: bool, **given: Any) -> None:
    """Show one entry in full, as JSON."""
    with client_of(given) as client:
        print_json(client.send("GET", entry_path(entry_id)))


@command.command("revise")
@click.argument("entry_id")
@click.option("--set", "assignments", multiple=True, metavar="FIELD=VALUE", help="VALUE is JSON, or plain text.")
@click.option("--file", "file", help="A JSON file with the fields to change; - for standard input.")
@click.option("--if-revision", type=click.IntRange(0), help="Only if the entry still is at this revision.")
@connected
def revise(
    *,
    entry_id: str,
    assignments: tuple[str, ...],
    file: str | None,
    if_revision: int | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Change fields of an entry, such as --set 'aliases=["A. E."]'; null puts a field back to its default."""
    changes = _read_object(file) if file else {}
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not key or not equals:
            raise BadInput(f"--set {key}: write FIELD=VALUE.")
        changes[key] = _value(value)
    if not changes:
        raise BadInput("Nothing to change: give --set FIELD=VALUE or --file.")
    with client_of(given) as client:
        body = orjson.dumps(changes)
        shown = client.send("PATCH", entry_path(entry_id), query={"if_revision": if_revision}, body=body)
    if as_json:
        print_json(shown)
    else:
        _print_entry(shown, "revised")


def _picture(path: str) -> str:
    try:
        return as_data_url(path, Path())
    except InvalidEntry as error:
        why = str(error).removeprefix("Field 'images': ")
        raise BadInput(f"--image: {why}") from None


def _value(text: str) -> Any:
    """JSON where it is JSON, the text itself otherwise."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


@command.command("revoke")
@click.argument("entry_ids", nargs=-1, required=True)
@connected
def revoke(*, entry_ids: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """End the enforcement of entries; the model answers as before. The record stays."""
    with client_of(given) as client:
        revoked = [client.send("DELETE", entry_path(entry_id)) for entry_id in entry_ids]
    if as_json:
        print_json(revoked)
        return
    for shown in revoked:
        _print_entry(shown, "revoked")


@command.command("match")
@click.argument("text", required=False)
@click.option("--file", "file", help="A JSON file with a whole request body; - for standard input.")
@click.option("--image", "image", help="A picture that is handed in (png, jpeg, webp, gif).")
@click.option("--model", help="Ask for this model.")
@click.option("--tenant", help="Ask on behalf of this tenant.")
@connected
def match(
    *,
    text: str | None,
    file: str | None,
    image: str | None,
    model: str | None,
    tenant: str | None,
    as_json: bool,
    **given: Any,
) -> None:
    """Dry run: what would be decided and done for TEXT (a user's message), and why. No model is asked."""
    if sum(one is not None for one in (text, file, image)) != 1:
        raise BadInput("Give one of a TEXT, --file and --image.")
    body: dict[str, Any]
    if image is not None:
        body = {"image": _picture(image)}
    else:
        body = {"messages": [{"role": "user", "content": text}]} if file is None else _read_object(file)
    if model:
        body["model"] = model
    with client_of(given) as client:
        told = client.send("POST", "/v1/forget/match", query={"tenant": tenant}, body=orjson.dumps(body))
    if as_json:
        print_json(told)
    else:
        show_match(told)
