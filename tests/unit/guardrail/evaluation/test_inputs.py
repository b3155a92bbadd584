"""Reading entries and probes: foreign ids, odd line separators, and what is wrong told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from guardrail.errors import InvalidInput
from guardrail.evaluation.inputs import CHAT, COMPLETIONS, read_entries, read_probes


def write(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    path.write_text("\n".join(texts), encoding="utf-8")
    return path


def test_ids_may_be_any_text_and_are_kept(tmp_path: Path) -> None:
    ids = ["44_Meghan,_Duchess_of_Sussex", "24_Beyoncé", "7_Shaquille_O'Neal", "a b/c"]
    path = write(tmp_path / "e", *({"id": one, "name": "Some One"} for one in ids))
    found = read_entries(path)
    assert [known.id for known in found] == ids
    assert len({known.entry.id for known in found}) == len(ids)


def test_only_the_newline_ends_a_line(tmp_path: Path) -> None:
    entries = read_entries(write(tmp_path / "e", {"id": "a", "name": "Ada"}))
    odd = "one\u2028two\x85three\x0bfour"
    probes = read_probes(
        write(tmp_path / "p", {"prompt": odd, "expect": ["a"]}, "", {"prompt": "x", "expect": []}), entries
    )
    assert [(probe.number, probe.body["prompt"]) for probe in probes] == [(1, odd), (3, "x")]


def test_when_an_entry_acts_is_left_out_as_what_it_finds_is_judged(tmp_path: Path) -> None:
    fields = {"shadow": True, "scope": {"tenants": ["one"]}, "expires_at": "2020-01-01T00:00:00Z", "images": ["a.png"]}
    (known,) = read_entries(write(tmp_path / "e", {"id": "a", "name": "Ada", **fields}))
    assert (known.entry.shadow, known.entry.scope.tenants, known.entry.expires_at) == (False, ("*",), None)


def test_a_prompt_and_messages_become_what_a_client_would_send(tmp_path: Path) -> None:
    entries = read_entries(write(tmp_path / "e", {"id": "a", "name": "Ada"}))
    messages = [{"role": "user", "content": "hi"}]
    path = write(
        tmp_path / "p", {"prompt": "hi", "expect": []}, {"id": "m", "messages": messages, "expect": ["a"], "group": "g"}
    )
    prompt, chat = read_probes(path, entries)
    assert (prompt.endpoint, prompt.body, prompt.id, prompt.group) == (COMPLETIONS, {"prompt": "hi"}, "1", "all")
    assert (chat.endpoint, chat.body, chat.expect, chat.group) == (CHAT, {"messages": messages}, ("a",), "g")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"name": ', "line 2: is not valid JSON"),
        ("[]", "line 2: must be a JSON object"),
        ({"name": "Secret", "nmae": 1}, "line 2: Unknown field 'nmae'"),
        ({"id": "a"}, "line 2: Field 'name'"),
        ({"id": 3, "name": "Secret"}, "line 2: 'id' must be a text"),
        ({"id": "first", "name": "Secret"}, "line 2: the id 'first' stands in an earlier line"),
    ],
)
def test_a_wrong_entry_is_told_with_its_line_and_without_its_text(tmp_path: Path, line: Any, message: str) -> None:
    with pytest.raises(InvalidInput) as told:
        read_entries(write(tmp_path / "e", {"id": "first", "name": "Ada"}, line))
    assert message in str(told.value)
    assert "Secret" not in str(told.value)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"prompt": "x"}, "'expect' must be a list"),
        ({"prompt": "x", "expect": ["b"]}, "'expect' names 'b'"),
        ({"prompt": "x", "messages": [], "expect": []}, "either 'prompt' or 'messages'"),
        ({"expect": []}, "either 'prompt' or 'messages'"),
        ({"prompt": 3, "expect": []}, "'prompt' must be a text"),
        ({"messages": ["x"], "expect": []}, "'messages' must be a list of objects"),
        ({"messages": [], "expect": []}, "'messages' must be a list of objects"),
        ({"prompt": "x", "expect": [], "answer": 1}, "'answer' must be a text"),
    ],
)
def test_a_wrong_probe_is_told_with_its_line(tmp_path: Path, line: Any, message: str) -> None:
    entries = read_entries(write(tmp_path / "e", {"id": "a", "name": "Ada"}))
    with pytest.raises(InvalidInput) as told:
        read_probes(write(tmp_path / "p", {"prompt": "fine", "expect": []}, line), entries)
    assert "line 2" in str(told.value)
    assert message in str(told.value)


def test_empty_and_missing_files_are_told(tmp_path: Path) -> None:
    entries = read_entries(write(tmp_path / "e", {"id": "a", "name": "Ada"}))
    with pytest.raises(InvalidInput, match="holds no probe"):
        read_probes(write(tmp_path / "p", ""), entries)
    with pytest.raises(InvalidInput, match="holds no entry"):
        read_entries(write(tmp_path / "e2", "\n"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_entries(tmp_path / "none")
