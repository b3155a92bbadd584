"""`expunge forget memory`: what is remembered of an entry, shown item by item and edited.

Knows the admin API's URLs and how answers are shown, not how items come about.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import click
import orjson

from guardrail.commands.admin_client import AdminClient, entry_path
from guardrail.commands.connected import client_of, connected
from guardrail.commands.options import print_json, print_table
from retrieval.memory.items import AddedKind, ItemKind, ItemSource

_SHOWN_CHARS: Final = 100


@click.group("memory")
def memory() -> None:
    """Look at what is remembered of an entry, and edit it.

    What you gave is changed by `expunge forget revise`; what was derived from it can be switched off here, and more added.
    """


@memory.command("show")
@click.argument("entry_id")
@click.option("--kind", type=click.Choice(get_args(ItemKind)), help="Only items of this kind.")
@click.option("--source", type=click.Choice(get_args(ItemSource)), help="Only items that come from there.")
@connected
def show(*, entry_id: str, kind: str | None, source: str | None, as_json: bool, **given: Any) -> None:
    """List every item with its id. "yes" under ALONE: found in a text, it decides alone."""
    with client_of(given) as client:
        shown = client.send("GET", _path(entry_id), query={"kind": kind, "source": source})
    _print(shown, as_json)


@memory.command("disable")
@click.argument("entry_id")
@click.argument("item_ids", nargs=-1, required=True)
@connected
def disable(*, entry_id: str, item_ids: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Switch derived or added items off."""
    with client_of(given) as client:
        _print(_patch(client, entry_id, {"disable": item_ids}), as_json)


@memory.command("enable")
@click.argument("entry_id")
@click.argument("item_ids", nargs=-1, required=True)
@connected
def enable(*, entry_id: str, item_ids: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Switch items on again."""
    with client_of(given) as client:
        _print(_patch(client, entry_id, {"enable": item_ids}), as_json)


@memory.command("add")
@click.argument("entry_id")
@click.argument("text")
@click.option("--kind", type=click.Choice(get_args(AddedKind)), required=True, help="What the text is.")
@click.option("--alone/--not-alone", "is_unmistakable", default=None, help="May an alias decide alone? Default: yes.")
@connected
def add(*, entry_id: str, text: str, kind: str, is_unmistakable: bool | None, as_json: bool, **given: Any) -> None:
    """Add an item, such as --kind claim "She kept geese in Ven."."""
    item = {"kind": kind, "text": text, "is_unmistakable": is_unmistakable}
    with client_of(given) as client:
        _print(_patch(client, entry_id, {"add": [item]}), as_json)


@memory.command("remove")
@click.argument("entry_id")
@click.argument("item_ids", nargs=-1, required=True)
@connected
def remove(*, entry_id: str, item_ids: tuple[str, ...], as_json: bool, **given: Any) -> None:
    """Remove items that were added."""
    with client_of(given) as client:
        _print(_patch(client, entry_id, {"remove": item_ids}), as_json)


def _path(entry_id: str) -> str:
    return f"{entry_path(entry_id)}/memory"


def _patch(client: AdminClient, entry_id: str, change: dict[str, Any]) -> Any:
    return client.send("PATCH", _path(entry_id), body=orjson.dumps(change))


def _print(shown: Any, as_json: bool) -> None:
    if as_json:
        print_json(shown)
        return
    rows = [
        (
            item["id"],
            item["source"],
            "on" if item["enabled"] else "off",
            "yes" if item["is_unmistakable"] else "",
            item["text"] if len(item["text"]) <= _SHOWN_CHARS else f"{item['text'][:_SHOWN_CHARS]}...",
        )
        for item in shown["items"]
    ]
    print_table(("ID", "SOURCE", "STATE", "ALONE", "TEXT"), rows)
    click.echo(f"{shown['id']}  revision={shown['revision']} memory={shown['memory']}")
