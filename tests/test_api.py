"""What an app maker does with limner in Python: any image in, results that travel, frames that are tracked."""

from __future__ import annotations

import copy
import csv
import dataclasses
import inspect
import io
import json
import multiprocessing
import pickle
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

import limner
from limner import keypoints, types
from limner.api import Result
from limner.decode import bounded
from limner.draw import DrawStyle
from limner.errors import ArgumentError, InputError, LimnerError, MissingExtraError
from limner.types import Boxes, Poses
from limner.video.writer import VideoWriter


@pytest.fixture(scope="module")
def model() -> limner.Model:
    return limner.load("face-lite")


@pytest.fixture(scope="module")
def png(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photos") / "portrait.png"
    cv2.imwrite(str(path), portrait)
    return path


@pytest.fixture(scope="module")
def frames(portrait: np.ndarray) -> list[np.ndarray]:
    """A view of 320 x 240 that wanders over the portrait; the face stays inside."""
    views = []
    for i in range(16):
        x, y = 60 + round(40 * np.sin(i / 5)), 10 + round(10 * np.cos(i / 3))
        views.append(np.ascontiguousarray(cv2.resize(portrait[y : y + 300, x : x + 400], (320, 240))))
    return views


@pytest.fixture(scope="module")
def clip(frames: list[np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "walk.mp4"
    with VideoWriter(path, Fraction(25)) as sink:
        for frame in frames:
            sink.write(frame)
    return path


@pytest.fixture(scope="module")
def found(model: limner.Model, portrait: np.ndarray) -> Result:
    return model(portrait)


def people(n: int, keypoint_set: str = "coco-17") -> Result:
    """A result that no network made."""
    known = keypoints.load(keypoint_set)
    random = np.random.default_rng(n)
    points = random.uniform(10, 90, (n, len(known), 2)).astype(np.float32)
    boxes = np.tile(np.array([[5, 5, 95, 95]], np.float32), (n, 1))
    return Result(
        Boxes(boxes, np.linspace(0.9, 0.5, n, dtype=np.float32), np.zeros(n, np.int64)),
        Poses(points, np.full((n, len(known)), 0.75, np.float32)),
        known,
        (120, 100),
        image=np.zeros((100, 120, 3), np.uint8),
    )


def refused(call: Callable[[], Any], *words: str) -> str:
    """Check that a call ends in one sentence with these words."""
    with pytest.raises(LimnerError) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 500
    assert not [word for word in words if word not in text], text
    return text


# -- what an image may be --------------------------------------------------------------------------


def pil(array: np.ndarray, mode: str = "") -> Any:
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e .[test]")
    made = image.fromarray(np.ascontiguousarray(array[..., ::-1]) if array.ndim == 3 else array)
    return made.convert(mode) if mode else made


class Tensor:
    """What torch, jax and others have: something that numpy can make an array of."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.array if dtype is None else self.array.astype(dtype)


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


COLOUR_FORMS: dict[str, Callable[[np.ndarray, Path], Any]] = {
    "str": lambda image, path: str(path),
    "Path": lambda image, path: path,
    "bytes": lambda image, path: path.read_bytes(),
    "bytearray": lambda image, path: bytearray(path.read_bytes()),
    "memoryview": lambda image, path: memoryview(path.read_bytes()),
    "BytesIO": lambda image, path: io.BytesIO(path.read_bytes()),
    "open file": lambda image, path: path.open("rb"),
    "Pillow": lambda image, path: pil(image),
    "Pillow RGBA": lambda image, path: pil(image, "RGBA"),
    "array": lambda image, path: image,
    "view of RGB": lambda image, path: image[:, :, ::-1].copy()[:, :, ::-1],
    "read-only": lambda image, path: read_only(image),
    "column order": lambda image, path: np.asfortranarray(image),
    "BGRA": lambda image, path: np.dstack([image, np.full(image.shape[:2], 7, np.uint8)]),
    "uint16": lambda image, path: image.astype(np.uint16) * 257,
    "big-endian uint16": lambda image, path: (image.astype(np.uint16) * 257).astype(">u2"),
    "float32": lambda image, path: (image / 255).astype(np.float32),
    "float16": lambda image, path: (image / 255).astype(np.float16),
    "tensor": lambda image, path: Tensor(image),
}


@pytest.mark.parametrize("form", COLOUR_FORMS)
def test_an_image_may_come_in_any_form(
    model: limner.Model, portrait: np.ndarray, png: Path, found: Result, form: str
) -> None:
    given = COLOUR_FORMS[form](portrait, png)
    result = model(given)
    np.testing.assert_array_equal(result.image, portrait)
    np.testing.assert_array_equal(result.keypoints, found.keypoints)
    if hasattr(given, "close"):
        given.close()


GREY_FORMS: dict[str, Callable[[np.ndarray], Any]] = {
    "[H, W]": lambda grey: grey,
    "[H, W, 1]": lambda grey: grey[..., None],
    "float": lambda grey: grey / 255,
    "Pillow L": lambda grey: pil(grey),
    "Pillow LA": lambda grey: pil(grey, "LA"),
    "Pillow P": lambda grey: pil(grey, "P"),
    "Pillow I;16": lambda grey: pil(grey.astype(np.uint16) * 257),
    "Pillow I": lambda grey: pil(grey, "I"),
    "Pillow CMYK": lambda grey: pil(grey, "CMYK"),
}


@pytest.mark.parametrize("form", GREY_FORMS)
def test_a_grey_image_may_come_in_any_form(model: limner.Model, portrait: np.ndarray, form: str) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    np.testing.assert_array_equal(model(GREY_FORMS[form](grey)).image, cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR))


def test_black_and_white_may_be_bool(model: limner.Model) -> None:
    ink = np.zeros((30, 40), bool)
    ink[10:20] = True
    assert np.unique(model(ink).image).tolist() == [0, 255]


def test_the_same_photo_gives_the_same_result_through_pillow(model: limner.Model, png: Path, tmp_path: Path) -> None:
    """EXIF's orientation is applied to it as to a file."""
    image = pytest.importorskip("PIL.Image", reason="needs Pillow: pip install -e .[test]")
    exif = image.Exif()
    exif[0x0112] = 6
    turned = tmp_path / "turned.png"
    image.open(png).save(turned, exif=exif)
    with image.open(turned) as opened:
        assert model(opened).image.shape[:2] == model(turned).image.shape[:2] == opened.size
        np.testing.assert_array_equal(model(opened).image, model(turned).image)


def test_the_image_of_a_result_is_the_callers_and_stays_as_it_was(model: limner.Model, portrait: np.ndarray) -> None:
    mine = portrait.copy()
    result = model(mine)
    assert result.image is mine
    assert not np.array_equal(result.plot(), mine)
    np.testing.assert_array_equal(mine, portrait)


def test_a_file_just_written_is_read_from_its_start(model: limner.Model, png: Path) -> None:
    file = io.BytesIO()
    file.write(png.read_bytes())
    assert len(model(file)) == 1


WRONG_IMAGES: dict[str, tuple[Callable[[], Any], tuple[str, ...]]] = {
    "nothing": (lambda: None, ("NoneType", "cv2.imread")),
    "a number": (lambda: 0, ("watch(0)",)),
    "a dict": (lambda: {}, ("dict",)),
    "a row of numbers": (lambda: np.zeros(5), ("[5]",)),
    "no pixels": (lambda: np.zeros((0, 4, 3), np.uint8), ("[0, 4, 3]",)),
    "two channels": (lambda: np.zeros((9, 9, 2), np.uint8), ("[9, 9, 2]",)),
    "channels first": (lambda: np.zeros((3, 9, 9), np.uint8), ("transpose(1, 2, 0)",)),
    "floats of 0..255": (lambda: np.full((9, 9, 3), 200.0), ("200", "0 to 1", "uint8")),
    "NaN": (lambda: np.full((9, 9), np.nan), ("nan",)),
    "int32": (lambda: np.zeros((9, 9), np.int32), ("int32", "astype")),
    "complex": (lambda: np.zeros((9, 9), complex), ("complex128",)),
    "objects": (lambda: np.array([[None]]), ("object",)),
    "no image": (lambda: b"hello", ("'bytes'", "known format")),
    "no bytes": (lambda: b"", ("0 bytes",)),
    "text": (lambda: io.StringIO("hello"), ("open as text", "'rb'")),
    "no such file": (lambda: "nowhere.jpg", ("'nowhere.jpg'",)),
    "a camera": (lambda: "webcam", ("watch('webcam')",)),
}


@pytest.mark.parametrize("wrong", WRONG_IMAGES)
def test_what_is_no_image_is_refused_in_a_sentence(model: limner.Model, wrong: str) -> None:
    make, words = WRONG_IMAGES[wrong]
    refused(lambda: model(make()), *words)


def test_folders_and_patterns_name_the_way(model: limner.Model, png: Path) -> None:
    cv2.imwrite(str(png.with_name("other.png")), np.zeros((40, 40, 3), np.uint8))
    refused(lambda: model(png.parent), "2 files", "model.each(")
    results = list(model.each(png.parent))
    assert [Path(result.source).name for result in results] == ["other.png", "portrait.png"]
    assert [len(result) for result in results] == [0, 1]
    assert list(model.each(str(png.parent / "*.png"))) == results


# -- several images --------------------------------------------------------------------------------


def test_a_list_gives_what_each_of_its_images_gives(
    model: limner.Model, portrait: np.ndarray, png: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = [portrait, png, cv2.resize(portrait, (300, 200)), portrait[:, 100:], png.read_bytes(), portrait]
    alone = [model(image) for image in images]
    sizes = list[int]()
    many = model.pipeline.many
    monkeypatch.setattr(model.pipeline, "many", lambda frames, boxes: sizes.append(len(frames)) or many(frames, boxes))
    assert model(images) == alone
    assert sizes == [4, 2]
    assert model(tuple(images)) == model(iter(images)) == list(model.each(images, batch=1)) == alone
    assert model([]) == []
    assert model(np.stack([portrait, portrait])) == [alone[0], alone[0]]


def test_images_are_read_as_they_are_needed(model: limner.Model, portrait: np.ndarray) -> None:
    pulled = list[int]()

    def photos() -> Iterator[np.ndarray]:
        for i in range(100):
            pulled.append(i)
            yield portrait[:60, :60]

    next(model.each(photos()))
    assert len(pulled) == 4


def test_one_bad_image_in_a_list(model: limner.Model, portrait: np.ndarray) -> None:
    images = [portrait, "nowhere.jpg", portrait]
    results = model.each(images)
    assert len(next(results)) == 1
    refused(lambda: next(results), "nowhere.jpg")
    errors = list[LimnerError]()
    assert len(list(model.each(images, on_error=errors.append))) == 2
    assert "nowhere.jpg" in str(errors[0])


# -- boxes of the caller ---------------------------------------------------------------------------


def test_boxes_take_the_place_of_the_detector(
    model: limner.Model, portrait: np.ndarray, found: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.pipeline, "detector", None)
    boxes = found.boxes.xyxy
    for given in (boxes, boxes.tolist(), [tuple(boxes[0])], found.boxes, Tensor(boxes)):
        np.testing.assert_array_equal(model(portrait, boxes=given).keypoints, found.keypoints)
    scored = model(portrait, boxes=[[*boxes[0], 0.25], [10, 10, 60, 90, 0.75]])
    assert scored.boxes.scores.tolist() == [0.25, 0.75], "in the order in which they are given"
    for nobody in ([], np.zeros((0, 4)), [[]], np.zeros((0, 5), np.float32)):
        assert len(model(portrait, boxes=nobody)) == 0


def test_boxes_of_several_images(model: limner.Model, portrait: np.ndarray, found: Result) -> None:
    box = found.boxes.xyxy
    assert [len(r) for r in model([portrait] * 3, boxes=[box, [], None])] == [1, 0, 1]
    refused(lambda: model([portrait] * 2, boxes=[box]), "1 images")
    refused(lambda: model([portrait], boxes=[box, box]), "more than that")
    refused(lambda: model([portrait], boxes=5), "int")


WRONG_BOXES: dict[str, tuple[Any, tuple[str, ...]]] = {
    "one box": ([1, 2, 30, 40], ("[[1.0, 2.0, 30.0, 40.0]]",)),
    "three numbers": ([[1, 2, 3]], ("[1, 3]",)),
    "too deep": ([[[1, 2, 3, 4]]], ("[1, 1, 4]",)),
    "ragged": ([[1, 2, 3, 4], [1, 2]], ("list",)),
    "text": ("abc", ("str",)),
    "no numbers": ([["a"] * 4], ("list",)),
    "a number": (5, ("[]",)),
    "NaN": ([[0, 0, 9, 9], [float("nan"), 0, 9, 9]], ("box 1", "not finite")),
    "x, y, width, height": ([[100, 100, 50, 60]], ("box 0", "width, height")),
    "no area": ([[10, 10, 10, 60]], ("box 0",)),
    "fractions": ([[0.1, 0.2, 0.5, 0.6]], ("fractions", "512 x 512")),
}


@pytest.mark.parametrize("wrong", WRONG_BOXES)
def test_impossible_boxes_are_refused_in_a_sentence(model: limner.Model, portrait: np.ndarray, wrong: str) -> None:
    boxes, words = WRONG_BOXES[wrong]
    refused(lambda: model(portrait, boxes=boxes), *words)


def test_boxes_of_a_video(model: limner.Model, clip: Path, frames: list[np.ndarray]) -> None:
    plain = list(model.watch(clip))
    looked = list[tuple[int, ...]]()

    def detect(image: np.ndarray) -> Boxes:
        looked.append(image.shape)
        return model(image).boxes

    assert list(model.watch(clip, boxes=detect)) == plain
    assert looked == [(240, 320, 3)] * 16
    assert list(model.watch(clip, boxes=[result.boxes for result in plain])) == plain
    looked.clear()
    list(model.watch(clip, boxes=detect, det_interval=8))
    assert 2 <= len(looked) <= 8, "it rests like the detector"
    xyxy = plain[0].boxes.xyxy
    assert [len(r) for r in model.watch(clip, boxes={0: xyxy, 3: xyxy}, max_frames=5)] == [1, 0, 0, 1, 0]
    refused(lambda: list(model.watch(clip, boxes=[xyxy] * 3)), "3 items", "frame 3")
    refused(lambda: list(model.watch(clip, boxes=lambda image: [[1, 2]])), "[1, 2]")
    refused(lambda: model.watch(clip, boxes=5), "int", "function")


# -- frames, tracked -------------------------------------------------------------------------------


def near(ours: list[Result], theirs: list[Result], tolerance: float = 1e-3) -> None:
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(our.track_ids, their.track_ids)
        np.testing.assert_allclose(our.keypoints, their.keypoints, atol=tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {"det_interval": 1, "smooth": "off"},
        {"det_interval": 1, "smooth": "live"},
        {"det_interval": 5, "smooth": "live"},
        {"det_interval": 5, "smooth": "off", "look_ahead": False},
        {"det_interval": 3, "smooth": "live", "max_persons": 1},
        {"det_interval": 1, "smooth": "off", "follow": "largest"},
    ],
    ids=str,
)
def test_frames_one_by_one_give_what_the_clip_gives(model: limner.Model, clip: Path, options: dict[str, Any]) -> None:
    watched = list(model.watch(clip, **options))
    tracker = model.tracker(fps=25, **{name: value for name, value in options.items() if name != "look_ahead"})
    near([tracker(result.image) for result in watched], watched)
    tracker.reset()
    near([tracker(result.image, result.timestamp) for result in watched], watched)
    near(list(model.watch([result.image for result in watched], fps=25, **options)), watched)


def test_two_trackers_of_one_model_do_not_disturb_each_other(model: limner.Model, frames: list[np.ndarray]) -> None:
    alone = [*map(model.tracker(), frames)]
    one, other = model.tracker(), model.tracker()
    together = []
    for i, frame in enumerate(frames):
        together.append(one(frame))
        other(frame[:, ::-1] if i % 2 else frame)
    assert together == alone


def test_a_tracker_begins_anew(model: limner.Model, frames: list[np.ndarray]) -> None:
    tracker = model.tracker(det_interval=1)
    first = [tracker(frame) for frame in frames[:5]]
    assert [(r.index, r.track_ids.tolist()) for r in first if r.track_ids is not None][-1] == (4, [1])
    tracker(np.zeros_like(frames[0]))
    tracker.reset()
    assert [tracker(frame) for frame in frames[:5]] == first


def test_the_time_of_frames(model: limner.Model, frames: list[np.ndarray]) -> None:
    tracker = model.tracker(fps=10)
    assert [round(tracker(frame).timestamp, 6) for frame in frames[:3]] == [0, 0.1, 0.2]
    assert tracker(frames[3], 7.5).timestamp == 7.5
    assert tracker(frames[4]).timestamp == pytest.approx(7.6)
    before = tracker(frames[5], timestamp=np.float32(8))
    refused(lambda: tracker(frames[6], 7.9), "7.9", "8", "reset()")
    for wrong in ("8", float("nan"), True, [9]):
        refused(lambda wrong=wrong: tracker(frames[6], wrong), "seconds")  # type: ignore[misc]
    assert tracker(frames[6]).index == before.index + 1, "a refused frame leaves no trace"
    assert tracker(frames[7], tracker(frames[7]).timestamp).timestamp > 8, "two cameras may have one time"


def test_boxes_for_a_tracker(model: limner.Model, frames: list[np.ndarray]) -> None:
    tracker = model.tracker(smooth="off")
    box = model(frames[0]).boxes.xyxy
    assert len(tracker(frames[0], boxes=[])) == 0
    given = tracker(frames[0], boxes=box)
    assert given.track_ids is not None
    assert given.track_ids.tolist() == [1]
    np.testing.assert_array_equal(given.boxes.xyxy, box)
    carried = tracker(frames[1])
    assert carried.track_ids is not None
    assert carried.track_ids.tolist() == [1], "from frame to frame without the detector"


def test_a_tracker_is_for_frames(model: limner.Model, frames: list[np.ndarray], clip: Path) -> None:
    refused(lambda: model.tracker()(frames), "one frame at a time")
    refused(lambda: model.tracker()(clip), "watch(")
    refused(lambda: model.tracker(smooth="file"), "later frames")
    refused(lambda: model.tracker(fps=0), "fps is 0")
    refused(lambda: model.tracker(follow="lagest"), "largest")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("det_interval", "5"), ("det_interval", True), ("smooth", 5), ("smooth", "live!"), ("track", "no")),
        *(("max_persons", 0), ("follow", 3), ("batch", "auto"), ("look_ahead", 1), ("max_frames", 1.5)),
        *(("start", "soon"), ("end", -1), ("every", "2"), ("rotate", 45), ("fps", "fast"), ("camera_size", 640)),
        *(("camera_fps", "x"), ("reconnect_timeout", None), ("info", "print")),
    ],
)
def test_a_wrong_option_is_named(model: limner.Model, clip: Path, name: str, value: object) -> None:
    refused(lambda: model.watch(clip, **{name: value}), name.partition("_")[0])


def test_watch_takes_part_of_a_clip(model: limner.Model, clip: Path, frames: list[np.ndarray]) -> None:
    taken = list(model.watch(clip, start="0:00.2", end=0.6, every=2, rotate=90))
    assert [(r.index, r.size) for r in taken] == [(i, (240, 320)) for i in (5, 7, 9, 11, 13)]
    assert len(list(model.watch(clip, max_frames=3))) == 3
    pulled = iter(frames)
    assert len(list(model.watch(pulled, max_frames=3))) == 3
    assert len(list(pulled)) == len(frames) - 3, "an iterator is asked for no more"


def test_what_cannot_be_watched_names_the_way(model: limner.Model, png: Path, clip: Path, portrait: np.ndarray) -> None:
    refused(lambda: model.watch(png), "call the model itself")
    refused(lambda: model.watch(portrait), "model.tracker()")
    refused(lambda: model.watch(png.parent), "model.each(", "fps=25")
    refused(lambda: model.watch(clip, camera_size=(640, 480)), "no camera")
    refused(lambda: model.watch(clip, det_intervall=3), "det_interval")


def test_numbered_frames_are_a_video(model: limner.Model, frames: list[np.ndarray], tmp_path: Path) -> None:
    for i, frame in enumerate(frames[:4]):
        cv2.imwrite(str(tmp_path / f"{i:05d}.png"), frame)
    watched = list(model.watch(tmp_path / "%05d.png", fps=10))
    assert [round(r.timestamp, 6) for r in watched] == [0, 0.1, 0.2, 0.3]
    assert list(model.watch(tmp_path / "*.png", fps=10))[2].keypoints.tolist() == watched[2].keypoints.tolist()


def test_a_model_may_be_called_from_several_threads(model: limner.Model, frames: list[np.ndarray]) -> None:
    alone = [model(frame) for frame in frames[:8]]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(model, frames[:8])) == alone


# -- results ---------------------------------------------------------------------------------------


def test_a_result_says_what_it_is(found: Result) -> None:
    assert repr(found) == "Result(1 face, 300w-68, 512x512)"
    assert repr(people(2)) == "Result(2 people, coco-17, 120x100)"
    assert repr(people(3, "onehand10k-21")) == "Result(3 hands, onehand10k-21, 120x100)"
    assert repr(found[:0]) == "Result(no faces, 300w-68, 512x512)"
    assert repr(people(1, "coco-wholebody-133")).startswith("Result(1 person")
    assert keypoints.load("ap10k-17").kind == "animal"
    assert keypoints.numbered(5).kind == "instance"


def test_instances_are_selected(found: Result) -> None:
    three = people(3)
    assert len(three) == 3
    assert [len(one) for one in three] == [1, 1, 1]
    assert three[1] == three[[1]] == three[np.array([False, True, False])] == list(three)[1] == three[-2]
    assert three[three.boxes.scores > 0.6] == three[:2]
    assert three[0].image is three.image
    assert bool(found) is True
    assert not found[:0]
    refused(lambda: three[3], "3 instances")
    refused(lambda: three[[True]], "mask")
    refused(lambda: three["nose"], "point(")
    refused(lambda: three[:0][0], "without instances")


def test_a_keypoint_by_name(found: Result) -> None:
    three = people(3)
    np.testing.assert_array_equal(three.point("nose")[:, :2], three.keypoints[:, 0])
    np.testing.assert_array_equal(three.point("nose")[:, 2], three.scores[:, 0])
    np.testing.assert_array_equal(three.point(0), three.point("nose"))
    refused(lambda: three.point("noise"), "nose")
    refused(lambda: three.point(17), "17")
    assert found.names == found.keypoint_set.names
    assert people(2).boxes.xywh.tolist() == [[5, 5, 90, 90]] * 2


def echo(inbox: Any, outbox: Any) -> None:
    outbox.put(inbox.get())


def test_results_travel(found: Result) -> None:
    tracked = limner.Result(
        *(getattr(people(2), name) for name in ("boxes", "poses", "keypoint_set", "size")),
        image=people(2).image,
        track_ids=np.array([4, -1]),
        source="clip.mp4",
        index=7,
        timestamp=0.28,
    )
    own = people(1)
    for result in (found, found[:0], tracked, own):
        for twin in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
            assert twin == result
            assert type(twin) is limner.Result
    context = multiprocessing.get_context("spawn")
    inbox, outbox = context.Queue(), context.Queue()
    process = context.Process(target=echo, args=(inbox, outbox))
    process.start()
    inbox.put(tracked)
    assert outbox.get(timeout=60) == tracked
    process.join(60)


def test_results_of_own_keypoints_travel() -> None:
    known = keypoints.numbered(5, "stars-5")
    result = types.Result(
        Boxes.empty(), Poses(np.zeros((0, 5, 2), np.float32), np.zeros((0, 5), np.float32)), known, (9, 9)
    )
    assert pickle.loads(pickle.dumps(result)) == result


def test_results_are_equal_where_their_numbers_are(found: Result) -> None:
    assert found == copy.deepcopy(found)
    assert found != found[:0]
    assert found != 5
    moved = copy.deepcopy(found)
    moved.keypoints[0, 0, 0] += 1
    assert moved != found
    moved.keypoints[0, 0, 0] = np.nan
    assert moved == copy.deepcopy(moved)


def test_an_ending_says_what_is_written(found: Result, tmp_path: Path) -> None:
    for ending in (".jpg", ".jpeg", ".PNG", ".webp", ".bmp", ".tif", ".tiff"):
        path = found.save(tmp_path / "new" / f"drawn{ending}")
        assert cv2.imread(str(path)).shape == (512, 512, 3)
    assert np.array_equal(cv2.imread(str(tmp_path / "new" / "drawn.PNG")), found.plot())
    assert json.loads(found.save(tmp_path / "x.json").read_text()) == json.loads(found.to_json())
    assert json.loads(found.save(tmp_path / "x.jsonl").read_text()) == found.to_dict()
    assert found.save(str(tmp_path / "x.svg"), thickness=2).read_text().startswith("<?xml")
    rows = list(csv.DictReader(io.StringIO(found.save(tmp_path / "x.csv").read_text())))
    assert len(rows) == 68
    assert [row["keypoint"] for row in rows] == list(found.names)
    np.testing.assert_array_equal(np.array([row["x"] for row in rows], np.float32), found.keypoints[0, :, 0])
    assert sorted(p.name for p in tmp_path.iterdir()) == ["new", "x.csv", "x.json", "x.jsonl", "x.svg"]


def test_other_endings_are_refused(found: Result, tmp_path: Path) -> None:
    for name in ("x.txt", "x.gif", "x.mp4", "x", "x.", ".png"):
        refused(lambda name=name: found.save(tmp_path / name), ".csv", ".svg", ".png")  # type: ignore[misc]
    refused(lambda: found.save(tmp_path / "x.csv", radius=3), "radius")
    refused(lambda: found.save(tmp_path / "x.png", radus=3), "'radius'")
    refused(lambda: found.save(None), "NoneType")  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_numbers_that_are_not_finite_become_plain_json(found: Result) -> None:
    odd = copy.deepcopy(found)
    odd.keypoints[0, 0] = np.nan
    assert odd.to_dict()["instances"][0]["keypoints"][0] == [None, None]
    assert "NaN" not in odd.to_json()


def test_a_table_of_a_result(found: Result) -> None:
    pytest.importorskip("pandas", reason='needs pandas: pip install "pandas>=2.0"')
    table = found.to_df()
    assert len(table) == 68
    assert table.keypoint.tolist() == list(found.names)
    np.testing.assert_allclose(table[["x", "y"]].to_numpy(), found.keypoints[0])
    assert len(found[:0].to_df()) == 0


def test_a_missing_pandas_is_named(found: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pandas", None)
    with pytest.raises(MissingExtraError, match='pip install "pandas'):
        found.to_df()


def test_a_notebook_shows_a_result(found: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = cv2.imdecode(np.frombuffer(found._repr_png_(), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(picture, found.plot())
    large = copy.replace(found, image=np.zeros((40, 4000, 3), np.uint8)) if hasattr(copy, "replace") else None
    if large is not None:
        assert cv2.imdecode(np.frombuffer(large._repr_png_(), np.uint8), cv2.IMREAD_COLOR).shape == (16, 1600, 3)
    shown = list[dict[str, bytes]]()
    modules = __import__("sys").modules
    monkeypatch.setitem(modules, "IPython", SimpleNamespace(get_ipython=lambda: SimpleNamespace(kernel=1)))
    monkeypatch.setitem(modules, "IPython.display", SimpleNamespace(display=lambda data, raw: shown.append(data)))
    found.show(radius=0)
    assert shown[0]["image/png"].startswith(b"\x89PNG")


def test_without_a_display_show_names_save(found: Result, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    refused(found.show, "save()")


# -- scores ----------------------------------------------------------------------------------------


def test_scores_of_our_own_models_end_at_one(found: Result) -> None:
    assert 0.5 < found.scores.mean() < found.scores.max() < 1


def test_the_scale_of_scores_keeps_thresholds_and_order() -> None:
    raw = np.linspace(-0.5, 6, 10_001, dtype=np.float32)
    scores = bounded(raw)
    assert scores.dtype == np.float32
    assert (np.diff(scores) >= 0).all()
    assert (np.diff(scores[(raw > 0) & (raw < 4)]) > 0).all()
    np.testing.assert_array_equal(scores[(raw >= 0) & (raw <= 0.5)], raw[(raw >= 0) & (raw <= 0.5)])
    assert scores.min() == 0
    assert scores.max() < 1
    slopes = np.diff(scores) / np.diff(raw)
    assert abs(slopes[raw[1:] > 0.5][0] - 1) < 0.01, "no kink"
    assert np.isnan(bounded(np.array([np.nan], np.float32))).all()


# -- words of other libraries ----------------------------------------------------------------------


def test_arguments_of_other_libraries_name_ours(model: limner.Model, portrait: np.ndarray, found: Result) -> None:
    refused(lambda: model(portrait, conf=0.5), "'conf'", "bbox_thr")
    refused(lambda: model(portrait, boxs=[]), "'boxes'")
    refused(lambda: model(portrait, 0.5), "too many positional arguments")
    refused(lambda: model(), "'image'")
    for thing, name, advice in (
        (model, "predict", "call the model itself"),
        (model, "track", "model.watch("),
        (model, "tracke", "tracker"),
        (found, "xyn", "result.size"),
        (found, "keypoint", "keypoints"),
    ):
        with pytest.raises(AttributeError, match=advice.replace("(", r"\(")):
            getattr(thing, name)
    assert not hasattr(found, "_ipython_canary_method_should_not_exist_")
    with pytest.raises(InputError):
        model(object())
    with pytest.raises(ArgumentError):
        model.each(portrait)
    assert threading.active_count() < 50


# -- what strangers found --------------------------------------------------------------------------


def reused(count: int) -> Iterator[np.ndarray]:
    """Frames as ``capture.read(buffer)`` gives them: each in the memory of the one before."""
    buffer = np.zeros((40, 50, 3), np.uint8)
    for i in range(count):
        buffer[:] = 20 * i
        yield buffer


class Lazy:
    """A sequence that is no list, such as a data set, which fills one buffer."""

    def __init__(self) -> None:
        self.buffer = np.zeros((40, 50, 3), np.uint8)

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> np.ndarray:
        if index >= 10:
            raise IndexError
        self.buffer[:] = 20 * index
        return self.buffer

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[i] for i in range(10))


@pytest.mark.parametrize("make", [lambda: reused(10), Lazy], ids=["iterator", "sequence"])
def test_frames_of_a_buffer_that_is_filled_anew_are_copied(model: limner.Model, make: Callable[[], Any]) -> None:
    for results in (model.watch(make()), model.watch(make(), batch=4), model.each(make()), model(make())):
        assert [int(result.image[0, 0, 0]) for result in results] == list(range(0, 200, 20))
    frames = [np.zeros((40, 50, 3), np.uint8) for _ in range(3)]
    assert next(model.each(frames)).image is frames[0], "lists are not copied"
    assert next(iter(model.watch(frames))).image is frames[0]


def test_frames_of_an_iterator_do_not_wait_for_later_ones(model: limner.Model, portrait: np.ndarray) -> None:
    asked = threading.Event()

    def frames() -> Iterator[np.ndarray]:
        yield portrait
        assert asked.wait(20), "the first result comes before the second frame"
        yield portrait

    results = model.watch(frames())
    assert next(results).index == 0
    asked.set()
    assert next(results).index == 1


def test_frames_keep_their_source_and_time(model: limner.Model, png: Path, portrait: np.ndarray) -> None:
    watched = list(model.watch([png, portrait, png.read_bytes()], fps=25))
    assert [(r.source, r.index) for r in watched] == [(str(png), 0), ("array", 1), ("bytes", 2)]
    for fps in (29.97, 25, 7):
        tracker = model.tracker(fps=fps)
        blank = np.zeros((20, 20, 3), np.uint8)
        times = [tracker(blank).timestamp for _ in range(12)]
        assert times == [r.timestamp for r in model.watch([blank] * 12, fps=fps)]
        if fps == 25:
            assert times == [i / 25 for i in range(12)]
    assert tracker(blank, 100).timestamp == 100
    assert [tracker(blank).timestamp for _ in range(3)] == [100 + i / 7 for i in (1, 2, 3)]


@pytest.mark.parametrize(
    "box",
    [[-500, -500, -100, -100], [-30, -20, -5, -2], [1e9, 1e9, 2e9, 2e9], [600, 10, 700, 90], [0, 0, 1, 1]],
    ids=str,
)
def test_a_box_outside_the_image_is_estimated_like_any_other(
    model: limner.Model, portrait: np.ndarray, found: Result, box: list[float]
) -> None:
    inside = found.boxes.xyxy[0].tolist()
    result = model(portrait, boxes=[box, inside])
    np.testing.assert_allclose(result.keypoints[1], found.keypoints[0], atol=1e-3)
    assert result.boxes.xyxy[0].tolist() == box
    assert np.isfinite(model(portrait, boxes=[box]).keypoints).all()
    assert [len(r) for r in model.watch([portrait] * 2, boxes=lambda image: [box], track=False)] == [1, 1]


def test_boxes_of_own_keys_and_scores_are_checked(model: limner.Model, clip: Path, portrait: np.ndarray) -> None:
    box = [[10, 10, 90, 90]]
    for key in ("0", 1.5, -1, None, True):
        refused(lambda key=key: model.watch(clip, boxes={key: box}), said_key(key), "frame")  # type: ignore[misc]
    assert [len(r) for r in model.watch(clip, boxes={np.int64(1): box}, track=False, max_frames=2)] == [0, 1]
    for score in (85, -1, 1.01):
        refused(lambda score=score: model(portrait, boxes=[[10, 10, 90, 90, score]]), f"{score:g}", "0 to 1")  # type: ignore[misc]
    assert len(model(portrait, boxes=[[10, 10, 90, 90, 1], [10, 10, 90, 90, 0]])) == 2
    own = Boxes(np.array(box, np.float32), np.array([85], np.float32), np.zeros(1, np.int64))
    refused(lambda: model(portrait, boxes=own), "85")
    refused(lambda: model(portrait, boxes=[[-3e38, -3e38, 3e38, 3e38]]), "beyond any image")


def said_key(key: object) -> str:
    return f"the key {key!r}"


def test_boxes_are_counted_and_looped_over() -> None:
    boxes = people(3).boxes
    assert [float(box.scores[0]) for box in boxes] == pytest.approx([0.9, 0.7, 0.5])
    assert boxes[0] == boxes[[0]] == boxes[:1] == boxes[-3] == next(iter(boxes))
    assert boxes[boxes.scores > 0.6] == boxes[:2]
    assert np.asarray(boxes).tolist() == boxes.xyxy.tolist()
    refused(lambda: boxes[3], "3 instances")
    for name, advice in {"conf": "scores", "cls": "labels", "xyxyn": "result.size", "id": "track_ids"}.items():
        with pytest.raises(AttributeError, match=advice):
            getattr(boxes, name)
    assert pickle.loads(pickle.dumps(boxes)) == boxes
    refused(lambda: np.array(people(2)), "keypoints", "plot()")
    refused(lambda: np.array([people(2)] * 2), "keypoints")


def test_a_photo_is_not_saved_over_itself(
    model: limner.Model, portrait: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("photo.png", "00001.png", "00002.png"):
        cv2.imwrite(str(tmp_path / name), portrait[:60, :60])
    content = (tmp_path / "photo.png").read_bytes()
    (tmp_path / "link.png").symlink_to("photo.png")
    (tmp_path / "twin.png").hardlink_to(tmp_path / "photo.png")
    monkeypatch.chdir(tmp_path)
    for result in (model("photo.png"), model(tmp_path / "photo.png"), next(model.watch(["photo.png"]))):
        for path in ("photo.png", tmp_path / "photo.png", "./link.png", "twin.png"):
            refused(lambda result=result, path=path: result.save(path), "the input itself")  # type: ignore[misc]
        result.save("drawn.png")
        result.save("photo.json")
    for source in ("%05d.png", "0000*.png", str(tmp_path)):
        result = next(model.watch(source, fps=5))
        refused(lambda result=result: result.save("00002.png"), "the input itself")  # type: ignore[misc]
        (tmp_path / "new").mkdir(exist_ok=True)
        result.save("new/00002.png").unlink()
    assert (tmp_path / "photo.png").read_bytes() == content


def test_a_tracker_is_not_sent_to_other_processes(model: limner.Model) -> None:
    refused(lambda: pickle.dumps(model.tracker()), "process", "model.tracker()")
    refused(lambda: copy.deepcopy(model.tracker()), "process", "model.tracker()")


def test_eight_bits_in_uint16_are_refused(model: limner.Model, portrait: np.ndarray) -> None:
    refused(lambda: model(portrait.astype(np.uint16)), "65535", "astype('uint8')")
    assert model(np.full((9, 9), 256, np.uint16)).image.max() == 1
    assert model(np.zeros((9, 9), np.uint16)).image.max() == 0, "black is black"
    assert model(pil(np.full((9, 9), 200, np.uint16))).image.max() == 0, "as in a file of 16 bits"


OTHERS: list[Any] = [
    *(None, True, 1, -1, 2.5, float("nan"), float("inf"), 10**30, "", "x", "0.5", b"x", [], {}, (), [1, 2], {"a": 1}),
    *(object(), len, 1j, slice(0, 1), np.float32(1), np.int64(3), np.bool_(True), np.zeros(3), np.zeros((4, 4, 5))),
    *(np.array("x"), np.array([None]), np.array(3), range(3), Fraction(1, 3), "\ud800", "a\0b", type),
]
CALLS: dict[str, Callable[[limner.Model, Result, Path, dict[str, Any]], Any]] = {
    "load": lambda model, result, folder, given: limner.load(**given),
    "each": lambda model, result, folder, given: list(
        model.each(**{"images": [np.zeros((9, 9, 3), np.uint8)], **given})
    ),
    "watch": lambda model, result, folder, given: list(
        model.watch(**{"source": [np.zeros((9, 9, 3), np.uint8)], **given})
    ),
    "tracker": lambda model, result, folder, given: model.tracker(**given),
    "frame": lambda model, result, folder, given: model.tracker()(**{"frame": np.zeros((9, 9, 3), np.uint8), **given}),
    "plot": lambda model, result, folder, given: result.plot(**given),
    "save": lambda model, result, folder, given: result.save(**{"path": folder / "x.svg", **given}),
    "VideoWriter": lambda model, result, folder, given: limner.VideoWriter(
        **{"path": folder / "x.mp4", "fps": 25, **given}
    ),
    "write": lambda model, result, folder, given: limner.VideoWriter(folder / "y.mp4", 25).write(
        **{"image": np.zeros((16, 16, 3), np.uint8), **given}
    ),
}
NAMES = {
    **{name: list(inspect.signature(getattr(limner.Model, name)).parameters)[1:] for name in ("each", "tracker")},
    "load": list(inspect.signature(limner.load).parameters),
    "watch": [name for name in inspect.signature(limner.Model.watch).parameters if name not in ("self", "source")],
    "frame": ["frame", "timestamp", "boxes"],
    "plot": [field.name for field in dataclasses.fields(DrawStyle)],
    "save": ["path", "kpt_thr", "background", "parts"],
    "VideoWriter": list(inspect.signature(limner.VideoWriter).parameters),
    "write": ["image", "timestamp", "duration"],
}


@pytest.mark.parametrize("call", NAMES)
def test_whatever_is_given_no_other_error_comes(
    model: limner.Model, call: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each argument of each call, with values of all types: a result, or a sentence."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("limner.loading.loader._open", lambda *_: model.pipeline)  # what comes before it checks
    result, texts = people(2), list[str]()
    for name in NAMES[call]:
        for value in OTHERS:
            if callable(value) and name in ("boxes", "on_error", "info"):
                continue  # runs it
            try:
                CALLS[call](model, result, tmp_path, {name: value})
            except LimnerError as error:
                texts.append(str(error))
    assert not [text for text in texts if "\n" in text]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model, result: limner.load(device=-1), ("device is -1",)),
        (lambda model, result: limner.load(bbox_thr="0.5"), ("bbox_thr is '0.5'",)),
        (lambda model, result: limner.load(bbox_thr=True), ("bbox_thr is True",)),
        (lambda model, result: limner.load(backend=1), ("backend is 1",)),
        (lambda model, result: limner.load(precision=16), ("precision is 16",)),
        (lambda model, result: limner.load(flip="no"), ("flip is 'no'", "True or False")),
        (lambda model, result: limner.load("face-lite", "x"), ("too many positional arguments",)),
        (lambda model, result: limner.load("photo.jpg"), ("an image", "model('photo.jpg')")),
        (lambda model, result: limner.load("clip.mp4"), ("a video", "model.watch('clip.mp4')")),
        (lambda model, result: limner.load(imgsz=640), ("det_size",)),
        (lambda model, result: limner.load(conf=0.5), ("bbox_thr",)),
        (lambda model, result: limner.load(half=True), ("float16",)),
        (lambda model, result: limner.load(verbose=False), ("quiet",)),
        (lambda model, result: model.each("photos", on_error="skip"), ("on_error is 'skip'",)),
        (lambda model, result: model.watch(-1), ("from 0 on", "-1")),
        (lambda model, result: model.watch([], max_frames=True), ("max_frames is True",)),
        (lambda model, result: result.plot(dots="no"), ("dots is 'no'",)),
        (lambda model, result: result.plot(lines=None), ("lines is None",)),
        (lambda model, result: result.plot(draw_bbox="no"), ("draw_bbox is 'no'",)),
        (lambda model, result: result.plot(radius=True), ("radius is True",)),
        (lambda model, result: result.plot(alpha="0.5"), ("alpha is '0.5'",)),
        (lambda model, result: result.plot(kpt_thr=float("nan")), ("kpt_thr is nan",)),
        (lambda model, result: result.plot(background=np.zeros((9, 9, 3))), ("background is an array",)),
        (lambda model, result: result.plot(background="none"), ("'transparent'?",)),
        (lambda model, result: result.plot(0.3), ("too many positional arguments", "by name")),
        (lambda model, result: result.plot(boxes=True), ("draw_bbox=True",)),
        (lambda model, result: result.plot(opacity=0.5), ("alpha=0.5",)),
        (lambda model, result: result.plot(line_width=2), ("thickness",)),
        (lambda model, result: result.save(filename="x.png"), ("result.save('drawn.jpg')",)),
        (lambda model, result: result.show("long"), ("seconds is 'long'",)),
        (lambda model, result: result.to_df(normalize=True), ("to_df has no argument 'normalize'",)),
        (lambda model, result: model.tracker()(result.image, float("nan")), ("timestamp is nan",)),
        (lambda model, result: limner.VideoWriter("x.mp4", "25"), ("fps", "is '25'")),
        (lambda model, result: limner.VideoWriter("x.mp4", size="640x480"), ("640x480",)),
        (lambda model, result: limner.VideoWriter("x.mp4", 25).write(None), ("None", "result.plot()")),
        (lambda model, result: limner.VideoWriter("x.mp4", 25).write(result), ("Result(", "result.plot()")),
        (
            lambda model, result: limner.VideoWriter("x.mp4", 25).write(result.image, float("nan")),
            ("timestamp is nan",),
        ),
    ],
)
def test_a_wrong_value_is_named(model: limner.Model, call: Callable[..., Any], words: tuple[str, ...]) -> None:
    text = refused(lambda: call(model, people(2)), *words)
    assert "seagreen" not in text


def test_numbers_of_numpy_are_numbers(model: limner.Model, clip: Path) -> None:
    plain = list(model.watch(clip, det_interval=2, every=2, max_frames=3))
    numpy = {name: np.int64(value) for name, value in {"det_interval": 2, "every": 2, "max_frames": 3}.items()}
    assert list(model.watch(clip, **numpy)) == plain
    blank = np.zeros((20, 20, 3), np.uint8)
    assert [r.timestamp for r in model.watch([blank] * 3, fps=np.float32(25))] == [0, 0.04, 0.08]
    with pytest.raises(InputError, match="camera"):
        list(model.watch(np.int64(97)))


def test_alpha_means_the_same_everywhere(found: Result) -> None:
    np.testing.assert_array_equal(found.plot(alpha=0), found.image)
    half = found.plot(alpha=0.5, radius=3, thickness=0).astype(int)
    solid = found.plot(alpha=1, radius=3, thickness=0).astype(int)
    np.testing.assert_allclose(half, (solid + found.image) / 2, atol=1)
