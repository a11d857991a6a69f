"""Stages that overlap: in order, bounded, and over when they are not wanted any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from limner.video.threads import StageThreads


def count_to(n: int, made: list[int], closed: list[bool] | None = None) -> Iterator[int]:
    try:
        for i in range(n):
            made.append(i)
            yield i
    finally:
        if closed is not None:
            closed.append(True)


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_items_come_in_order_through_several_stages() -> None:
    with StageThreads() as threads:
        numbers = threads.prefetch(range(1000), 3)
        squares = threads.prefetch((n * n for n in numbers), 2)
        assert list(squares) == [n * n for n in range(1000)]


def test_a_stage_runs_ahead_but_only_so_far() -> None:
    made: list[int] = []
    with StageThreads() as threads:
        numbers = threads.prefetch(count_to(100, made), 3)
        wait_until(lambda: len(made) == 4)  # three that wait and one in hand
        time.sleep(0.05)
        assert len(made) == 4
        assert next(numbers) == 0
        wait_until(lambda: len(made) == 5)


def test_stages_work_at_the_same_time() -> None:
    meeting = threading.Barrier(2, timeout=5)

    def meet(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            meeting.wait()  # breaks unless the other stage is at work too
            yield item

    with StageThreads() as threads:
        first, second = threads.prefetch(meet(iter(range(5))), 1), threads.prefetch(meet(iter(range(5))), 1)
        assert list(zip(first, second, strict=True)) == [(i, i) for i in range(5)]


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def fail() -> Iterator[int]:
        yield 1
        yield 2
        raise ValueError("torn")

    with StageThreads() as threads:
        stage = threads.prefetch(threads.prefetch(fail(), 5), 5)
        assert next(stage) == 1
        assert next(stage) == 2
        with pytest.raises(ValueError, match="torn"):
            next(stage)
        with pytest.raises(StopIteration):
            next(stage)


def test_leaving_early_ends_the_threads_and_closes_what_they_read() -> None:
    made: list[int] = []
    closed: list[bool] = []
    before = threading.active_count()
    with StageThreads() as threads:
        for n in threads.prefetch((n + 1 for n in threads.prefetch(count_to(10**9, made, closed), 2)), 2):
            if n == 10:
                break
    assert closed == [True]
    assert threading.active_count() == before
    assert len(made) < 30


def test_the_end_lets_what_is_on_its_way_arrive() -> None:
    made: list[int] = []
    with StageThreads() as threads:
        numbers = threads.prefetch(threads.until_end(count_to(10**9, made)), 2)
        shown = threads.prefetch(numbers, 2)
        arrived = [next(shown) for _ in range(5)]
        threads.end()
        arrived += list(shown)
    assert arrived == made == list(range(len(made)))
    assert len(made) < 20


def test_whoever_asks_gets_the_newest_item_unless_it_is_old() -> None:
    def slowly(made: list[int]) -> Iterator[int]:
        for i in count_to(10**9, made):
            time.sleep(0.02)
            yield i

    for hold in (0.0, 10.0):
        made: list[int] = []
        with StageThreads() as threads:
            numbers = threads.newest(slowly(made), hold)
            first = next(numbers)
            wait_until(lambda: not numbers.wanted.is_set())  # noqa: B023
            seen = len(made)
            assert next(numbers) >= seen - 2 > first
            assert numbers.wanted.is_set()
            assert numbers.dropped >= 1


def test_the_last_item_is_kept_as_no_newer_one_comes() -> None:
    with StageThreads() as threads:
        numbers = threads.newest(range(5), 0.0)
        time.sleep(0.1)
        assert list(numbers) == [4]
        assert numbers.dropped == 4
