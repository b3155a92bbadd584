"""Foreign error bodies come out in the four-key OpenAI shape, and shaped ones keep their bytes."""

from __future__ import annotations

import orjson
import pytest

from guardrail.backends.error_bodies import normalise


def fields(status: int, body: bytes) -> dict[str, object]:
    error = orjson.loads(normalise(status, body))["error"]
    assert isinstance(error, dict)
    return error


def test_a_body_in_shape_keeps_its_bytes() -> None:
    body = b'{ "error": {"message":"m", "type":"t","param":null,"code":"c" , "extra": 1} }'
    assert normalise(400, body) is body


def test_vllms_401_gets_four_keys() -> None:
    assert fields(401, b'{"error":"Unauthorized"}') == {
        "message": "Unauthorized",
        "type": "authentication_error",
        "param": None,
        "code": "invalid_api_key",
    }


def test_an_integer_code_becomes_a_string_and_other_fields_stay() -> None:
    body = b'{"error":{"message":"no","type":"NotFoundError","param":"model","code":404,"hint":{"a":1}}}'
    assert fields(404, body) == {
        "message": "no",
        "type": "NotFoundError",
        "param": "model",
        "code": "404",
        "hint": {"a": 1},
    }


def test_missing_keys_are_added() -> None:
    assert fields(500, b'{"error":{"message":"boom"}}') == {
        "message": "boom",
        "type": "server_error",
        "param": None,
        "code": None,
    }


def test_validation_findings_are_told_without_the_offending_input() -> None:
    body = b'{"detail":[{"loc":["body","messages"],"msg":"Field required","input":{"secret":"text"}}]}'
    error = fields(422, body)
    assert error["message"] == "body.messages: Field required"
    assert b"secret" not in normalise(422, body)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"detail":"Not Found"}', "Not Found"),
        (b'{"message":"old vLLM shape","code":400}', "old vLLM shape"),
        (b"Internal Server Error", "Internal Server Error"),
        (b"", "The backend answered with status 502."),
        (b"<html>Bad gateway</html>", "The backend answered with status 502."),
        (b'["a"]', "The backend answered with status 502."),
        (b"\xff\xfe\x00", None),
    ],
)
def test_every_other_body_still_becomes_an_error_with_a_message(body: bytes, message: str | None) -> None:
    error = fields(502, body)
    assert set(error) == {"message", "type", "param", "code"}
    assert message is None or error["message"] == message
