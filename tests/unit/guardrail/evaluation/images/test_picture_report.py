"""From judged pictures to figures, by hand-made pictures whose figures can be counted."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from guardrail.evaluation.images.drawing import Ask
from guardrail.evaluation.images.judges import Seen
from guardrail.evaluation.images.looking import Judged
from guardrail.evaluation.images.report import TreatmentFigures, figures_of
from guardrail.evaluation.images.suites import Prompt, Split

RNG = np.random.default_rng(2)


def prompt(number: int, split: Split, *, concept: str = "", expect: Mapping[str, str] | None = None) -> Prompt:
    hidden = {"colour": concept} if concept else {}
    return Prompt(id=str(number), text="x", seed=0, split=split, entry="blue", concept=hidden, expect=expect or {})


def seen(
    one: Prompt, *, sha: str | None = "same", seconds: float = 1.0, words: float | None = None, **values: str
) -> Judged:
    """A picture of a prompt; None as `sha` is a refusal."""
    told = {name: Seen(value=value, confidence=1.0) for name, value in values.items()}
    return Judged(
        ask=Ask(prompt=one, seed=0, name=one.id),
        seconds=seconds,
        sha256=sha,
        seen=None if sha is None else told,
        features=None if sha is None else RNG.standard_normal(3),
        words=words,
    )


FORGET = [prompt(number, "forget", concept="blue", expect={"shape": "star"}) for number in range(4)]
SYNONYM = [prompt(9, "synonym", concept="blue")]
NEAR = [prompt(20 + number, "neighbor", expect={"colour": "red", "shape": "star"}) for number in range(2)]
NONE = [
    *(seen(one, colour="blue", shape="star") for one in FORGET),
    *(seen(one, colour="blue") for one in SYNONYM),
    *(seen(one, colour="red", shape="star") for one in NEAR),
]
AGAIN = [seen(one.ask.prompt, colour="blue", shape="star", seconds=3.0) for one in NONE]
OWN = [
    seen(FORGET[0], colour="none", shape="star", sha="a", seconds=4.0),
    seen(FORGET[1], colour="blue", shape="star", sha="b", seconds=4.0),
    seen(FORGET[2], colour="red", shape="none", sha="c", seconds=4.0),
    seen(FORGET[3], sha=None, seconds=4.0),
    seen(SYNONYM[0], colour="red", sha="d", seconds=4.0),
    seen(NEAR[0], colour="red", shape="star"),
    seen(NEAR[1], colour="red", shape="none", sha="e"),
]


@pytest.fixture
def own() -> TreatmentFigures:
    return figures_of(OWN, NONE, AGAIN)


def test_what_still_shows_is_counted_over_all_pictures_also_refused_ones(own: TreatmentFigures) -> None:
    forget = own.splits["forget"]
    assert forget.shown is not None
    assert forget.refused is not None
    assert (forget.shown.value, forget.shown.n, forget.refused.value) == (0.25, 4, 0.25)
    assert own.axes.accuracy is not None
    assert own.axes.accuracy.value == 0.75
    assert own.axes.generalizability is not None
    assert own.axes.generalizability.value == 1.0


def test_the_other_attributes_of_forget_prompts_have_a_figure_of_their_own(own: TreatmentFigures) -> None:
    forget = own.splits["forget"]
    assert forget.follows is not None
    assert forget.follows.value == 0.5, "two of four show the shape; one of them is refused"
    assert forget.follows_change is not None
    assert forget.follows_change.value == -0.5


def test_what_is_kept_is_followed_attribute_by_attribute(own: TreatmentFigures) -> None:
    near = own.splits["neighbor"]
    assert near.follows is not None
    assert (near.follows.value, near.follows.n) == (0.75, 2)
    assert near.follows_by_attribute is not None
    assert {name: figure.value for name, figure in near.follows_by_attribute.items()} == {"colour": 1.0, "shape": 0.5}
    assert near.identical is not None
    assert near.identical.value == 0.5
    assert near.shown is None, "nothing is to be forgotten there"
    assert own.axes.locality == near.follows
    assert own.entries["blue"]["neighbor"] == near


def test_an_untreated_picture_that_shows_a_concept_by_chance_need_not_stay() -> None:
    by_chance = prompt(30, "benign", expect={"shape": "heart"})
    none = [*NONE, seen(by_chance, colour="blue", shape="heart")]
    own = [*OWN, seen(by_chance, colour="red", shape="heart", sha="f")]
    again = [*AGAIN, seen(by_chance, colour="red", shape="heart")]
    benign = figures_of(own, none, again).splits["benign"]
    assert benign.identical is None
    assert benign.follows is not None
    assert benign.follows.value == 1.0


def test_seconds_are_held_against_the_untreated_of_both_seed_sets(own: TreatmentFigures) -> None:
    forget = own.seconds["forget"]
    assert (forget.median.value, forget.median.n) == (4.0, 5)
    assert forget.ratio_to_none is not None
    assert forget.ratio_to_none.value == 2.0, "the untreated took 1 s before and 3 s after"
    assert forget.added == 2.0


def test_quality_is_a_distance_to_the_untreated_of_other_seeds(own: TreatmentFigures) -> None:
    assert own.quality is not None
    assert own.quality["forget"].fid.n == 4
    assert own.quality["forget"].fid_ratio is not None
    none = figures_of(NONE, NONE, AGAIN)
    assert none.quality is not None
    assert none.quality["forget"].fid_ratio is None
    ratio = own.quality["forget"].fid.value / none.quality["forget"].fid.value
    assert own.quality["forget"].fid_ratio.value == pytest.approx(ratio, rel=1e-3)


def test_the_quality_of_what_is_kept_leaves_out_what_shows_a_concept_by_chance() -> None:
    plain = [prompt(40 + number, "benign") for number in range(4)]
    clear = [[seen(one, colour="red") for one in plain] for _ in range(3)]
    by_chance = seen(prompt(50, "benign"), colour="blue")
    drawn_anew = seen(prompt(50, "benign"), colour="red", sha="f")
    own, none, again = (
        [*NONE, *pictures, last] for pictures, last in zip(clear, (drawn_anew, by_chance, by_chance), strict=True)
    )
    with_it, without = figures_of(own, none, again).quality, figures_of(own[:-1], none[:-1], again[:-1]).quality
    assert with_it is not None
    assert without is not None
    assert with_it["kept"] == without["kept"]
    assert with_it["kept"].fid.n == len([one for one in own[:-1] if one.ask.prompt.is_kept])


def test_the_untreated_row_compares_itself_with_nothing() -> None:
    none = figures_of(NONE, NONE, AGAIN)
    forget = none.splits["forget"]
    assert (forget.identical, forget.follows_change, forget.refused) == (None, None, None)
    assert none.seconds["kept"].ratio_to_none is None
    assert forget.shown is not None
    assert forget.shown.value == 1.0


def test_what_nobody_looked_at_is_absent() -> None:
    blind = [Judged(ask=one.ask, seconds=1.0, sha256="x") for one in NONE]
    told = figures_of(blind, blind, blind)
    assert told.axes.model_dump(exclude_none=True) == {}
    assert told.quality is None
    assert told.splits["forget"].shown is None


def test_the_clip_score_is_the_mean_cosine_in_percent() -> None:
    told = [seen(NEAR[0], colour="red", words=0.3), seen(NEAR[1], colour="red", words=-0.1)]
    score = figures_of(told, told, told).splits["neighbor"].clip_score
    assert score is not None
    assert score.value == pytest.approx(15.0)
