"""One outgoing text: what is cleared, what was repaired, and what a piece of it becomes."""

from __future__ import annotations

from guardrail.inspectors import StructuredLeak, TextLeak
from guardrail.openai_wire.protocol import ChannelKey
from guardrail.streaming.channel import Channel
from tests.fakes.forgotten import AUTOMATON, forbidden, leaks_in


def content(prefix: str = "") -> Channel:
    return Channel(ChannelKey(0, "content"), TextLeak(AUTOMATON, forbidden()), prefix=prefix)


def arguments() -> Channel:
    key = ChannelKey(0, "arguments", structured=True)
    return Channel(key, StructuredLeak(TextLeak(AUTOMATON, forbidden())))


def test_a_text_without_leaks_leaves_as_it_came() -> None:
    channel = content()
    assert channel.push("An author ") is None
    assert channel.emit("An author ", 0) == "An author "
    assert (channel.cleared, channel.released, channel.altered) == (10, 10, False)


def test_a_redaction_is_put_where_the_leak_begins_however_the_text_is_cut() -> None:
    channel = content()
    leak = channel.push("By Stephen King.")
    assert leak is not None
    assert channel.redact(leak, "[...]") is None
    assert [channel.render(piece, start) for piece, start in (("By Ste", 0), ("phen", 6), (" King.", 10))] == [
        "By [...]",
        "",
        ".",
    ]
    assert channel.whole() == "By [...]."


def test_redacting_tells_the_next_leak_until_there_is_none() -> None:
    channel = content()
    leak = channel.push("Steve, Stephen King, Richard Bachman.")
    count = 0
    while leak is not None:
        leak, count = channel.redact(leak, "x"), count + 1
    assert (count, channel.whole()) == (3, "x, x, x.")


def test_a_long_text_with_many_leaks_is_read_in_steps_and_misses_none() -> None:
    text = "It was Stephen King again. " * 2_000
    channel = content()
    leak = channel.push(text, final=True)
    while leak is not None:
        leak = channel.redact(leak, "[...]")
    assert channel.whole() == text.replace("Stephen King", "[...]")
    assert channel.cleared == len(text)


def test_a_closed_text_ends_in_the_words_given_and_takes_no_more() -> None:
    channel = content()
    channel.push("By Stephen King.")
    channel.close(3, "someone.")
    assert channel.push(" And Steve.") is None
    assert channel.whole() == "By someone."


def test_the_prefix_stands_before_the_first_piece_alone() -> None:
    channel = content("Well. ")
    channel.push("One ")
    channel.push("two ")
    assert channel.emit("One ", 0) + channel.emit("two ", 4) == "Well. One two "
    assert channel.altered


def test_a_text_that_is_hurried_lets_its_beginning_go_and_cuts_the_rest_of_a_name() -> None:
    channel = content()
    channel.push("By Stephen Kin")
    assert channel.hurry() is None
    assert channel.cleared == 14
    said = channel.emit("By Stephen Kin", 0)
    leak = channel.push("g.")
    assert leak is not None
    channel.redact(leak, "[...]")
    assert said + channel.emit("g.", 14) == "By Stephen Kin[...]."


def test_json_is_not_hurried_inside_an_escape() -> None:
    channel = arguments()
    channel.push('{"a": "Stephen \\u00')
    assert channel.hurry() is None
    assert channel.cleared == len('{"a": "')


def test_json_that_was_let_go_inside_an_escape_is_redacted_behind_it() -> None:
    channel = arguments()
    text = '{"a": "Stephen \\u004bing"}'
    channel.push(text[:-4])
    cut = text.index("b")
    channel.emit(text[:cut], 0)
    leak = channel.push(text[-4:])
    assert leak is not None
    channel.redact(leak, "[...]")
    assert text[:cut] + channel.render(text[cut:], cut) == '{"a": "Stephen \\u004b[...]"}'
    assert not leaks_in("Stephen K[...]")
