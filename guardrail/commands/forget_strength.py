"""`expunge forget strength`: how strongly `eco` must corrupt a name for a served model to tell nothing of it any more.

The entries come from the admin API, the answers from a backend of the configuration, asked directly. Verdicts on answers
are kept in a file where one is named, so that a search that broke off goes on; it holds hashes of what was asked, no text.
Knows options, files and tables; the search and the judging lie in `guardrail.treatments`.
"""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, get_args

import click
import orjson
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from guardrail.commands.connected import client_of, connected
from guardrail.commands.forget_strength_entries import entries_of, require_eco, write_strength
from guardrail.commands.options import BadInput, CommandFailed, load_settings, print_json, print_table
from guardrail.decision import CorruptionKind
from guardrail.settings import BackendSettings, Settings
from guardrail.treatments.eco_trial import Trial, trials_of
from guardrail.treatments.strength_search import FoundStrength, smallest_strength
from retrieval.recital import RecitalBook

_MOST_TOKENS: Final = 64
_RANGES: Final[Mapping[str, tuple[float, float]]] = {"rand_noise_first_n": (0.25, 64.0)}
_OF_SHARES: Final = (0.02, 1.0)
_ANSWERED_BY: Final = {"name", "kind", "base_url", "model", "adapter", "embeddings", "dtype"}
"""Fields of a backend of which another value may mean another answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answers:
    """Verdicts that are known already, and where new ones are written."""

    path: Path | None
    known: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None) -> Answers:
        """What the file holds; it is made where there is none. Raises `BadInput`, also where it cannot be written."""
        known: dict[str, bool] = {}
        try:
            lines = path.read_bytes().splitlines(keepends=True) if path is not None and path.exists() else []
        except OSError as error:
            raise BadInput(f"{path} cannot be read: {error.strerror}.") from None
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                raise BadInput(f"{path}, line {number} was cut off: remove it, and the search goes on from there.")
            try:
                value = orjson.loads(line)
                known[str(value["asked"])] = bool(value["tells"])
            except (orjson.JSONDecodeError, KeyError, TypeError):
                raise BadInput(f"{path}, line {number} is not what this command writes.") from None
        answers = cls(path=path, known=known)
        answers._append(b"")
        return answers

    def add(self, asked: str, tells: bool) -> None:
        """Keep a verdict. Raises `BadInput` where the file cannot be written."""
        self.known[asked] = tells
        self._append(orjson.dumps({"asked": asked, "tells": tells}) + b"\n")

    def _append(self, line: bytes) -> None:
        if self.path is None:
            return
        try:
            with self.path.open("ab") as file:
                file.write(line)
        except OSError as error:
            raise BadInput(f"{self.path} cannot be written: {error.strerror}.") from None


@click.command("strength")
@click.argument("entry_ids", nargs=-1)
@click.option(
    "--backend", "backend_name", help="Name of the backend to ask. Default: the only one that takes embeddings."
)
@click.option("--model", help="The backend's own name for the model. Default: the first that it serves.")
@click.option("--kind", type=click.Choice(get_args(CorruptionKind)), default="rand_noise_first_n", show_default=True)
@click.option("--precision", type=click.FloatRange(1.0, min_open=True), default=1.2, show_default=True)
@click.option(
    "--answers",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Keep verdicts here, to go on with the same entries, backend and model.",
)
@click.option("--apply", "is_applied", is_flag=True, help="Write the strength into the treatment of these entries.")
@click.option(
    "--replace", "is_replaced", is_flag=True, help="With --apply: put eco in the place of treatments without it."
)
@connected
def strength(
    *,
    entry_ids: tuple[str, ...],
    backend_name: str | None,
    model: str | None,
    kind: CorruptionKind,
    precision: float,
    file: Path | None,
    is_applied: bool,
    is_replaced: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Find the smallest strength at which `eco` keeps a model from telling the facts of entries.

    Without ENTRY_IDS: all entries that are treated by eco, alone or in a list ("eco+restrict"), because they say so
    themselves or, where they name no treatment, because this configuration's policy does. Their facts need questions that
    name the entry. The model is asked each question untreated first, and those that it cannot answer are left out; then
    some ten times more. A backend of the kind transformers_local is loaded for this a second time.

    --apply writes kind and strength and leaves the rest of a treatment as it is. An entry that was treated by policy then
    has that treatment as its own, and is changed no more by the policy.
    """
    if is_replaced and not is_applied:
        raise BadInput("--replace says how to write; add --apply.")
    settings = load_settings(given["config"])
    backend = _backend(settings, backend_name)
    with client_of(given) as client:
        entries = entries_of(client, entry_ids, settings.policy)
        if is_applied and not is_replaced:
            require_eco(entries)
        trials = [trial for one in entries for trial in trials_of(one.entry, one.id)]
        if not trials:
            raise BadInput("No fact of these entries has a question that names its entry: add some, or name others.")
        answers = Answers.read(file)
        with _asking(settings, backend, model, kind, answers) as (served, tells):
            known = [trial for trial in trials if tells(trial, 0.0)]
            if not known:
                raise CommandFailed(f"{served} tells none of {len(trials)} facts untreated: nothing to search by.")
            found = _searched(known, tells, kind, precision)
        report = _report(found, trials, known, backend=backend.name, model=served, kind=kind)
        if found.strength is not None and is_applied:
            report["applied"] = write_strength(client, entries, kind, report["strength"])
            report["shared_with"] = sorted({name for one in entries for name in one.sharing})
    if as_json:
        print_json(report)
    else:
        _show(report)
    if found.strength is None:
        raise CommandFailed(
            "No strength keeps every question from leaking; see left_out, or forget by another treatment."
        )


def _backend(settings: Settings, name: str | None) -> BackendSettings:
    fit = [one for one in settings.backends if one.embeddings is not None or one.kind == "transformers_local"]
    chosen = [one for one in fit if name in (None, one.name)]
    if len(chosen) == 1:
        return chosen[0]
    listed = ", ".join(one.name for one in fit) or "none; set backends[].embeddings to the folder of the served model"
    raise BadInput(f"Name one backend that takes embeddings by --backend; there are: {listed}.")


@contextmanager
def _asking(
    settings: Settings, backend: BackendSettings, model: str | None, kind: CorruptionKind, answers: Answers
) -> Iterator[tuple[str, Callable[[Trial, float], bool]]]:
    """The served model's name, and what tells whether it tells a fact under a strength."""
    from guardrail.commands.forget_strength_model import ServedModel

    book, answered_by = RecitalBook(), backend.model_dump(mode="json", include=_ANSWERED_BY)
    with (
        asyncio.Runner() as runner,
        _progress() as tell,
        ServedModel.opened(runner, settings, backend, model) as served,
    ):

        def tells(trial: Trial, strength: float) -> bool:
            what = [answered_by, served.model, _MOST_TOKENS, kind, strength, trial.identity]
            asked = hashlib.sha256(orjson.dumps(what, option=orjson.OPT_SORT_KEYS)).hexdigest()
            if asked not in answers.known:
                body = trial.body(kind, strength, served.corrupt, model=served.model, max_tokens=_MOST_TOKENS)
                answers.add(asked, trial.tells(served.ask(body), book))
                tell(strength)
            return answers.known[asked]

        yield served.model, tells


def _searched(
    known: Sequence[Trial], tells: Callable[[Trial, float], bool], kind: CorruptionKind, precision: float
) -> FoundStrength:
    """The search goes by questions and answers; here an answer is the verdict on it."""
    by_question = {f"{trial.record.id} {trial.question}": trial for trial in known}
    first, largest = _RANGES.get(kind, _OF_SHARES)
    return smallest_strength(
        list(by_question),
        lambda question, strength: "tells" if tells(by_question[question], strength) else "",
        lambda _question, verdict: bool(verdict),
        first=first,
        largest=largest,
        precision=precision,
    )


def _report(found: FoundStrength, trials: Sequence[Trial], known: Sequence[Trial], **served: str) -> dict[str, Any]:
    return {
        **served,
        "strength": None if found.strength is None else round(found.strength, 4),
        "questions": len(trials),
        "known_untreated": len(known),
        "left_out": len(found.left_out),
        "tried": [{"strength": round(one, 4), "tell": count} for one, count in found.tried.items()],
    }


def _show(report: Mapping[str, Any]) -> None:
    if report["tried"]:
        print_table(("STRENGTH", "TELL"), [(one["strength"], one["tell"]) for one in report["tried"]])
    click.echo(
        f"\n{report['questions']} questions, {report['known_untreated']} of which {report['model']} answers untreated; "
        f"{report['left_out']} leak at any strength and were left out."
    )
    if report["strength"] is None:
        return
    click.echo(f"Found for {report['model']} on {report['backend']}: {report['kind']} {report['strength']}")
    if "applied" in report:
        click.echo(f"Written into the treatment of {len(report['applied'])} entries.")
        if report["shared_with"]:
            click.echo(f"In a list with eco the strength is also that of {', '.join(report['shared_with'])}.")
    else:
        click.echo("Nothing was written; --apply puts it into the treatment of these entries.")


@contextmanager
def _progress() -> Iterator[Callable[[float], None]]:
    """A line on stderr that counts what was asked; nothing where that is no terminal."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty()) as bars:
        task, asked = bars.add_task("asking", total=None), 0

        def tell(strength: float) -> None:
            nonlocal asked
            asked += 1
            bars.update(task, description=f"asked {asked} questions, now at strength {strength:.3g}")

        yield tell
