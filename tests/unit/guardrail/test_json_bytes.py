"""Replacing one string in JSON bytes leaves every other byte."""

from __future__ import annotations

import random

import orjson
import pytest

from guardrail.openai_wire.json_bytes import replace_string

MODEL = [("model",), ("response", "model")]
CASES = {
    b'{"model":"a"}': b'{"model":"NEW"}',
    b' { "x":1.50, "model" : "a" , "y":[] }\n': b' { "x":1.50, "model" : "NEW" , "y":[] }\n',
    b'{"x":{"model":"a"},"model":"a"}': b'{"x":{"model":"a"},"model":"NEW"}',
    b'{"model":"a","model":"b"}': b'{"model":"NEW","model":"NEW"}',
    b'{"model":["a"],"y":"model","z":{"model":{"model":"a"}}}': b'{"model":["a"],"y":"model","z":{"model":{"model":"a"}}}',
    b'{"x":"\\"model\\":\\"a\\" }{","model":"a\\"b"}': b'{"x":"\\"model\\":\\"a\\" }{","model":"NEW"}',
    b'{"mod\\u0065l":"a"}': b'{"mod\\u0065l":"NEW"}',
    b'{"response":{"id":"x","model":"a"},"z":"model"}': b'{"response":{"id":"x","model":"NEW"},"z":"model"}',
    b'[{"model":"a"}]': b'[{"model":"a"}]',
    b'{"response":[{"model":"a"}]}': b'{"response":[{"model":"a"}]}',
    b'{"model":null}': b'{"model":null}',
    b'event: x\ndata: {"model":"a"}\n\n': b'event: x\ndata: {"model":"NEW"}\n\n',
    b"": b"",
}


@pytest.mark.parametrize("raw", CASES)
def test_only_the_string_at_the_path_is_replaced(raw: bytes) -> None:
    assert replace_string(raw, MODEL, "NEW") == CASES[raw]


def test_the_new_string_is_escaped() -> None:
    assert orjson.loads(replace_string(b'{"model":"a"}', MODEL, 'a"\\b\n')) == {"model": 'a"\\b\n'}


def _any_value(chance: random.Random, depth: int) -> object:
    kind = chance.randrange(6 if depth < 4 else 4)
    if kind < 4:
        return [None, chance.choice(["model", 'q"\\', "{[", "a:b", '":"', "\u00e9\U0001f600"]), 1.5, True][kind]
    if kind == 4:
        return [_any_value(chance, depth + 1) for _ in range(chance.randrange(4))]
    keys = ["model", "response", 'k"', "\\", "x"]
    return {chance.choice(keys): _any_value(chance, depth + 1) for _ in range(chance.randrange(5))}


def test_it_agrees_with_decoding_and_encoding_again_on_thousands_of_values() -> None:
    chance = random.Random(7)
    for _ in range(3000):
        value = _any_value(chance, 0)
        wanted = orjson.loads(orjson.dumps(value))
        if isinstance(wanted, dict):
            for holder in (wanted, wanted.get("response")):
                if isinstance(holder, dict) and isinstance(holder.get("model"), str):
                    holder["model"] = "NEW"
        assert orjson.loads(replace_string(orjson.dumps(value), MODEL, "NEW")) == wanted
