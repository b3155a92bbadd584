"""What the packaged model answers untreated to everything that might be forgotten: asked once, kept as it goes.

Thousands of probes take an hour or so on two cores, sixteen at once; a run that was stopped goes on from the last
hundred. A model in bfloat16 answers a little otherwise where requests share a forward pass, so what counts is asked again
alone, as rows are. Answers are kept under a hash of the probes, of how they are asked and of the code that generates them;
treatments have no part in it. It judges nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Final

from benchmarks.targets import ROOT
from benchmarks.unlearning.asking import Tell, ask
from benchmarks.unlearning.served import AT_ONCE, Proxy, serving
from finetune.data.whole_files import content_sha256, file_sha256, write_whole
from finetune.evaluation.metrics.evidence import Asked

_STEP: Final = 100
_GENERATING: Final = ("guardrail/backends/local_*.py", "guardrail/backends/transformers_local.py")


def untreated_answers(
    work: Path, probes: Sequence[Asked], *, max_tokens: int, tell: Tell, at_once: int = AT_ONCE
) -> dict[str, str | None]:
    """The answer's text by the probe's id; None where the request was refused. Raises `ServerFailed`."""
    path = work / "base_rate" / f"{_decided_by(probes, max_tokens, at_once)}.json"
    found: dict[str, str | None] = json.loads(path.read_bytes()) if path.exists() else {}
    left = [one for one in probes if one.id not in found]
    if left:
        stage = "base rate" if at_once > 1 else "base rate, asked alone"
        tell(stage, len(found), len(probes))
        with serving("untrained", work) as proxy:
            for start in range(0, len(left), _STEP):
                found |= _asked(proxy, left[start : start + _STEP], max_tokens, at_once)
                path.parent.mkdir(parents=True, exist_ok=True)
                write_whole(path, json.dumps(found, ensure_ascii=False, indent=1).encode())
                tell(stage, len(found), len(probes))
    return found


def _asked(proxy: Proxy, probes: Sequence[Asked], max_tokens: int, at_once: int) -> Mapping[str, str | None]:
    with ThreadPoolExecutor(max_workers=at_once) as threads:
        answers = threads.map(lambda one: ask(proxy.url, one, max_tokens=max_tokens), probes)
        return {one.id: answer.text for one, answer in zip(probes, answers, strict=True)}


def _decided_by(probes: Sequence[Asked], max_tokens: int, at_once: int) -> str:
    code = [file_sha256(path) for pattern in _GENERATING for path in sorted(ROOT.glob(pattern))]
    return content_sha256([[asdict(one) for one in probes], max_tokens, at_once, code])[:16]
