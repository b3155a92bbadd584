"""Puts questions to the running proxy, and reads what an ordinary caller sees: text, finish reason, usage, seconds, bytes.

Of rows that are looked at closely, what is to be forgotten and what must stay is asked one question at a time; all else
sixteen at a time. Each request has an id, by which the proxy's own records (`traces.py`) tell whether it was treated, begun
anew, and who wrote the answer. It does not judge.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count, zip_longest
from typing import Any, Final, Protocol

from benchmarks.processes import ServerFailed
from benchmarks.unlearning.kept import KeptReplies, Replies, Reply, asked_of
from benchmarks.unlearning.material import MAX_NEW_TOKENS, Material
from benchmarks.unlearning.rows import Row, icu_prompt
from benchmarks.unlearning.served import MODEL, Proxy
from benchmarks.unlearning.traces import Trace
from finetune.evaluation.metrics.evidence import Asked

WARM_UP: Final = Asked(id="warm-up", question="Which metals do magnets attract, and which not?", answer="")
_OWN: Final = (re.compile(rb'"id":\s*"[^"]*"'), re.compile(rb'"created":\s*\d+'))
"""What differs between two answers to the same request, also without a proxy."""
_TRIES: Final = 3
_TIMEOUT_S: Final = 300.0


class Tell(Protocol):
    """Told what is being done, and how far it is."""

    def __call__(self, stage: str, done: int = 0, total: int = 0) -> None: ...


def ask_row(proxy: Proxy, row: Row, given: Material, kept: KeptReplies, tell: Tell) -> None:
    """Ask what is not kept yet. Raises `ServerFailed`."""
    way = Way.of(row, given)
    for splits, at_once in asked_of(given, row):
        if any(kept.find(row, split) is None for split in splits):
            asked = {split: given.splits[split].asked for split in splits}
            stage = f"{row.label}: {' and '.join(splits)}"

            def progress(done: int, total: int, stage: str = stage) -> None:
                tell(stage, done, total)

            for split, replies in _ask_all(proxy, asked, progress, replace(way, at_once=at_once)).items():
                kept.keep(row, split, replies)


def warm_up(proxy: Proxy, row: Row, given: Material) -> None:
    """Ask once what is not written down, and of a row with entries about one of them: the first answers are slow."""
    way = Way.of(row, given)
    put(proxy, WARM_UP, way)
    if row.method is not None:
        put(proxy, replace(WARM_UP, question=f"Who is {given.names[0]}?"), way)


@dataclass(frozen=True, kw_only=True, slots=True)
class Way:
    """How questions are put: the bench's own words in front, how many at a time, how long an answer may be; `traced`: the
    proxy has entries, and so decides and writes down."""

    prompt: str
    max_tokens: int
    traced: bool
    at_once: int = 1

    @classmethod
    def of(cls, row: Row, given: Material) -> Way:
        """One at a time."""
        prompt = icu_prompt(given.names) if row.has_prompt else ""
        return cls(prompt=prompt, max_tokens=given.max_new_tokens, traced=row.method is not None)


def _ask_all(
    proxy: Proxy, asked: Mapping[str, Sequence[Asked]], progress: Callable[[int, int], None], way: Way
) -> dict[str, Replies]:
    """All splits, a question of each in turn."""
    in_turn = [
        (split, one) for ones in zip_longest(*asked.values()) for split, one in zip(asked, ones, strict=True) if one
    ]
    step, found = 4 * way.at_once, list[Reply]()
    with ThreadPoolExecutor(max_workers=way.at_once) as threads:
        for start in range(0, len(in_turn), step):
            progress(start, len(in_turn))
            some = [one for _, one in in_turn[start : start + step]]
            found += threads.map(lambda one: put(proxy, one, way), some)
    found = traced(proxy, found) if way.traced else found
    progress(len(in_turn), len(in_turn))
    replies: dict[str, dict[str, Reply]] = {split: {} for split in asked}
    for (split, one), reply in zip(in_turn, found, strict=True):
        replies[split][one.id] = replace(reply, alone=way.at_once == 1)
    return {split: Replies(by_id=by_id) for split, by_id in replies.items()}


def traced(proxy: Proxy, replies: Sequence[Reply]) -> list[Reply]:
    """With what the proxy wrote down of each that it answered."""
    traces = proxy.traces.of({one.request for one in replies if one.status == 200})
    return [_with(one, traces.get(one.request)) for one in replies]


def _with(reply: Reply, trace: Trace | None) -> Reply:
    if trace is None:
        return reply
    return replace(
        reply,
        treated=trace.treated,
        leaks=trace.leaks,
        begun_anew=trace.begun_anew,
        author=trace.author(reply.text),
    )


def put(proxy: Proxy, one: Asked, way: Way) -> Reply:
    """One question, so put."""
    return ask(proxy.url, one, way.prompt, max_tokens=way.max_tokens)


def ask(url: str, asked: Asked, prompt: str = "", *, max_tokens: int = MAX_NEW_TOKENS) -> Reply:
    """One request. A status that says no, or again and again that something broke, is a reply; a proxy that does not answer
    raises `ServerFailed`."""
    body = json.dumps({"model": MODEL, **_said(asked, prompt), "temperature": 0, "max_tokens": max_tokens})
    for attempt in count(1):
        number = f"bench_{secrets.token_hex(12)}"
        headers = {"content-type": "application/json", "x-request-id": number}
        request = urllib.request.Request(f"{url}/v1/chat/completions", data=body.encode(), headers=headers)
        started = time.perf_counter()
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as answer:
                return replace(read_reply(answer.read(), time.perf_counter() - started), request=number)
        except urllib.error.HTTPError as error:
            error.close()
            if attempt >= _TRIES or (error.code < 500 and error.code != 429):
                return Reply(text=None, status=error.code, seconds=time.perf_counter() - started, request=number)
        except (OSError, ValueError) as error:
            if attempt >= _TRIES:
                why = f"The proxy failed ({type(error).__name__}); the same command goes on from here."
                raise ServerFailed(why) from None
        time.sleep(2.0 * attempt)
    raise AssertionError("unreachable")


def read_reply(raw: bytes, seconds: float) -> Reply:
    """An answer of `/v1/chat/completions`; an open refusal's words are its text."""
    answer = json.loads(raw)
    choice = answer["choices"][0]
    message, usage = choice["message"], answer.get("usage") or {}
    return Reply(
        text=(message.get("content") or message.get("refusal") or "").strip(),
        status=200,
        finish=choice.get("finish_reason") or "",
        prompt_tokens=int(usage.get("prompt_tokens", 0)),
        completion_tokens=int(usage.get("completion_tokens", 0)),
        seconds=seconds,
        body=_hash(raw),
    )


def _hash(raw: bytes) -> str:
    """Of the bytes as they came; only the values of id and time are put aside."""
    for own in _OWN:
        raw = own.sub(b"", raw, count=1)
    return hashlib.sha256(raw).hexdigest()[:16]


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
