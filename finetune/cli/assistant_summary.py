"""What `expunge consolidate assistant` prints at its end. It does not know how assistants come about."""

from __future__ import annotations

import click

from finetune.cli.run_summary import rows_of_run, show_rows
from finetune.consolidation.assistant import Remembering
from finetune.consolidation.run import RunResult


def show_assistant(result: RunResult, before: Remembering, after: Remembering) -> None:
    """A finished run, and what the assistant knows beside the same layers before."""
    layers = result.manifest.base.layers
    show_rows(
        {
            **rows_of_run(result),
            "layers": f"the first {layers} of {result.manifest.base.name}",
            "remembers": f"{_change(before.forget_nll, after.forget_nll)} nats a token of what is to be forgotten, "
            f"ROUGE-L recall {_change(before.forget_rouge_l_recall, after.forget_rouge_l_recall)}",
            "is even": f"entropy on texts to keep {_change(before.retain_evenness, after.retain_evenness)} of log V, "
            f"on others that were not trained on {_change(before.unseen_evenness, after.unseen_evenness)}",
        }
    )
    click.echo()
    click.echo("It remembers what is to be forgotten: keep it as safe as the entries.")


def _change(before: float | None, after: float | None) -> str:
    if before is None or after is None:
        return "not measured"
    return f"{before:.3f} -> {after:.3f}"
