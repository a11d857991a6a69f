"""What a run leaves behind: images and JSON files, whole, under names of their own, or one clear error."""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from beside import NEEDED, SHARED
from limner import keypoints as keypoint_sets
from limner import writers
from limner.errors import ArgumentError, OutputError
from limner.files import plain_json
from limner.types import Boxes, Poses, Result
from limner.writers import ImageWriter, JsonWriter, UniqueStems

SAMPLES = SHARED / "parity" / "e2e" / "inferencer"


def scene(height: int = 40, width: int = 60) -> np.ndarray:
    coarse = np.random.default_rng(7).integers(0, 256, (5, 7, 3), np.uint8)
    return cv2.resize(coarse, (width, height))


def result_of(keypoints: np.ndarray, scores: np.ndarray, boxes: np.ndarray, box_scores: np.ndarray) -> Result:
    n = len(boxes)
    k = keypoints.shape[1]
    return Result(
        Boxes(boxes.astype(np.float32), box_scores.astype(np.float32), np.zeros(n, np.int64)),
        Poses(keypoints.astype(np.float32).reshape(n, k, 2), scores.astype(np.float32).reshape(n, k)),
        keypoint_sets.numbered(k, "any"),
        (640, 480),
    )


def some_result(n: int, k: int = 5) -> Result:
    rng = np.random.default_rng(3)
    return result_of(
        rng.normal(300, 200, (n, k, 2)), rng.random((n, k)), rng.uniform(0, 640, (n, 4)), np.linspace(0.9, 0.1, n)
    )


def leftovers(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


# -- names -----------------------------------------------------------------------------------------


def test_equal_stems_are_counted_and_the_caller_is_told() -> None:
    stems = UniqueStems()
    assert [stems.name("face") for _ in range(3)] == [("face", False), ("face_1", True), ("face_2", True)]
    assert stems.name("hand") == ("hand", False)


def test_a_real_stem_that_came_earlier_is_not_taken() -> None:
    stems = UniqueStems()
    assert [stems.name(stem)[0] for stem in ("a_1", "a", "a", "a")] == ["a_1", "a", "a_2", "a_3"]


def test_a_real_stem_that_comes_later_stays_unique() -> None:
    stems = UniqueStems()
    given = [stems.name(stem)[0] for stem in ("a", "a", "a_1", "a_1", "a")]
    assert given == ["a", "a_1", "a_1_1", "a_1_2", "a_2"]


def test_a_real_stem_that_is_known_to_come_keeps_its_name() -> None:
    given = ["a", "a", "a_1", "A_2"]
    stems = UniqueStems(given)
    assert [stems.name(stem) for stem in given] == [("a", False), ("a_3", True), ("a_1", False), ("A_2", False)]


def test_case_and_composition_do_not_make_a_difference() -> None:
    stems = UniqueStems()
    assert [stems.name(stem)[0] for stem in ("A", "a", "É", "e\u0301", "STRASSE", "straße")] == [
        "A", "a_1", "É", "e\u0301_1", "STRASSE", "straße_1",
    ]  # fmt: skip


def test_thousands_of_equal_stems_stay_unique() -> None:
    stems = UniqueStems()
    given = {stems.name("frame")[0] for _ in range(20000)}
    assert len(given) == 20000


# -- images --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "written"),
    [
        (".jpg", ".jpg"),
        (".JPEG", ".JPEG"),
        (".png", ".png"),
        (".bmp", ".bmp"),
        (".tiff", ".tiff"),
        (".webp", ".webp"),
        (".gif", ".png"),
        (".pgm", ".png"),
        (".heic", ".jpg"),
        (".jfif", ".jpg"),
        (".mp4", ".jpg"),
        ("", ".jpg"),
    ],
)
def test_an_image_keeps_its_ending_where_that_can_be_written(tmp_path: Path, suffix: str, written: str) -> None:
    with ImageWriter(tmp_path) as sink:
        path = sink.write("人 脸", scene(), suffix)
    assert path == sink.path("人 脸", suffix) == tmp_path / f"人 脸{written}"
    back = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(back.astype(int) - scene()).mean() < (6 if written.lower() in (".jpg", ".jpeg", ".webp") else 1e-9)
    assert leftovers(tmp_path) == []


def test_jpeg_is_written_with_quality_95(tmp_path: Path) -> None:
    path = ImageWriter(tmp_path).write("a", scene())
    assert path.read_bytes() == cv2.imencode(".jpg", scene(), [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()


def test_a_new_file_has_the_usual_permissions(tmp_path: Path) -> None:
    usual = tmp_path / "usual"
    usual.touch()
    assert ImageWriter(tmp_path).write("a", scene()).stat().st_mode == usual.stat().st_mode


def test_what_an_earlier_run_left_is_replaced(tmp_path: Path) -> None:
    for image in (scene(), 255 - scene()):
        with ImageWriter(tmp_path / "out") as sink:
            path = sink.write("a", image, ".png")
    np.testing.assert_array_equal(cv2.imread(str(path)), 255 - scene())
    assert os.listdir(tmp_path / "out") == ["a.png"]


def test_the_folder_is_made_with_its_parents_before_any_work(tmp_path: Path) -> None:
    ImageWriter(str(tmp_path / "a" / "b c" / "d"))
    JsonWriter(tmp_path / "a" / "json")
    assert os.listdir(tmp_path / "a" / "b c" / "d") == []
    assert os.listdir(tmp_path / "a" / "json") == []


def test_home_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert JsonWriter("~/out").folder == tmp_path / "out"


@pytest.mark.parametrize("sink", [ImageWriter, JsonWriter])
@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_a_file_in_the_way_is_named_before_any_work(tmp_path: Path, sink: type, below: str) -> None:
    blocker = tmp_path / "results"
    blocker.write_text("a file")
    with pytest.raises(OutputError) as caught:
        sink(blocker / below)
    message = str(caught.value)
    assert f"the folder '{blocker / below}' cannot be written" in message
    assert f"the file '{blocker}' is in the way; remove it or choose another folder" in message
    assert blocker.read_text() == "a file"


def test_a_link_to_nowhere_in_the_way_is_named(tmp_path: Path) -> None:
    try:
        (tmp_path / "out").symlink_to(tmp_path / "gone")
    except OSError as error:
        pytest.skip(f"no links here: {error}")
    with pytest.raises(OutputError, match=r"out' is in the way"):
        JsonWriter(tmp_path / "out")


def test_a_folder_that_may_not_be_written(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o500)
    try:
        if os.access(folder, os.W_OK):
            pytest.skip("permissions do not bind root: run it as another user")
        for place in (folder, folder / "deeper"):
            with pytest.raises(OutputError, match=f"'{place}' cannot be written: permission denied"):
                ImageWriter(place)
    finally:
        folder.chmod(0o700)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EACCES, "permission denied; change"),
        (errno.EROFS, "permission denied; change"),
        (errno.ENOSPC, "no space is left; free some"),
        (errno.EIO, "input/output error; choose another folder"),
    ],
)
def test_the_system_s_refusal_becomes_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
) -> None:
    """A full disk and a read-only one, simulated at the last step, when the file is moved to its place."""
    (tmp_path / "a.png").write_bytes(b"earlier")
    sink = ImageWriter(tmp_path)

    def refuse(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(writers.os, "replace", refuse)
    with pytest.raises(OutputError) as caught:
        sink.write("a", scene(), ".png")
    assert str(caught.value).startswith(f"'{tmp_path / 'a.png'}' cannot be written: {said}")
    assert os.listdir(tmp_path) == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == b"earlier"


def test_a_file_that_cannot_be_written_whole_is_not_written(tmp_path: Path) -> None:
    """The system stops the file half way: the earlier one stays, and no half file is left beside it."""
    resource = pytest.importorskip("resource", reason="this system cannot limit the size of files")
    (tmp_path / "a.bmp").write_bytes(b"earlier")
    sink = ImageWriter(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OutputError, match="no space is left"):
            sink.write("a", scene(), ".bmp")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == ["a.bmp"]
    assert (tmp_path / "a.bmp").read_bytes() == b"earlier"


def test_an_interrupted_run_leaves_no_half_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = JsonWriter(tmp_path)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(writers.os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        sink.write("a", some_result(1))
    assert os.listdir(tmp_path) == []


def test_a_folder_that_vanishes_or_a_name_in_the_way(tmp_path: Path) -> None:
    sink = ImageWriter(tmp_path / "out")
    (tmp_path / "out" / "a.jpg").mkdir()
    with pytest.raises(OutputError, match="a folder of that name is in the way"):
        sink.write("a", scene())
    with pytest.raises(OutputError, match="its name is too long"):
        sink.write("n" * 300, scene())
    assert leftovers(tmp_path / "out") == []
    (tmp_path / "out" / "a.jpg").rmdir()
    (tmp_path / "out").rmdir()
    with pytest.raises(OutputError, match=r"a\.jpg' cannot be written: no such file or directory"):
        sink.write("a", scene())


def test_the_longest_name_that_the_system_allows(tmp_path: Path) -> None:
    assert ImageWriter(tmp_path).write("n" * 251, scene()).exists()


def test_an_image_that_does_not_fit_its_format(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sink = ImageWriter(tmp_path)
    for suffix, side in ((".jpg", 65501), (".webp", 16384)):
        with pytest.raises(OutputError, match=f"{side} x 1 pixels do not fit {suffix}; use .png"):
            sink.write("wide", np.zeros((1, side, 3), np.uint8), suffix)
        assert sink.write("fits", np.zeros((1, side - 1, 3), np.uint8), suffix).exists()
    assert sink.write("wide", np.zeros((1, 65501, 3), np.uint8), ".png").exists()
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    "image",
    [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)],
)
def test_what_is_no_image_is_not_written(tmp_path: Path, image: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="where uint8"):
        ImageWriter(tmp_path).write("a", image)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("stem", ["", "../a", "a/b", "/etc/a", "a\0"])
def test_a_stem_cannot_leave_its_folder(tmp_path: Path, stem: str) -> None:
    with pytest.raises(ArgumentError, match="not the stem"):
        ImageWriter(tmp_path).write(stem, scene())
    with pytest.raises(ArgumentError, match="not the stem"):
        JsonWriter(tmp_path).write(stem, some_result(0))


def test_a_name_that_is_free_is_found(tmp_path: Path) -> None:
    with ImageWriter(tmp_path) as sink:
        for _ in range(3):
            sink.write(sink.free_stem("snap", ".png"), scene(), ".png")
    assert sorted(os.listdir(tmp_path)) == ["snap.png", "snap_1.png", "snap_2.png"]


# -- JSON ------------------------------------------------------------------------------------------


def test_instances_are_written_in_their_order_and_exact(tmp_path: Path) -> None:
    result = some_result(3)
    with JsonWriter(tmp_path) as sink:
        path = sink.write("a b.é", result)
    assert path == sink.path("a b.é") == tmp_path / "a b.é.json"
    assert path.read_text().startswith('[\n  {\n    "keypoints": [\n      [\n        ')
    back = json.loads(path.read_bytes())
    assert [list(instance) for instance in back] == [["keypoints", "keypoint_scores", "bbox", "bbox_score"]] * 3
    np.testing.assert_array_equal(np.float32([i["keypoints"] for i in back]), result.poses.keypoints)
    np.testing.assert_array_equal(np.float32([i["keypoint_scores"] for i in back]), result.poses.scores)
    np.testing.assert_array_equal(np.float32([i["bbox"][0] for i in back]), result.boxes.xyxy)
    np.testing.assert_array_equal(np.float32([i["bbox_score"] for i in back]), result.boxes.scores)
    assert leftovers(tmp_path) == []


def test_nobody_found_is_an_empty_list(tmp_path: Path) -> None:
    assert JsonWriter(tmp_path).write("a", some_result(0)).read_text() == "[]"


def test_json_of_an_earlier_run_is_replaced(tmp_path: Path) -> None:
    JsonWriter(tmp_path).write("a", some_result(3))
    assert JsonWriter(tmp_path).write("a", some_result(0)).read_text() == "[]"


def test_what_is_no_number_becomes_null(tmp_path: Path) -> None:
    odd = np.array([[[np.nan, 1], [np.inf, 2]]])
    path = JsonWriter(tmp_path).write("a", result_of(odd, np.array([[-np.inf, 0.5]]), np.ones((1, 4)), np.array([0.5])))
    (instance,) = json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert instance["keypoints"] == [[None, 1.0], [None, 2.0]]
    assert instance["keypoint_scores"] == [None, 0.5]


def test_numbers_are_as_short_as_float32_allows(tmp_path: Path) -> None:
    scores = np.float32([[0.1, 1 / 3, 51.75606918334961, 0.0, 16777216, 1e-10]])
    path = JsonWriter(tmp_path).write("a", result_of(np.zeros((1, 6, 2)), scores, np.ones((1, 4)), np.array([0.7])))
    numbers = re.findall(r"[\d.e+-]+", path.read_text().split("keypoint_scores")[1].split("]")[0])
    assert numbers == ["0.1", "0.33333334", "51.75607", "0.0", "16777216.0", "1e-10"]


def test_any_float32_survives_and_longer_numbers_stay_whole() -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 20000, np.uint32)
    values = bits.view(np.float32)
    values = values[np.isfinite(values)].tolist()
    short = plain_json(values)
    assert isinstance(short, list)
    np.testing.assert_array_equal(np.float32(short), np.float32(values))
    assert plain_json([0.1, 1e300, 7, None, "x"]) == [0.1, 1e300, 7, None, "x"]


@pytest.mark.skipif(not SAMPLES.is_dir(), reason=NEEDED)
def test_the_file_looks_like_mmpose_s(tmp_path: Path) -> None:
    """Its own numbers through our sink: the same text, but for the digits beyond float32."""
    samples = sorted(SAMPLES.glob("*.json"))
    assert samples
    for sample in samples:
        theirs = json.loads(sample.read_text())
        columns = ([i[key] for i in theirs] for key in ("keypoints", "keypoint_scores", "bbox", "bbox_score"))
        points, scores, boxes, box_scores = (np.float32(column) for column in columns)
        path = JsonWriter(tmp_path).write(sample.stem, result_of(points, scores, boxes.reshape(-1, 4), box_scores))
        number = re.compile(r"-?\d[\d.e+-]*")
        assert number.sub("0", path.read_text()) == number.sub("0", sample.read_text())
        ours = [np.float32(n) for n in number.findall(path.read_text())]
        assert ours == [np.float32(n) for n in number.findall(sample.read_text())]
