"""The queue before a painter, and the painters: turns, limits, cancelling, failures, deaths."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from guardrail.backends.diffusers_drawing import IsCancelled, OnStep, Order
from guardrail.backends.diffusers_loading import LoadedPipeline, PipelineFacts
from guardrail.backends.diffusers_painters import DrawingFailed, Painter, PainterApart, PainterDied, PainterHere
from guardrail.backends.diffusers_queue import PictureJob, PictureQueue
from guardrail.denoising.preparation import Preparation
from guardrail.errors import ApiError, ConfigError
from tests.fakes.stub_pipelines import FACTS, LoadStub, Readied, StubPipeline

WAIT_S = 60


class Held:
    """A painter that draws one order for every `go`, and notes the prompts."""

    def __init__(self) -> None:
        self.drawn: list[str] = []
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)

    def start(self) -> PipelineFacts:
        return FACTS

    def draw(self, order: Order, *, is_cancelled: IsCancelled, on_step: OnStep) -> list[bytes]:
        self.begun.release()
        assert self.go.acquire(timeout=WAIT_S)
        self.drawn.append(order.prompt)
        return [order.prompt.encode()]

    def prepare(self, preparation: Preparation, *, is_cancelled: IsCancelled) -> None:
        preparation.prepare(None)

    def close(self) -> None:
        return None


def job(*prompts: str, key: str = "") -> PictureJob:
    return PictureJob([Order(prompt=prompt, seeds=(0,)) for prompt in prompts], fair_key=key)


def until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + WAIT_S
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def opened() -> Iterator[Callable[..., PictureQueue]]:
    made: list[PictureQueue] = []

    def open_queue(painter: Painter, waiting: int = 16) -> PictureQueue:
        queue = PictureQueue(painter, name="m", max_waiting=waiting)
        queue.start()
        made.append(queue)
        return queue

    yield open_queue
    for queue in made:
        queue.close()


Open = Callable[..., PictureQueue]


def test_tenants_are_drawn_for_in_turn(opened: Open) -> None:
    painter = Held()
    queue = opened(painter)
    many = job("a1", "a2", "a3", "a4", key="a")
    queue.submit(many)
    assert painter.begun.acquire(timeout=WAIT_S)
    one, later = job("b1", key="b"), job("a5", key="a")
    queue.submit(later)
    queue.submit(one)
    for _ in range(6):
        painter.go.release()
    assert many.drawn.result(WAIT_S) == [b"a1", b"a2", b"a3", b"a4"]
    assert later.drawn.result(WAIT_S) == [b"a5"]
    assert painter.drawn.index("b1") <= 2, painter.drawn
    assert painter.drawn.index("a5") > painter.drawn.index("a4")


def test_one_more_than_may_wait_is_a_429_and_a_place_is_free_again_when_one_leaves(opened: Open) -> None:
    painter = Held()
    queue = opened(painter, waiting=1)
    first, second = job("first"), job("second")
    queue.submit(first)
    queue.submit(second)
    with pytest.raises(ApiError) as caught:
        queue.submit(job("third"))
    assert (caught.value.status, caught.value.code) == (429, "rate_limit_exceeded")
    assert caught.value.retry_after_s
    assert second.drawn.cancel()
    queue.submit(third := job("third"))
    painter.go.release(2)
    assert third.drawn.result(WAIT_S) == [b"third"]
    assert painter.drawn == ["first", "third"]


def test_the_key_that_has_most_makes_room_for_one_that_has_less_until_both_have_the_same(opened: Open) -> None:
    painter = Held()
    queue = opened(painter, waiting=3)
    greedy = [job(f"a{number}", key="a") for number in range(4)]
    for one in greedy:
        queue.submit(one)
    assert painter.begun.acquire(timeout=WAIT_S)
    modest = [job(f"b{number}", key="b") for number in range(3)]
    for one in modest[:2]:
        queue.submit(one)
    for refused in (modest[2], job("a5", key="a")):
        with pytest.raises(ApiError) as caught:
            queue.submit(refused)
        assert caught.value.status == 429
    for given_up in greedy[2:]:
        error = given_up.drawn.exception(WAIT_S)
        assert isinstance(error, ApiError)
        assert (error.status, bool(error.retry_after_s)) == (429, True)
    painter.go.release(4)
    assert [one.drawn.result(WAIT_S) for one in (*greedy[:2], *modest[:2])] == [[b"a0"], [b"a1"], [b"b0"], [b"b1"]]


def test_a_request_of_which_something_is_drawn_is_not_given_up(opened: Open) -> None:
    painter = Held()
    queue = opened(painter, waiting=2)
    begun, other = job("a1", "a2", key="a"), job("b1", key="b")
    queue.submit(begun)
    queue.submit(other)
    assert painter.begun.acquire(timeout=WAIT_S)
    painter.go.release()
    until(lambda: painter.drawn == ["a1"])
    assert painter.begun.acquire(timeout=WAIT_S)  # b1 is under way, a2 waits
    queue.submit(later := job("a3", key="a"))
    queue.submit(job("c1", key="c"))
    assert isinstance(later.drawn.exception(WAIT_S), ApiError)
    painter.go.release(3)
    assert begun.drawn.result(WAIT_S) == [b"a1", b"a2"]


def test_closing_fails_what_waits_and_what_is_drawn() -> None:
    painter = PainterHere(lambda: LoadedPipeline(pipeline=StubPipeline(), facts=FACTS))
    queue = PictureQueue(painter, name="m", max_waiting=4)
    queue.start()
    jobs = [job("slow"), job("slow")]
    for one in jobs:
        queue.submit(one)
    until(lambda: bool(queue.steps_done))
    queue.close()
    assert [type(one.drawn.exception(WAIT_S)) for one in jobs] == [PainterDied, PainterDied]
    with pytest.raises(ApiError):
        queue.submit(job("late"))


def here(folder: Path) -> Painter:
    return PainterHere(LoadStub(folder))


def apart(folder: Path) -> Painter:
    return PainterApart(LoadStub(folder), name="m")


@pytest.mark.parametrize("place", [here, apart])
def test_a_failing_drawing_is_told_without_words_and_the_next_one_succeeds(
    opened: Open, place: Callable[[Path], Painter], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    queue = opened(place(tmp_path))
    failing, fine = job("raise Secret Name"), job("a square")
    queue.submit(failing)
    queue.submit(fine)
    error = failing.drawn.exception(WAIT_S)
    assert isinstance(error, DrawingFailed)
    assert error.kind == "RuntimeError"
    assert error.__context__ is None
    assert fine.drawn.result(WAIT_S)[0].startswith(b"\x89PNG")
    assert LoadStub(tmp_path).loads == 1
    assert "Secret" not in caplog.text


@pytest.mark.parametrize("place", [here, apart])
def test_cancelling_takes_effect_between_two_steps(
    opened: Open, place: Callable[[Path], Painter], tmp_path: Path
) -> None:
    queue = opened(place(tmp_path))
    slow, fine = job("slow"), job("a square")
    queue.submit(slow)
    queue.submit(fine)
    until(lambda: bool(queue.steps_done))
    assert slow.drawn.cancel()
    assert fine.drawn.result(WAIT_S)
    assert queue.open_jobs == 0
    assert LoadStub(tmp_path).loads == 1


def test_a_painter_that_dies_is_started_again_and_its_order_tried_once_more(opened: Open, tmp_path: Path) -> None:
    queue = opened(apart(tmp_path))
    dying = job("die once")
    queue.submit(dying)
    assert dying.drawn.result(WAIT_S)[0].startswith(b"\x89PNG")
    assert LoadStub(tmp_path).loads == 2


def test_an_order_that_kills_twice_fails_and_the_next_one_is_drawn(opened: Open, tmp_path: Path) -> None:
    queue = opened(apart(tmp_path))
    deadly, fine = job("die"), job("a square")
    queue.submit(deadly)
    queue.submit(fine)
    assert isinstance(deadly.drawn.exception(WAIT_S), PainterDied)
    assert fine.drawn.result(WAIT_S)


def test_an_exit_in_the_drawing_thread_takes_the_pipeline_not_the_thread(opened: Open, tmp_path: Path) -> None:
    queue = opened(here(tmp_path))
    leaving, fine = job("exit"), job("a square")
    queue.submit(leaving)
    queue.submit(fine)
    assert isinstance(leaving.drawn.exception(WAIT_S), PainterDied)
    assert fine.drawn.result(WAIT_S)
    assert queue.alive
    assert LoadStub(tmp_path).loads == 3


def test_a_process_that_does_not_answer_a_cancel_is_ended_and_the_next_one_draws(opened: Open, tmp_path: Path) -> None:
    painter = PainterApart(LoadStub(tmp_path), name="m", patience_s=0.2)
    queue = opened(painter)
    hanging, fine = job("hang"), job("a square")
    queue.submit(hanging)
    queue.submit(fine)
    until((tmp_path / "begun").exists)
    hung = painter.process_id
    assert hanging.drawn.cancel()
    assert fine.drawn.result(WAIT_S)
    assert painter.process_id not in (hung, None)


def test_whatever_a_painter_raises_the_queue_goes_on(opened: Open) -> None:
    class Unstartable(Held):
        def draw(self, order: Order, *, is_cancelled: IsCancelled, on_step: OnStep) -> list[bytes]:
            if order.prompt == "first":
                raise OSError("no process can be started")
            return super().draw(order, is_cancelled=is_cancelled, on_step=on_step)

    painter = Unstartable()
    queue = opened(painter)
    first, second = job("first"), job("second")
    queue.submit(first)
    queue.submit(second)
    painter.go.release()
    assert isinstance(first.drawn.exception(WAIT_S), PainterDied)
    assert second.drawn.result(WAIT_S) == [b"second"]
    assert queue.alive


@pytest.mark.parametrize("place", [here, apart])
def test_things_are_got_ready_while_nobody_waits_and_left_for_whoever_comes(
    opened: Open, place: Callable[[Path], Painter], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    painter = place(tmp_path)
    painter.start()
    queue = opened(painter)
    long, short, bad = Readied(tmp_path, "long", 10_000), Readied(tmp_path, "short"), Readied(tmp_path, "raise")
    queue.prepare([bad, long, short])
    until((tmp_path / "long begun").exists)
    queue.submit(caller := job("a square"))
    assert caller.drawn.result(WAIT_S)
    assert not (tmp_path / "short").exists()
    queue.prepare([short])  # the registry has changed: what was told before is of no use
    until((tmp_path / "short").exists)
    assert not (tmp_path / "long").exists()
    assert queue.open_jobs == 0
    assert LoadStub(tmp_path).loads == 1
    assert "Secret" not in caplog.text


def test_what_was_left_is_taken_up_again_when_nobody_waits_any_more(opened: Open, tmp_path: Path) -> None:
    queue = opened(here(tmp_path))
    queue.prepare([Readied(tmp_path, "long", 40)])
    until((tmp_path / "long begun").exists)
    queue.submit(caller := job("a square"))
    assert caller.drawn.result(WAIT_S)
    assert not (tmp_path / "long").exists()
    until((tmp_path / "long").exists)


def test_what_cannot_be_loaded_in_the_other_process_is_told_in_its_words() -> None:
    painter = PainterApart(no_such_model, name="m")
    with pytest.raises(ConfigError, match="no such model"):
        painter.start()
    assert painter.process_id is None


def no_such_model() -> LoadedPipeline:
    raise ConfigError("no such model")
