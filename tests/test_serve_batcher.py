"""The batcher of `limner serve`: fair turns, one call for several clients, and 429 instead of a long queue."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import limner
from limner.pipeline import Pipeline
from limner.serve.batcher import Batcher, BusyError, SharedPipeline, Work, result_of
from limner.serve.turns import Client, Turns
from limner.types import Boxes, Frame, Poses
from serving import clip, jpeg, serve

BLACK = np.zeros((8, 8, 3), np.uint8)


class Networks:
    """Stands for a pipeline: notes its calls, takes a time for each frame, and fails for some."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.calls: list[int] = []
        self.seconds = seconds
        self.held = threading.Event()
        self.held.set()
        self.pose = SimpleNamespace(many=self._poses)

    def detect(self, frames: Sequence[Frame], *, still: bool = False) -> list[Boxes]:
        self.held.wait(10)
        self.calls.append(len(frames))
        time.sleep(self.seconds * len(frames))
        if any(frame.source == "bad" for frame in frames):
            raise ValueError("bad")
        return [Boxes.empty() for _ in frames]

    def _poses(self, images: Sequence[np.ndarray], boxes: Any, *, heatmaps: str = "") -> list[Poses]:
        return [Poses(np.zeros((0, 1, 2), np.float32), np.zeros((0, 1), np.float32)) for _ in images]


def work(networks: Networks, client: Client, source: str = "") -> Work:
    return Work(client, networks, [Frame(BLACK, source=source)], still=True)  # type: ignore[arg-type]


@pytest.fixture
def batcher() -> Iterator[Batcher]:
    made = Batcher(batch=4, wait=0.0, most_waiting=40)
    yield made
    made.close()


def order_of(turns: Turns[Any]) -> list[Any]:
    return [turns.take() for _ in range(len(turns))]


def test_clients_take_turns_however_many_requests_they_have() -> None:
    turns: Turns[str] = Turns()
    for number in range(6):
        turns.put(Client("1.1.1.1", 1), f"greedy {number}")
    turns.put(Client("2.2.2.2", 1), "modest 0")
    turns.put(Client("2.2.2.2", 1), "modest 1")
    assert set(order_of(turns)[:4]) == {"greedy 0", "greedy 1", "modest 0", "modest 1"}


def test_an_address_gets_no_more_by_opening_connections() -> None:
    turns: Turns[str] = Turns()
    taken: Counter[str] = Counter()
    for _ in range(3):
        for connection in range(10):
            turns.put(Client("1.1.1.1", connection), "many")
    for _ in range(30):
        turns.put(Client("2.2.2.2", 1), "one")
    for _ in range(20):
        taken[turns.take()] += 1
    assert taken["one"] >= 9


def test_what_takes_longer_costs_more() -> None:
    turns: Turns[str] = Turns()
    for _ in range(10):
        turns.put(Client("a", 1), "four frames", 4)
        turns.put(Client("b", 1), "one frame", 1)
    first = Counter(turns.take() for _ in range(10))
    assert first["one frame"] == 8


def test_what_is_removed_is_forgotten() -> None:
    turns: Turns[str] = Turns()
    for item in ("first", "second", "third"):
        turns.put(Client("a", 1), item)
    assert turns.remove("second")
    assert not turns.remove("second")
    assert order_of(turns) == ["first", "third"]
    assert turns.waiting_of("a") == 0


def test_images_of_several_clients_share_a_call(batcher: Batcher) -> None:
    networks = Networks()
    networks.held.clear()
    works = [work(networks, Client("a", number)) for number in range(9)]
    futures = [batcher.submit(one) for one in works]
    networks.held.set()
    for future in futures:
        assert len(future.result(5).boxes) == 1
    assert sum(networks.calls) == 9
    assert networks.calls.count(4) >= 1
    assert max(networks.calls) == 4


def test_an_image_waits_only_for_those_on_their_way() -> None:
    batcher = Batcher(batch=4, wait=5.0)
    networks = Networks()
    began = time.monotonic()
    batcher.submit(work(networks, Client("a", 1))).result(5)
    assert time.monotonic() - began < 1  # nobody else is coming
    with batcher.admitted(Client("b", 1)) as arrived:
        first = batcher.submit(work(networks, Client("a", 1)))
        time.sleep(0.05)
        assert not first.done()
        second = batcher.submit(work(networks, Client("b", 1)))
        arrived()
        assert first.result(5) is not None
        assert second.result(5) is not None
    assert networks.calls == [1, 2]
    batcher.close()


def test_one_that_fails_does_not_take_others_with_it(batcher: Batcher) -> None:
    networks = Networks()
    networks.held.clear()
    sources = ("good", "good", "bad", "good")
    futures = [batcher.submit(work(networks, Client("a", n), source)) for n, source in enumerate(sources)]
    networks.held.set()
    for source, future in zip(sources, futures, strict=True):
        if source == "bad":
            with pytest.raises(ValueError, match="bad"):
                future.result(5)
        else:
            assert future.result(5).boxes


def test_more_than_can_wait_is_refused(batcher: Batcher) -> None:
    networks = Networks()
    networks.held.clear()
    admitted, refused = 0, 0
    waits = 0
    try:
        for number in range(100):
            with batcher.admitted(Client("greedy", number)) as arrived:
                batcher.submit(work(networks, Client("greedy", number)))
                arrived()
                admitted += 1
    except BusyError as error:
        waits = error.retry_after
    assert 15 <= admitted <= 25  # half of the room
    assert waits >= 1
    for number in range(10):  # which leaves room for others
        try:
            with batcher.admitted(Client(f"modest {number}", 1)):
                pass
        except BusyError:
            refused += 1
    assert not refused
    networks.held.set()


def test_what_would_wait_too_long_is_refused() -> None:
    batcher = Batcher(batch=1, wait=0.0, longest_wait=0.2)
    networks = Networks(0.1)
    batcher.submit(work(networks, Client("a", 1))).result(5)  # from which it knows how long one takes
    for number in range(12):
        batcher.submit(work(networks, Client("a", number)))
    with pytest.raises(BusyError), batcher.admitted(Client("b", 1)):
        pass
    batcher.close()


def test_the_result_is_that_of_the_model(batcher: Batcher, portrait: np.ndarray) -> None:
    model = limner.load("face-lite")
    one = Work(Client("a", 1), model.pipeline, [Frame(portrait)], still=True)
    assert result_of(one, batcher.submit(one).result(20)) == model.pipeline.one(Frame(portrait))
    with ThreadPoolExecutor(3) as pool:
        shared = [limner.api.Model(SharedPipeline(model.pipeline, batcher, Client("b", number))) for number in range(3)]
        trackers = [one.tracker() for one in shared]
        alone = model.tracker()
        for shift in range(0, 24, 8):
            frame = np.roll(portrait, shift, axis=1)
            wanted = alone(frame)
            for result in pool.map(lambda tracker, image=frame: tracker(image), trackers):
                assert np.allclose(result.keypoints, wanted.keypoints, atol=1e-3)
                assert np.array_equal(result.track_ids, wanted.track_ids)


def test_a_shared_pipeline_is_a_pipeline(batcher: Batcher) -> None:
    model = limner.load("face-lite")
    shared = SharedPipeline(model.pipeline, batcher, Client("a", 1))
    assert isinstance(shared, Pipeline)
    assert shared.keypoint_set is model.keypoint_set
    assert shared.detect([]) == []
    nobody = shared.many([Frame(BLACK)], [Boxes.empty()])[0]
    assert len(nobody) == 0


# -- over the network ------------------------------------------------------------------------------


def test_clients_are_served_alike_and_refused_with_429(portrait: np.ndarray) -> None:
    data = jpeg(portrait)
    with serve("--max-wait", "0.25") as server:
        done: Counter[int] = Counter()
        statuses: Counter[int] = Counter()
        until = time.monotonic() + 1.5

        def ask(number: int) -> None:
            while time.monotonic() < until:
                answer = server.post("/v1/predict", data)
                statuses[answer.status] += 1
                if answer.status == 200:
                    done[number] += 1
                else:
                    assert int(answer.headers["Retry-After"]) >= 1
                    time.sleep(0.05)

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert set(statuses) <= {200, 429}
        assert statuses[200] > 10
        assert server.post("/v1/predict", data).status == 200
        assert "limner_batch_images_bucket" in server.get("/metrics").body.decode()


def test_a_video_leaves_turns_to_images(portrait: np.ndarray, tmp_path: Any) -> None:
    video, photo = clip(tmp_path / "a.mp4", portrait, frames=60).read_bytes(), jpeg(portrait)
    with serve("--max-videos", "1") as server:
        answers: list[int] = []
        thread = threading.Thread(target=lambda: answers.append(server.post("/v1/predict/video", video).status))
        thread.start()
        while b"limner_videos 1.0" not in server.get("/metrics").body:
            time.sleep(0.02)
        second = server.post("/v1/predict/video", video[:2000])
        assert second.status == 429
        assert int(second.headers["Retry-After"]) >= 1
        began = time.monotonic()
        count = sum(server.post("/v1/predict", photo).status == 200 for _ in range(5))
        assert count == 5
        assert time.monotonic() - began < 5
        thread.join()
        assert answers == [200]
