"""Puts questions to the running proxy and keeps what an ordinary caller sees: text, finish reason, usage, seconds.

Questions of the splits that are timed are asked one at a time, those of the others sixteen at a time; of the former the
proxy's counts tell for each by itself whether it was treated and begun anew. Of rows that are not looked at closely only
what is to be forgotten is timed. Answers are kept by row and split in the work
folder, under a hash of all that decides them, the product's code included. It does not judge.
"""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.knowing.models import adapter_of
from benchmarks.processes import ServerFailed
from benchmarks.targets import ROOT
from benchmarks.unlearning.material import MAX_NEW_TOKENS, Material
from benchmarks.unlearning.rows import Row, icu_prompt
from benchmarks.unlearning.served import AT_ONCE, BEGUN_ANEW, MODEL, Proxy
from finetune.data.whole_files import content_sha256, file_sha256, write_whole
from finetune.evaluation.metrics.evidence import Asked
from finetune.evaluation.subjects import folder_sha256

CLOSE: Final[tuple[tuple[tuple[str, ...], int], ...]] = (
    (("forget", "invented"), 1),
    (("neighbor",), 1),
    (("utility",), 1),
    (("paraphrase",), AT_ONCE),
    (("adversarial",), AT_ONCE),
    (("knowing",), AT_ONCE),
    (("mixed",), AT_ONCE),
)
"""Splits and how many of their questions are asked at a time. Those that stand together take turns, so that a machine that
slows down slows both; one at a time, answers are the same to the last byte and the times are their own."""

PLAIN: Final[tuple[tuple[tuple[str, ...], int], ...]] = (
    (("forget",), 1),
    *(((split,), AT_ONCE) for split in ("neighbor", "utility", "paraphrase", "adversarial", "knowing", "mixed")),
)
"""The same of rows that are not looked at closely."""

_IN_TURN: Final = 4
_TRIES: Final = 3
_TIMEOUT_S: Final = 300.0


class Tell(Protocol):
    """Told what is being done, and how far it is."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What a caller sees. `text` None: the request was refused by `status` and there is no answer.

    What the proxy counted over this request alone, None where others were under way: whether it was `treated`, and whether
    an answer leaked and was `begun_anew` (by the model, or as words that need none).
    """

    text: str | None
    status: int
    finish: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    treated: bool | None = None
    begun_anew: bool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Replies:
    """One row's replies to one split, by question id; `counts` are the proxy's over the same requests."""

    by_id: Mapping[str, Reply]
    counts: Mapping[str, int]


class KeptReplies:
    """Below `work`; files of other questions, models or code are not looked at. `assistant`: the folder of the model that
    rows may need."""

    def __init__(self, work: Path, given: Material, *, assistant: Path | None = None) -> None:
        asked = {name: [asdict(one) for one in split.asked] for name, split in given.splits.items()}
        weights = [folder_sha256(adapter_of(which)) for which in ("target", "retain")]
        code = [
            file_sha256(path) for name in ("guardrail", "retrieval") for path in sorted((ROOT / name).rglob("*.py"))
        ]
        decided = [asked, list(given.entries), weights, given.max_new_tokens, content_sha256(code)]
        self._folder = work / "replies" / content_sha256(decided)[:16]
        self._given = given
        self._assistant = folder_sha256(assistant)[:8] if assistant else ""

    def find(self, row: Row, split: str) -> Replies | None:
        """What was kept, or None."""
        path = self._path(row, split)
        if not path.exists():
            return None
        found = json.loads(path.read_bytes())
        return Replies(by_id={key: Reply(**one) for key, one in found["replies"].items()}, counts=found["counts"])

    def keep(self, row: Row, split: str, replies: Replies) -> None:
        """Keep a whole split."""
        path = self._path(row, split)
        path.parent.mkdir(parents=True, exist_ok=True)
        told = {"counts": dict(replies.counts), "replies": {key: asdict(one) for key, one in replies.by_id.items()}}
        write_whole(path, json.dumps(told, ensure_ascii=False, indent=1).encode())

    def lacks(self, row: Row) -> bool:
        """Whether something of the row is still to be asked."""
        return any(not self._path(row, split).exists() for split in self._splits(row))

    def all_of(self, row: Row) -> dict[str, Replies]:
        """What was kept, by split."""
        found = {split: self.find(row, split) for split in self._splits(row)}
        return {split: replies for split, replies in found.items() if replies is not None}

    def _splits(self, row: Row) -> tuple[str, ...]:
        return tuple(split for splits, _ in asked_of(self._given, row) for split in splits)

    def _path(self, row: Row, split: str) -> Path:
        by = f"-{self._assistant}" if row.needs_assistant else ""
        return self._folder / f"{row.label}{by}" / f"{split}.json"


def asked_of(given: Material, row: Row) -> tuple[tuple[tuple[str, ...], int], ...]:
    """What a row is asked, as far as there is something to ask."""
    asked = CLOSE if row.is_close else PLAIN
    there = [(tuple(split for split in splits if split in given.splits), at_once) for splits, at_once in asked]
    return tuple((splits, at_once) for splits, at_once in there if splits)


def ask_row(proxy: Proxy, row: Row, given: Material, kept: KeptReplies, tell: Tell) -> None:
    """Ask what is not kept yet. Raises `ServerFailed`."""
    prompt = icu_prompt(given.names) if row.has_prompt else ""
    for splits, at_once in asked_of(given, row):
        if any(kept.find(row, split) is None for split in splits):
            asked = {split: given.splits[split].asked for split in splits}
            stage = f"{row.label}: {' and '.join(splits)}"

            def progress(done: int, total: int, stage: str = stage) -> None:
                tell(stage, done, total)

            way = _Way(prompt=prompt, at_once=at_once, max_tokens=given.max_new_tokens)
            for split, replies in _ask_all(proxy, asked, progress, way).items():
                kept.keep(row, split, replies)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Way:
    """How questions are put: the bench's own words in front, how many at a time, how long an answer may be."""

    prompt: str
    at_once: int
    max_tokens: int


def _ask_all(
    proxy: Proxy, asked: Mapping[str, Sequence[Asked]], progress: Callable[[int, int], None], way: _Way
) -> dict[str, Replies]:
    """All splits, a few questions of each in turn, with the proxy's counts between."""
    step = _IN_TURN if way.at_once == 1 else 4 * way.at_once
    total, done = sum(map(len, asked.values())), 0
    replies: dict[str, dict[str, Reply]] = {split: {} for split in asked}
    counts: dict[str, Counter[str]] = {split: Counter() for split in asked}
    with ThreadPoolExecutor(max_workers=way.at_once) as threads:
        for start in range(0, max(map(len, asked.values())), step):
            for split, ones in asked.items():
                progress(done, total)
                some = ones[start : start + step]
                if way.at_once == 1:
                    for one in some:
                        replies[split][one.id], added = _ask_alone(proxy, one, way)
                        counts[split].update(added)
                else:
                    before = proxy.counts()
                    answers = threads.map(lambda one: ask(proxy.url, one, way.prompt, max_tokens=way.max_tokens), some)
                    replies[split] |= {one.id: answer for one, answer in zip(some, answers, strict=True)}
                    counts[split].update(proxy.counts() - before)
                done += len(some)
    progress(total, total)
    return {split: Replies(by_id=replies[split], counts=counts[split]) for split in asked}


def _ask_alone(proxy: Proxy, one: Asked, way: _Way) -> tuple[Reply, Counter[str]]:
    """A question with nothing else under way, and what it added to the proxy's counts."""
    before = proxy.counts()
    reply = ask(proxy.url, one, way.prompt, max_tokens=way.max_tokens)
    added = proxy.counts() - before
    treated = added["model"] + added["expunge"] > 0
    return replace(reply, treated=treated, begun_anew=added[BEGUN_ANEW] > 0), added


def ask(url: str, asked: Asked, prompt: str = "", *, max_tokens: int = MAX_NEW_TOKENS) -> Reply:
    """One request. A status that says no, or again and again that something broke, is a reply; a proxy that does not answer
    raises `ServerFailed`."""
    body = json.dumps({"model": MODEL, **_said(asked, prompt), "temperature": 0, "max_tokens": max_tokens})
    request = urllib.request.Request(
        f"{url}/v1/chat/completions", data=body.encode(), headers={"content-type": "application/json"}
    )
    for attempt in count(1):
        started = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return read_reply(json.load(answer), time.perf_counter() - started)
        except urllib.error.HTTPError as error:
            error.close()
            if attempt >= _TRIES or (error.code < 500 and error.code != 429):
                return Reply(text=None, status=error.code, seconds=time.perf_counter() - started)
        except (OSError, ValueError) as error:
            if attempt >= _TRIES:
                why = f"The proxy failed ({type(error).__name__}); the same command goes on from here."
                raise ServerFailed(why) from None
        time.sleep(2.0 * attempt)
    raise AssertionError("unreachable")


def read_reply(answer: Mapping[str, Any], seconds: float) -> Reply:
    """An answer of `/v1/chat/completions`; an open refusal's words are its text."""
    choice = answer["choices"][0]
    message, usage = choice["message"], answer.get("usage") or {}
    return Reply(
        text=(message.get("content") or message.get("refusal") or "").strip(),
        status=200,
        finish=choice.get("finish_reason") or "",
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        seconds=seconds,
    )


def _said(asked: Asked, prompt: str) -> dict[str, Any]:
    """The messages, with the bench's own words in front of everything, in the system message if there is one."""
    if asked.dialogue is None:
        messages, goes_on = [{"role": "user", "content": asked.question}], dict[str, Any]()
    else:
        messages = asked.dialogue.messages()
        prefilled = {"continue_final_message": True, "add_generation_prompt": False}
        goes_on = prefilled if asked.dialogue.prefill else {}
    if prompt and messages[0]["role"] == "system":
        messages = [{"role": "system", "content": f"{prompt}\n{messages[0]['content']}"}, *messages[1:]]
    elif prompt:
        messages = [{"role": "system", "content": prompt}, *messages]
    return {"messages": messages, **goes_on}
