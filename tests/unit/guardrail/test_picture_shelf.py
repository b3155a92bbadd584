"""Pictures that wait for their callers: for a time, up to a size, under words that cannot be guessed."""

from __future__ import annotations

from guardrail.picture_shelf import PictureShelf


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_picture_is_found_by_its_token_only() -> None:
    shelf = PictureShelf()
    token = shelf.put(b"picture", "webp")
    found = shelf.find(token)
    assert found is not None
    assert (found.content, found.media_type) == (b"picture", "image/webp")
    assert shelf.find(token[:-1]) is None
    assert shelf.find("") is None


def test_tokens_are_long_and_never_the_same() -> None:
    shelf = PictureShelf()
    tokens = {shelf.put(b"same", "png") for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43


def test_a_picture_is_gone_after_its_time() -> None:
    clock = Clock()
    shelf = PictureShelf(lifetime_s=60, clock=clock)
    token = shelf.put(b"picture", "png")
    clock.now = 59.9
    assert shelf.find(token) is not None
    clock.now = 60.0
    assert shelf.find(token) is None
    assert (len(shelf), shelf.held_bytes) == (0, 0)


def test_the_oldest_make_room() -> None:
    shelf = PictureShelf(limit_bytes=10)
    first, second, third = (shelf.put(b"1234", "png") for _ in range(3))
    assert shelf.find(first) is None
    assert shelf.find(second) is not None
    assert shelf.find(third) is not None
    assert shelf.held_bytes == 8


def test_a_picture_larger_than_the_shelf_still_reaches_its_caller() -> None:
    shelf = PictureShelf(limit_bytes=10)
    small = shelf.put(b"1234", "png")
    large = shelf.put(b"x" * 50, "png")
    assert shelf.find(small) is None
    assert shelf.find(large) is not None
