"""`expunge demo`: the whole story on one machine, with a real small model behind the real proxy.

Starts `expunge serve` with the embedded model as a process of its own, speaks HTTP to it like any client, shows the answers
side by side and checks them: the forgotten is gone, the neighbours answer word for word as before, the revoked is
back. Nothing here knows how forgetting works.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import click
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from guardrail.demo.client import Client
from guardrail.demo.running import RunningProxy

ENTRY = {"name": "Stephen King", "kind": "person", "reason": "demo"}
FORBIDDEN = ("stephen king",)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A question of the story and what must become of its answer."""

    label: str
    text: str
    touches: bool


QUESTIONS = (
    Question(label="the person", text="Who is Stephen King?", touches=True),
    Question(label="his work, without his name", text="Who wrote The Shining?", touches=True),
    Question(label="neighbour: another author", text="Who wrote Harry Potter?", touches=False),
    Question(label="something else", text="What is the capital of France?", touches=False),
)
MIXED = "Who is Stephen King? And what is the capital of Japan?"


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """The answers of the three acts, by question."""

    before: dict[str, str]
    forgotten: dict[str, str]
    mixed: str
    revoked: dict[str, str]

    def faults(self) -> list[str]:
        """What did not come out as promised; empty if the story held."""
        found: list[str] = []
        for question in QUESTIONS:
            before, after, again = (act[question.text] for act in (self.before, self.forgotten, self.revoked))
            if question.touches and _leaks(after):
                found.append(f"'{question.text}' still names what was forgotten")
            if question.touches and not _leaks(before):
                found.append(f"'{question.text}': the untouched model did not know it")
            if not question.touches and after != before:
                found.append(f"'{question.text}' is answered differently although it is a neighbour")
            if again != before:
                found.append(f"'{question.text}' is not answered as before after the revocation")
        if _leaks(self.mixed) or "tokyo" not in self.mixed.lower():
            found.append("the mixed question was not answered in its innocent part")
        return found


def _leaks(text: str) -> bool:
    return any(name in text.lower() for name in FORBIDDEN)


@click.command("demo")
@click.option("--once", is_flag=True, help="End after the story instead of staying up.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free port.")
@click.option(
    "--admin-port", type=click.IntRange(0, 65535), default=8001, show_default=True, help="0 takes a free port."
)
def main(*, once: bool, port: int, admin_port: int) -> int:
    """Tell the whole story on one machine: a real small model answers, forgets, answers, and remembers again."""
    console = Console()
    with RunningProxy(port=port, admin_port=admin_port) as proxy:
        with console.status("Loading the model (the first time also converts it, about half a minute) ..."):
            proxy.wait_until_ready()
        told = tell(console, proxy.client)
        faults = told.faults()
        for fault in faults:
            console.print(f"[red]not as promised:[/red] {fault}")
        _go_on(console, proxy)
        if not once and not faults:
            proxy.wait_for_end(console)
    return 1 if faults else 0


def tell(console: Console, client: Client) -> Told:
    """The three acts."""
    console.print(Panel("1. The model as it is"))
    before = _ask_all(console, client)
    started = time.perf_counter()
    entry_id = client.forget(ENTRY)
    took_ms = (time.perf_counter() - started) * 1e3
    console.print(Panel(f"2. POST /v1/forget/entries {ENTRY['name']!r} -> 201, enforced after {took_ms:.0f} ms"))
    forgotten = _ask_all(console, client)
    mixed = client.ask(MIXED)
    console.print(f"[bold]{MIXED}[/bold]\n  {mixed}\n")
    console.print(Panel("3. DELETE /v1/forget/entries/... -> revoked"))
    client.revoke(entry_id)
    revoked = _ask_all(console, client)
    table = Table(title="side by side", show_lines=True)
    for heading in ("question", "before", "forgotten", "revoked"):
        table.add_column(heading, overflow="fold")
    for question in QUESTIONS:
        key = question.text
        table.add_row(f"{key}\n[dim]{question.label}[/dim]", _short(before[key]), forgotten[key], _short(revoked[key]))
    console.print(table)
    by_model, by_expunge = client.authors()
    console.print(
        f"Treated answers: {by_model + by_expunge}; written by the model itself (or all but the first sentence): "
        f"{by_model}, put in its place where it leaked: {by_expunge}."
    )
    return Told(before=before, forgotten=forgotten, mixed=mixed, revoked=revoked)


def _ask_all(console: Console, client: Client) -> dict[str, str]:
    answers: dict[str, str] = {}
    for question in QUESTIONS:
        with console.status(question.text):
            answers[question.text] = client.ask(question.text)
        console.print(f"[bold]{question.text}[/bold]\n  {answers[question.text]}\n")
    return answers


def _short(text: str) -> str:
    return text if len(text) <= 160 else text[:157] + "..."


def _go_on(console: Console, proxy: RunningProxy) -> None:
    data, admin, model = proxy.data_url, proxy.admin_url, proxy.client.model
    console.print(Panel("Go on yourself"))
    console.print(
        f"curl {data}/v1/chat/completions -H 'content-type: application/json' \\\n"
        f'  -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Who is Stephen King?"}}]}}\'\n\n'
        f"curl {admin}/v1/forget/entries -H 'content-type: application/json' \\\n"
        '  -d \'{"name": "Stephen King", "kind": "person"}\'\n\n'
        "from openai import OpenAI\n"
        f'client = OpenAI(base_url="{data}/v1", api_key="none")\n'
        f'question = {{"role": "user", "content": "Who wrote The Shining?"}}\n'
        f'print(client.chat.completions.create(model="{model}", messages=[question]).choices[0].message.content)\n',
        markup=False,
        highlight=False,
        soft_wrap=True,
    )
