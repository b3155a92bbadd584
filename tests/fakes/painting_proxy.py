"""A proxy that paints instead of drawing: enough of both listeners for a picture evaluation, without any model.

A picture is a square of the first colour that the prompt names, with noise of the seed; names of registered entries are
grey, under the treatment `refusal` they are refused. It answers busy as often as it is told to.
"""

from __future__ import annotations

import base64
import io
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import orjson
from PIL import Image

from guardrail.evaluation.images.judges import NONE, Looked, Seen

COLOURS = {"red": (220, 40, 40), "blue": (40, 60, 220), "green": (40, 180, 60)}
GREY = (128, 128, 128)
SIDE = 16
KIND = "colours"
"""Of `ColourJudge`'s folder."""


class PaintingProxy:
    """`entries` by id, `asked` prompts with seeds, `seen_bodies` of what was registered."""

    def __init__(self) -> None:
        self.entries: dict[str, Mapping[str, Any]] = {}
        self.seen_bodies: list[Mapping[str, Any]] = []
        self.asked: list[tuple[str, int]] = []
        self.busy = 0
        self.fails_after: int | None = None
        self.url = ""

    def answer(self, method: str, path: str, body: Mapping[str, Any]) -> tuple[int, Mapping[str, Any]]:
        """Status and body."""
        if path == "/readyz":
            return 200, {"ready": True, "memory_building": 0}
        if path == "/v1/models":
            return 200, {"data": [{"id": "paint"}]}
        if path == "/v1/images/generations":
            return self._drawn(str(body["prompt"]), int(body["seed"]))
        if method == "GET":
            return 200, {"data": [{"id": name, "state": "suppressed"} for name in self.entries], "next_cursor": None}
        if method == "DELETE":
            return 200, {"id": self.entries.pop(path.rpartition("/")[2])["name"]}
        entry_id = f"entry-{len(self.seen_bodies)}"
        self.entries[entry_id] = body
        self.seen_bodies.append(body)
        return 201, {"id": entry_id}

    def _drawn(self, prompt: str, seed: int) -> tuple[int, Mapping[str, Any]]:
        if self.busy:
            self.busy -= 1
            return 503, {"error": {"message": "busy", "code": "overloaded"}}
        if self.fails_after is not None and len(self.asked) >= self.fails_after:
            return 500, {"error": {"message": "the paint is out", "code": "broken"}}
        self.asked.append((prompt, seed))
        colour = next((name for name in COLOURS if re.search(rf"\b{name}\b", prompt)), None)
        rgb = COLOURS[colour] if colour else GREY
        for entry in self.entries.values():
            if entry["name"] == colour:
                if (entry.get("treatment") or {}).get("method") == "refusal":
                    return 400, {"error": {"message": "no", "code": "content_policy_violation"}}
                rgb = GREY
        return 200, {"data": [{"b64_json": base64.b64encode(painted(rgb, seed)).decode()}]}


class ColourJudge:
    """Sees colours, by the mean of the pixels."""

    name = KIND
    fingerprint = "colours 1"

    def look(self, pictures: Sequence[Image.Image]) -> Looked:
        """See the protocol."""
        means = [np.asarray(one.convert("RGB"), dtype=np.float64).mean(axis=(0, 1)) for one in pictures]
        return Looked(
            seen=tuple({"colour": _named(mean)} for mean in means), features=np.array(means, dtype=np.float64)
        )


def judge_folder(folder: Path) -> Path:
    """A folder of the kind `KIND`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(f'{{"kind": "{KIND}"}}')
    return folder


def painted(rgb: tuple[int, int, int], seed: int) -> bytes:
    """A PNG file; the same for the same colour and seed."""
    noise = np.random.default_rng(seed).integers(-12, 13, (SIDE, SIDE, 3))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.array(rgb) + noise, 0, 255).astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


@contextmanager
def painting() -> Iterator[PaintingProxy]:
    """The proxy, listening; both listeners are at `url`."""
    proxy = PaintingProxy()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        served: ClassVar[PaintingProxy] = proxy

        def _all(self) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length") or 0))
            status, told = self.served.answer(
                self.command, self.path.partition("?")[0], orjson.loads(raw) if raw else {}
            )
            content = orjson.dumps(told)
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            if status == 503:
                self.send_header("retry-after", "0.01")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_DELETE = _all

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield proxy
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _named(mean: np.ndarray[Any, np.dtype[np.float64]]) -> Seen:
    near = {name: float(np.abs(mean - np.array(rgb)).max()) for name, rgb in COLOURS.items()}
    best = min(near, key=lambda name: near[name])
    return Seen(value=best if near[best] < 30 else NONE, confidence=0.9)
