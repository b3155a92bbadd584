"""An endpoint under judgement: asked as OpenAI clients ask, tried again when busy, and never guessed at."""

from __future__ import annotations

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from finetune.errors import EndpointFailed, InvalidPlan, ModelUnsuitable
from finetune.evaluation.dialogue import Dialogue, assistant, system, tool, user
from finetune.evaluation.endpoint_model import EndpointModel
from finetune.evaluation.judged_model import ConversingModel, Fact, JudgedModel, Sampling


class Server:
    """Echoes prompts; `statuses` are answered first, one a request."""

    def __init__(self) -> None:
        self.statuses: list[int] = []
        self.body: bytes | None = None
        self.requests: list[tuple[str, str | None, dict[str, Any]]] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                server.requests.append((self.path, self.headers["Authorization"], asked))
                status = server.statuses.pop(0) if server.statuses else 200
                answer = server.body if server.body is not None else json.dumps(_answer(asked)).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/v1"


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    if "prompt" in asked:
        return {"choices": [{"text": f" goes on from {asked['prompt']} "}]}
    question = asked["messages"][-1]["content"]
    texts = [f" answer {number} to {question}\n" for number in range(asked.get("n", 1))]
    return {"choices": [{"message": {"content": text}} for text in texts]}


@pytest.fixture(name="server")
def _server() -> Iterator[Server]:
    server = Server()
    thread = Thread(target=server.http.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.http.shutdown()
    server.http.server_close()
    thread.join()


def test_questions_go_to_chat_and_texts_to_completions_in_order(server: Server) -> None:
    model = EndpointModel(name="m", base_url=server.url + "/", api_key="key")
    prompts = [f"prompt {number}" for number in range(20)]
    assert model.generate(prompts, max_new_tokens=7) == [f"answer 0 to {prompt}" for prompt in prompts]
    assert model.generate(["a text"], max_new_tokens=7, form="text") == ["goes on from a text"]
    paths = [path for path, _, _ in server.requests]
    assert paths == ["/v1/chat/completions"] * 20 + ["/v1/completions"]
    _, key, asked = server.requests[-1]
    assert key == "Bearer key"
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("m", 0, 7)


def test_samples_are_asked_for_in_one_request(server: Server) -> None:
    model = EndpointModel(name="m", base_url=server.url)
    found = model.sample(["p"], Sampling(count=3, temperature=0.7, top_p=0.9, seed=4), max_new_tokens=7)
    assert found == [("answer 0 to p", "answer 1 to p", "answer 2 to p")]
    ((_, _, asked),) = server.requests
    assert {key: asked[key] for key in ("n", "temperature", "top_p", "seed")} == {
        "n": 3,
        "temperature": 0.7,
        "top_p": 0.9,
        "seed": 4,
    }


def test_conversations_go_to_chat_with_all_turns_and_a_begun_answer_is_to_be_continued(server: Server) -> None:
    model = EndpointModel(name="m", base_url=server.url, at_once=1)
    turns = (system("rules"), user("one"), assistant("two"), user("three"))
    plain, begun = Dialogue(turns=turns), Dialogue(turns=turns, prefill="It was")
    assert model.converse([plain, begun], max_new_tokens=7) == [("answer 0 to three",), ("answer 0 to It was",)]
    (path, _, first), (_, _, second) = server.requests
    shown = [
        {"role": "system", "content": "rules"},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": "three"},
    ]
    assert path == "/v1/chat/completions"
    assert first == {"model": "m", "messages": shown, "temperature": 0, "max_tokens": 7}
    assert second["messages"] == [*shown, {"role": "assistant", "content": "It was"}]
    assert (second["continue_final_message"], second["add_generation_prompt"]) == (True, False)


def test_a_tools_result_is_sent_with_its_call_and_conversations_can_be_sampled(server: Server) -> None:
    model = EndpointModel(name="m", base_url=server.url)
    talk = Dialogue(turns=(user("read it"), tool("the page")))
    found = model.converse([talk], max_new_tokens=7, sampling=Sampling(count=2, seed=4))
    assert found == [("answer 0 to the page", "answer 1 to the page")]
    ((_, _, asked),) = server.requests
    assert [one["role"] for one in asked["messages"]] == ["user", "assistant", "tool"]
    assert asked["messages"][2]["tool_call_id"] == asked["messages"][1]["tool_calls"][0]["id"]
    assert (asked["n"], asked["seed"]) == (2, 4)
    assert isinstance(model, ConversingModel)


def test_a_busy_endpoint_is_asked_again(server: Server) -> None:
    server.statuses = [503, 429]
    model = EndpointModel(name="m", base_url=server.url, wait_s=0)
    assert model.generate(["p"], max_new_tokens=1) == ["answer 0 to p"]
    assert len(server.requests) == 3


@pytest.mark.parametrize(("statuses", "requests"), [([401], 1), ([503] * 5, 3)])
def test_a_refusal_is_told_with_its_status_and_neither_key_nor_prompt(
    server: Server, statuses: list[int], requests: int
) -> None:
    server.statuses = statuses
    model = EndpointModel(name="m", base_url=server.url, api_key="hidden-key", wait_s=0)
    with pytest.raises(EndpointFailed, match=f"status {statuses[0]}") as raised:
        model.generate(["secret question"], max_new_tokens=1)
    assert len(server.requests) == requests
    assert "secret" not in str(raised.value)
    assert "hidden" not in str(raised.value) + repr(model)


@pytest.mark.parametrize("body", [b"not json", b"[]", b'{"choices": []}', b'{"choices": [{"message": {}}]}'])
def test_an_unreadable_answer_is_an_error_not_an_empty_output(server: Server, body: bytes) -> None:
    server.body = body
    with pytest.raises(EndpointFailed):
        EndpointModel(name="m", base_url=server.url, wait_s=0).generate(["p"], max_new_tokens=1)


def test_an_answer_of_nothing_is_an_empty_output(server: Server) -> None:
    server.body = b'{"choices": [{"message": {"content": null}}]}'
    assert EndpointModel(name="m", base_url=server.url).generate(["p"], max_new_tokens=1) == [""]


def test_an_endpoint_that_is_not_there_is_told() -> None:
    server = Server()
    server.http.server_close()
    with pytest.raises(EndpointFailed, match=r"ConnectionRefused|URLError"):
        EndpointModel(name="m", base_url=server.url, tries=2, wait_s=0).generate(["p"], max_new_tokens=1)


def test_log_probabilities_and_gradients_are_not_offered() -> None:
    model = EndpointModel(name="m", base_url="http://host/v1")
    assert isinstance(model, JudgedModel)
    assert model.offers == {Fact.OUTPUT, Fact.SAMPLES}
    with pytest.raises(ModelUnsuitable, match="log-probabilities"):
        model.token_facts(["p"], ["a"])
    with pytest.raises(ModelUnsuitable, match="gradients"):
        model.gradient_norms(["p"], ["a"])


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(InvalidPlan, match="ftp:"):
        EndpointModel(name="m", base_url="ftp://host/v1")


def test_a_password_in_an_address_stands_in_no_message() -> None:
    model = EndpointModel(name="m", base_url="http://user:p@ss-word@127.0.0.1:1/v1", tries=1)

    with pytest.raises(EndpointFailed, match="Check the address") as told:
        model.generate(["hello"], max_new_tokens=1)
    assert "user" not in str(told.value)
    assert "ss-word" not in str(told.value)
