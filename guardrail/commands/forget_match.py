"""How `expunge forget match` tells a dry run: what was found, what is decided, and what the ladder makes of it.

Knows the shape of the dry run's answer, of which an older proxy may lack a part; not how the answer comes about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import click

from guardrail.commands.options import print_table

_ACTIONS: Final = {
    "pass": "Nothing is treated",
    "treat": "Treated",
    "refuse": "Refused",
    "fail_closed": "Refused as unavailable",
}
_ON_LEAK: Final = {
    "rewrite": "the natural answer stands in, or a stream ends before the leak",
    "stop": "the answer ends before the leak",
    "redact": "the leak is redacted",
}


def show_match(told: Mapping[str, Any]) -> None:
    """Print a dry run for people."""
    _show_found(told)
    decision, plan = told["decision"], told.get("plan")
    treatment = decision.get("treatment")
    action = _ACTIONS.get(decision["action"], decision["action"])
    reason = f" ({decision['reason']})" if decision.get("reason") else ""
    click.echo(f"{action}{f': {treatment} is decided' if treatment else ''}{reason}.")
    own = {one["treatment"] for one in decision.get("entry_treatments", ())}
    if len(own) > 1:
        click.echo(f"Several entries: the strictest of their treatments, {treatment}, is used for all.")
    if plan is None:
        click.echo(f"What a backend would be asked is not known: {told.get('plan_error', 'this proxy does not tell')}")
    else:
        _show_plan(decision["action"], plan)


def _show_found(told: Mapping[str, Any]) -> None:
    """The entries that the request touches, and what each asks for by itself."""
    matches, decision = told.get("matches", ()), told["decision"]
    if not matches:
        click.echo("No entry is touched.")
        return
    own = {one["id"]: one for one in decision.get("entry_treatments", ())}
    rows = [
        (
            match["id"],
            match["state"],
            f"{match['score']:.2f}",
            ", ".join(dict.fromkeys(f"{one['kind']} ({one['detector']})" for one in match["evidence"])),
            _wish(match["id"], own, decision),
        )
        for match in matches
    ]
    print_table(("ENTRY", "STATE", "SCORE", "MET BY", "ASKS FOR"), rows)
    click.echo()


def _wish(entry_id: str, own: Mapping[str, Mapping[str, Any]], decision: Mapping[str, Any]) -> str:
    if entry_id in own:
        return f"{own[entry_id]['treatment']} (by {own[entry_id]['from'].replace('_', ' ')})"
    for group, words in (("shadow", "only recorded"), ("supplied", "handed in: may be told, not added to")):
        if entry_id in decision.get(group, ()):
            return words
    return ""


def _show_plan(action: str, plan: Mapping[str, Any]) -> None:
    if plan["treatment"] is None:
        if action == "pass":
            click.echo(
                f"On backend {plan['backend']} the request goes out as it is; an answer that tells of an entry is begun "
                "anew under that entry's own treatment."
            )
        return
    click.echo(f"\nOn backend {plan['backend']}:")
    print_table(("TREATMENT", ""), list(_rungs(plan)))
    if plan["asks_backend"]:
        click.echo(f"Where the last one leaks as well, {_ON_LEAK[plan['on_leak']]}.")


def _why(one: Mapping[str, Any]) -> str:
    if one["needs_any_of"]:
        return f"the backend would have to do {' or '.join(one['needs_any_of'])}"
    return "the request or the entry gives it nothing to work on"


def _rungs(plan: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The ladder from the decided treatment down."""
    for one in plan["passed_over"]:
        yield one["treatment"], f"passed over: {_why(one)}"
    without = "".join(f"; without {one['treatment']}: {_why(one)}" for one in plan["left_out"])
    yield plan["treatment"], f"used{'' if plan['asks_backend'] else '; the backend is not asked'}{without}"
    for name in plan["after_leak"]:
        yield name, "after a leak"
