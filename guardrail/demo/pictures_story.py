"""`expunge demo --images`: a real small diffusion model draws, forgets a style and an object, and remembers them again.

Starts `expunge serve` with the packaged pipeline as a process of its own, speaks HTTP to it like any client, registers a
style and an object with reference pictures, revokes them, and checks what came out: prompts that touch an entry are drawn
differently, neighbours the same to the bit, the revoked is back to the bit, and a judge no longer sees the entry. Nothing
here knows how forgetting works.
"""

from __future__ import annotations

import tempfile
import time
import urllib.error
from pathlib import Path

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from guardrail.backends.diffusers_loading import PACKAGED_FOLDER
from guardrail.commands.options import CommandFailed
from guardrail.demo.pictures_cast import COLUMNS, ENTRIES, SEEDS, Act, Forgotten
from guardrail.demo.pictures_page import Exhibition, write_exhibition
from guardrail.demo.pictures_proxy import (
    BACKGROUND,
    INSPECTOR,
    BarePipeline,
    EntriesSeen,
    PictureClient,
    PictureProxy,
    data_urls,
    stopping_in_order,
)
from guardrail.demo.pictures_told import Told, how_met, lines_of, notes_of
from guardrail.errors import InvalidInput


@click.command("demo --images")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("expunge-demo-pictures"),
    show_default=True,
    help="Folder for the grid (PNG) and the page (HTML).",
)
@click.option("--stay", is_flag=True, help="Keep the proxy up after the story, to ask it yourself.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the proxy. Default: a free one.")
@click.option("--model", type=click.Path(path_type=Path, file_okay=False), default=PACKAGED_FOLDER, hidden=True)
def main(*, out: Path, stay: bool, port: int, model: Path) -> int:
    """Tell the same story in pictures: a real small diffusion model draws, forgets a style and an object, draws without
    them, and remembers. Takes about a minute and leaves a grid of all pictures and a page to look at.
    """
    console = Console()
    _check_model(model)
    folder = _writable(out)
    with stopping_in_order(), tempfile.TemporaryDirectory(prefix="expunge-demo-pictures-") as scratch:
        seen_in = EntriesSeen(model)
        bare, background = _drawn_bare(console, model, Path(scratch))
        with PictureProxy(model, port=port, background=background) as proxy:
            with console.status("The proxy loads the model ..."):
                proxy.wait_until_ready()
            told = _told(console, proxy.pictures, bare, seen_in)
            _show(console, told, folder)
            faults = told.faults()
            if stay and not faults:
                _go_on(console, proxy)
    return 1 if faults else 0


def tell(console: Console, client: PictureClient, bare: Act, seen_in: EntriesSeen) -> Told:
    """The three acts."""
    console.print(Panel("1. The model as it is"))
    before, _ = _draw_all(console, client)
    console.print(Panel("2. POST /v1/forget/entries: a style and an object, with reference pictures"))
    bodies = [_entry(console, client, entry) for entry in ENTRIES]
    ids, enforced_ms = list[str](), dict[str, float]()
    for entry, body in zip(ENTRIES, bodies, strict=True):
        started = time.perf_counter()
        ids.append(client.forget(body))
        enforced_ms[entry.name] = (time.perf_counter() - started) * 1e3
    treatments = _treatments(client)
    forgotten, redrawn = _draw_all(console, client)
    console.print(Panel("3. DELETE /v1/forget/entries/... -> revoked"))
    for entry_id in ids:
        client.revoke(entry_id)
    revoked, _ = _draw_all(console, client)
    return Told(
        bare=bare,
        before=before,
        forgotten=forgotten,
        revoked=revoked,
        treatments=treatments,
        left=_treatments(client),
        redrawn=redrawn,
        enforced_ms=enforced_ms,
        seen_before=seen_in(before),
        seen_forgotten=seen_in(forgotten),
    )


def _told(console: Console, client: PictureClient, bare: Act, seen_in: EntriesSeen) -> Told:
    try:
        return tell(console, client, bare, seen_in)
    except urllib.error.HTTPError as error:
        place = error.url.partition("/v1/")[2] or error.url
        raise CommandFailed(
            f"The proxy answered {error.code} to /v1/{place}; this is a fault of Expunge, please report it."
        ) from None
    except OSError as error:
        raise CommandFailed(f"The proxy stopped answering ({error}); run it again.") from None


def _drawn_bare(console: Console, model: Path, scratch: Path) -> tuple[Act, Path | None]:
    """What the model draws without Expunge, and the folder of ordinary pictures where none come with the model."""
    background = None if (model / INSPECTOR / BACKGROUND).is_dir() else scratch / BACKGROUND
    with console.status("The model without Expunge draws for comparison ..."):
        pipeline = BarePipeline(model)
        bare = {column.prompt: pipeline.draw(column.prompt, seed=1, number=SEEDS) for column in COLUMNS}
        if background is not None:
            pipeline.draw_ordinary(background)
    return bare, background


def _draw_all(console: Console, client: PictureClient) -> tuple[Act, dict[str, int]]:
    """The pictures of all prompts, and how many drawings of each were thrown away because of what they showed."""
    pictures, redrawn = dict[str, tuple[bytes, ...]](), dict[str, int]()
    for column in COLUMNS:
        with console.status(column.prompt):
            counted = client.redrawn()
            pictures[column.prompt] = client.draw(column.prompt, seed=1, number=SEEDS)
            redrawn[column.prompt] = client.redrawn() - counted
    return pictures, redrawn


def _entry(console: Console, client: PictureClient, entry: Forgotten) -> dict[str, object]:
    """The body that registers it; its reference pictures are drawn by the model itself, before it forgets."""
    with console.status(f"{len(entry.shown_by)} reference pictures of '{entry.name}'"):
        drawn = [client.draw(text, seed=entry.first_seed + at)[0] for at, text in enumerate(entry.shown_by)]
    return {"name": entry.name, "kind": entry.kind, "images": data_urls(drawn), "reason": "demo"}


def _treatments(client: PictureClient) -> dict[str, str | None]:
    return {column.prompt: client.treatment_of(column.prompt) for column in COLUMNS}


def _show(console: Console, told: Told, folder: Path) -> None:
    """The table, the counts, the files, and what was not as promised."""
    table = Table(title="side by side", show_lines=True)
    for heading in ("prompt", "entry met", "forgotten", "revoked"):
        table.add_column(heading, overflow="fold", no_wrap=heading in ("forgotten", "revoked"))
    for column in COLUMNS:
        prompt = column.prompt
        forgotten, revoked = (f"{same} of {SEEDS}" for same in (told.as_before(prompt), told.back(prompt)))
        table.add_row(f"{prompt}\n[dim]{column.label}[/dim]", how_met(told, prompt), forgotten, revoked)
    console.print(table)
    console.print("Under 'forgotten' and 'revoked': pictures that are the same as before, to the bit.\n")
    lines = lines_of(told)
    for line in lines:
        console.print(f"- {line}", highlight=False)
    acts = {"before": told.before, "forgotten": told.forgotten, "revoked": told.revoked}
    try:
        grid, page = write_exhibition(Exhibition(columns=COLUMNS, acts=acts, notes=notes_of(told), lines=lines), folder)
    except OSError as error:
        raise _unwritable(folder, error) from None
    console.print(
        f"\nAll pictures side by side: {grid}\nThe same as a page:        {page}", soft_wrap=True, highlight=False
    )
    for fault in told.faults():
        console.print(f"[red]not as promised:[/red] {fault}")


def _go_on(console: Console, proxy: PictureProxy) -> None:
    body = f'{{"model": "{proxy.pictures.model}", "prompt": "{COLUMNS[0].prompt}"}}'
    console.print(Panel("Go on yourself"))
    console.print(
        f"curl {proxy.data_url}/v1/images/generations -H 'content-type: application/json' \\\n  -d '{body}'\n\n"
        f"curl {proxy.admin_url}/v1/forget/entries -H 'content-type: application/json' \\\n"
        f'  -d \'{{"name": "{ENTRIES[0].name}", "kind": "{ENTRIES[0].kind}"}}\'\n',
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
    proxy.wait_for_end(console)


def _check_model(model: Path) -> None:
    for path in (model / "model_index.json", model / INSPECTOR / "config.json"):
        if not path.is_file():
            raise InvalidInput(
                f"The picture model is not here ({path} is missing); it comes with the repository and the package. Train "
                f"it in a checkout: python -m benchmarks.shapes.train --out {model}"
            )


def _writable(folder: Path) -> Path:
    """The folder, made if need be; before the story, so that no minute is spent in vain."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder.resolve()
    except OSError as error:
        raise _unwritable(folder, error) from None


def _unwritable(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"--out: '{folder}' cannot be written to ({error.strerror}); name another folder.")
