"""The evidence of an entry as one HTML page that stands alone: no scripts, nothing loaded from elsewhere.

Knows the report's fields, not where they come from.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import Any, Final

_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:56rem;margin:2rem auto;padding:0 1rem;color:#222}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0 1.5rem}td,th{border:1px solid #ccc;padding:.3rem .6rem;"
    "text-align:left;vertical-align:top;word-break:break-word}th{background:#f4f4f4;white-space:nowrap}"
    "svg{width:100%;height:8rem}code{font-size:.85em}"
)


def page_of(report: Mapping[str, Any]) -> str:
    """One page that stands alone: no scripts, nothing loaded from elsewhere."""
    entry, acted = report["entry"], report["acted"]
    parts = [
        f"<h1>Evidence: {_told(entry['id'])}</h1>",
        f"<p>Made {_told(report['made_at'])}; SHA-256 <code>{_told(report['sha256'])}</code> in the audit log.</p>",
        "<h2>What was asked</h2>",
        _table(entry),
        "<h2>How often it acted</h2>",
        _table({name: value for name, value in acted.items() if name != "requests_by_day"}),
        _bars(acted["requests_by_day"]),
        "<h2>Which weights cover it</h2>",
        "".join(_table({**one, "figures": None}) + _figures(one["figures"]) for one in report["weights"])
        or "<p>None.</p>",
        "<h2>The served weights, asked themselves</h2>",
        _table(report["verification"]) if report["verification"] else "<p>Not asked yet.</p>",
        "<h2>What is not guaranteed</h2>",
        "<ul>" + "".join(f"<li>{_told(one)}</li>" for one in report["not_guaranteed"]) + "</ul>",
        "<h2>History</h2>",
        "<table><tr><th>record</th><th>at</th><th>what</th><th>hash</th></tr>",
        *(
            f"<tr><td>{one['id']}</td><td>{_told(one['at'])}</td><td>{_told(one['kind'])}</td>"
            f"<td><code>{_told(one['hash'][:16])}</code></td></tr>"
            for one in report["history"]
        ),
        "</table>",
    ]
    title = f"Evidence: {_told(entry['id'])}"
    body = "\n".join(parts)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en">{head}{body}</html>'


def _told(value: object) -> str:
    return html.escape("" if value is None else str(value))


def _table(values: Mapping[str, Any]) -> str:
    rows = "".join(
        f"<tr><th>{_told(name.replace('_', ' '))}</th><td>{_cell(value)}</td></tr>"
        for name, value in values.items()
        if value is not None
    )
    return f"<table>{rows}</table>"


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{_told(name)}: {_told(one)}" for name, one in value.items())
    return "<br>".join(_told(one) for one in value) if isinstance(value, list) else _told(value)


def _figures(figures: Mapping[str, Any] | None) -> str:
    if not figures:
        return ""
    rows = "".join(
        f"<tr><td>{_told(name)}</td><td>{_told(one.get('axis'))}</td><td>{_told(one.get('value'))}</td>"
        f"<td>{_told(one.get('limit'))}</td><td>{'yes' if one.get('passed') else 'no'}</td></tr>"
        for name, one in figures.items()
        if isinstance(one, Mapping)
    )
    return f"<table><tr><th>test</th><th>axis</th><th>value</th><th>limit</th><th>passed</th></tr>{rows}</table>"


def _bars(by_day: Mapping[str, int]) -> str:
    """Requests a day, as bars."""
    if not by_day:
        return ""
    most, width = max(by_day.values()), 1000 / len(by_day)
    bars = "".join(
        f'<rect x="{place * width:.1f}" y="{100 - 100 * count / most:.1f}" width="{max(1.0, width * 0.9):.1f}" '
        f'height="{100 * count / most:.1f}" fill="#4a78b5"><title>{_told(day)}: {count}</title></rect>'
        for place, (day, count) in enumerate(by_day.items())
    )
    days = list(by_day)
    told = f"<p>Requests a day, {_told(days[0])} to {_told(days[-1])}; at most {most}.</p>"
    return f'{told}<svg viewBox="0 0 1000 100" preserveAspectRatio="none" role="img">{bars}</svg>'
