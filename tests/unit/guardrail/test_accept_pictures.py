"""Reference pictures of an entry must open before the entry is accepted."""

from __future__ import annotations

import pytest

from guardrail.api.admin.accept import MOST_IMAGES, check_images
from retrieval.errors import InvalidEntry
from tests.fakes.small_pictures import data_url, painted_file, painted_urls


def test_pictures_that_open_are_accepted() -> None:
    check_images(painted_urls("red", 3))
    check_images(())


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        ("a.png", "expunge forget import"),
        ("https://example.org/a.png", "data URL"),
        (data_url(b"words"), "not a PNG, JPEG, WebP or GIF"),
        (data_url(painted_file("red", 1)[:60]), "cut short"),
        (data_url(b""), "is empty"),
    ],
)
def test_a_picture_that_does_not_open_is_named_with_its_mend(bad: str, says: str) -> None:
    with pytest.raises(InvalidEntry, match=says) as refused:
        check_images([*painted_urls("red", 1), bad])
    assert refused.value.param == "images.1"
    assert str(refused.value).startswith("Field 'images.1': ")


def test_too_many_pictures_are_refused_before_any_is_opened() -> None:
    with pytest.raises(InvalidEntry, match=f"more than {MOST_IMAGES}"):
        check_images(["not opened"] * (MOST_IMAGES + 1))
