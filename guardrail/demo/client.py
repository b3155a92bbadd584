"""The demo's own small HTTP client: asks, registers, revokes, reads a counter. Standard library only."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Mapping
from typing import Any

_TIMEOUT_S = 180
_MAX_TOKENS = 48
_AUTHOR = re.compile(r'^expunge_treated_answers_total\{author="(\w+)"\} ([0-9.e+]+)$', re.MULTILINE)


class Client:
    """Speaks to a running proxy. Raises `urllib.error.URLError` when it cannot be reached."""

    def __init__(self, data_url: str, admin_url: str, model: str) -> None:
        self._data_url = data_url
        self._admin_url = admin_url
        self.model = model

    def ask(self, question: str) -> str:
        """The model's answer, greedy."""
        body = {
            "model": self.model,
            "messages": [{"role": "user", "content": question}],
            "temperature": 0,
            "max_tokens": _MAX_TOKENS,
        }
        answer = self._json("POST", f"{self._data_url}/v1/chat/completions", body)
        return str(answer["choices"][0]["message"]["content"])

    def forget(self, entry: Mapping[str, Any]) -> str:
        """Register an entry; returns its id once it is enforced."""
        return str(self._json("POST", f"{self._admin_url}/v1/forget/entries", entry)["id"])

    def revoke(self, entry_id: str) -> None:
        """Revoke an entry."""
        self._json("DELETE", f"{self._admin_url}/v1/forget/entries/{entry_id}", None)

    def authors(self) -> tuple[int, int]:
        """How many treated answers the model wrote itself, and how many Expunge put in their place."""
        text = self._read("GET", f"{self._admin_url}/metrics", None).decode()
        counts = {author: int(float(value)) for author, value in _AUTHOR.findall(text)}
        return counts.get("model", 0), counts.get("expunge", 0)

    def is_ready(self) -> bool:
        """True once the proxy and its backend are ready."""
        try:
            return bool(self._json("GET", f"{self._admin_url}/readyz", None).get("ready"))
        except (OSError, ValueError):
            return False

    def _json(self, method: str, url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        decoded: dict[str, Any] = json.loads(self._read(method, url, body))
        return decoded

    def _read(self, method: str, url: str, body: Mapping[str, Any] | None) -> bytes:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"content-type": "application/json"}
        # Only ever the demo's own loopback listeners.
        request = urllib.request.Request(url, data=data, headers=headers, method=method)  # noqa: S310
        with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:  # noqa: S310
            read: bytes = answer.read()
        return read
