"""A model behind an OpenAI-compatible endpoint under judgement: the proxy, vLLM, any provider.

Questions and conversations go to `/chat/completions`, texts to `/completions`. That the assistant's last message is to be
continued is said as vLLM has it (`continue_final_message`), which not every provider takes. It offers outputs and samples
only: such endpoints do not tell the log-probabilities of an answer that is given to them, so what needs those stays
unmeasured. Times are in seconds.
"""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from typing import Any

from finetune.errors import EndpointFailed, InvalidPlan, ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue
from finetune.evaluation.judged_model import Fact, Form, Sampling, TokenFacts

_TRY_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, kw_only=True, slots=True)
class EndpointModel:
    """`base_url` as OpenAI clients take it ("http://host:8000/v1"). `at_once`: requests in flight together."""

    name: str
    base_url: str
    api_key: str | None = field(default=None, repr=False)
    at_once: int = 8
    timeout_s: float = 120.0
    tries: int = 3
    wait_s: float = 1.0
    """Before the second try; doubled before each further one."""

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise InvalidPlan(
                f"'{without_password(self.base_url)}' is no endpoint: it must begin with http:// or https://."
            )

    @property
    def offers(self) -> frozenset[Fact]:
        return frozenset({Fact.OUTPUT, Fact.SAMPLES})

    def generate(self, prompts: Sequence[str], *, max_new_tokens: int, form: Form = "question") -> list[str]:
        wanted = _wanted(None, max_new_tokens)
        return [one[0] for one in self._ask_all(prompts, wanted, 1, form)]

    def sample(
        self, prompts: Sequence[str], sampling: Sampling, *, max_new_tokens: int, form: Form = "question"
    ) -> list[tuple[str, ...]]:
        return self._ask_all(prompts, _wanted(sampling, max_new_tokens), sampling.count, form)

    def converse(
        self, dialogues: Sequence[Dialogue], *, max_new_tokens: int, sampling: Sampling | None = None
    ) -> list[tuple[str, ...]]:
        choices = sampling.count if sampling is not None else 1
        return self._ask_all(dialogues, _wanted(sampling, max_new_tokens), choices, "question")

    def token_facts(
        self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question"
    ) -> list[TokenFacts]:
        raise self._not_offered("log-probabilities of given answers")

    def gradient_norms(self, prompts: Sequence[str], answers: Sequence[str], *, form: Form = "question") -> list[float]:
        raise self._not_offered("gradients")

    def _not_offered(self, what: str) -> ModelUnsuitable:
        return ModelUnsuitable(f"'{self.name}' is an endpoint and gives no {what}. Judge its weights as a local model.")

    def _ask_all(
        self, prompts: Sequence[str | Dialogue], wanted: dict[str, Any], choices: int, form: Form
    ) -> list[tuple[str, ...]]:
        with ThreadPoolExecutor(max_workers=self.at_once) as threads:
            return list(threads.map(lambda prompt: self._ask(prompt, wanted, choices, form), prompts))

    def _ask(self, prompt: str | Dialogue, wanted: dict[str, Any], choices: int, form: Form) -> tuple[str, ...]:
        path, asked = "completions", dict[str, Any](prompt=prompt)
        if form == "question":
            path, asked = "chat/completions", _chat(prompt)
        answer = self._post(path, {"model": self.name, **asked, **wanted})
        try:
            texts = tuple(
                (choice["message"]["content"] if form == "question" else choice["text"]) or ""
                for choice in answer["choices"]
            )
        except (KeyError, TypeError):
            texts = ()
        if len(texts) != choices:
            raise EndpointFailed(
                f"{without_password(self._url(path))} answered with {len(texts)} readable choices instead of {choices}."
            )
        return tuple(text.strip() for text in texts)

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        headers = {"Content-Type": "application/json"}
        if self.api_key:
            headers["Authorization"] = f"Bearer {self.api_key}"
        request = urllib.request.Request(  # noqa: S310 # the scheme is checked at the start
            self._url(path), data=json.dumps(body).encode(), headers=headers, method="POST"
        )
        for attempt in count(1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_s) as answer:  # noqa: S310 # as above
                    return json.load(answer)
            except urllib.error.HTTPError as error:
                error.close()
                why, is_final = f"answered with status {error.code}", error.code not in _TRY_AGAIN
            except (OSError, HTTPException, ValueError) as error:  # unreachable, cut off, or no JSON
                why, is_final = f"cannot be used ({type(error).__name__})", False
            if is_final or attempt >= self.tries:
                raise EndpointFailed(
                    f"{without_password(self._url(path))} {why}. Check the address, the key and the model '{self.name}'."
                )
            time.sleep(self.wait_s * 2 ** (attempt - 1))

    def _url(self, path: str) -> str:
        return f"{self.base_url.rstrip('/')}/{path}"


def _wanted(sampling: Sampling | None, max_new_tokens: int) -> dict[str, Any]:
    if sampling is None:
        return {"temperature": 0, "max_tokens": max_new_tokens}
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "n": sampling.count,
        "max_tokens": max_new_tokens,
    }


def _chat(prompt: str | Dialogue) -> dict[str, Any]:
    if isinstance(prompt, str):
        return {"messages": [{"role": "user", "content": prompt}]}
    goes_on = {"continue_final_message": True, "add_generation_prompt": False} if prompt.prefill else {}
    return {"messages": prompt.messages(), **goes_on}


def without_password(url: str) -> str:
    """An address as reports and messages may hold it."""
    return re.sub(r"//[^/]*@", "//", url)
