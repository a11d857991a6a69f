"""Every flag of MMPose's commands does what its help says, alone and in company, or says in one sentence why not."""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner import config, loading, pipeline
from limner.display.window import Window
from limner.errors import LimnerError
from limner.mmpose import demo_arguments, demos

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

DETECTOR, POSE = "limner/rtmdet_face-lite_288.py", "limner/rtmpose_face-lite_300w-160x160.py"
IMAGES = (".png", ".jpg")
ROUNDS = 300 if os.environ.get("LIMNER_LONG") else 50  # random commands for each demo


@dataclass(frozen=True)
class Models:
    """Small configs and drawn weights: a detector of two classes, one of one, 68 points of a face, 17 of a body."""

    hats: tuple[str, str]
    faces: tuple[str, str]
    face: tuple[str, str]
    body: tuple[str, str]


def drawn(name: str, path: Path, portrait: np.ndarray) -> tuple[str, str]:
    """Write weights at random, under which layers keep their scale on a portrait; return config and checkpoint."""
    from limner import build

    torch.manual_seed(3)
    network = build.network(config.load(name)["model"])
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    side = 160 if "pose" in name else 288
    style = torch.from_numpy(cv2.resize(portrait, (side, side)).transpose(2, 0, 1)[None].astype(np.float32) - 115) / 58
    with torch.no_grad():
        network.train()(torch.cat([style, style.flip(3)]))
    state = network.state_dict()
    for key, values in state.items():
        if key.startswith("head.cls_"):  # scores of points lie about 0.4
            state[key] = values / 40
        elif "rtm_cls" in key:  # few boxes are sure
            state[key] = torch.full_like(values, -3) if key.endswith("bias") else values * 0.3
        elif "rtm_reg" in key:  # boxes are some strides large
            state[key] = torch.full_like(values, 3) if key.endswith("bias") else values * 0.3
    torch.save({"state_dict": state}, path)
    return name, str(path)


@pytest.fixture(scope="module")
def models(portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Models:
    folder = tmp_path_factory.mktemp("models")
    shipped = Path(config.__file__).parents[1] / "configs"
    hats, body = folder / "rtmdet_hats.py", folder / "rtmpose_body.py"
    text = (shipped / DETECTOR).read_text()
    hats.write_text(text.replace("num_classes=1", "num_classes=2").replace("('face', )", "('face', 'hat')"))
    text = (shipped / POSE).read_text().replace("out_channels=68", "out_channels=17")
    body.write_text(text.replace("Face300WDataset", "CocoDataset").replace("300w.py", "coco.py"))
    names = (str(hats), DETECTOR, POSE, str(body))
    return Models(*(drawn(name, folder / f"{Path(name).stem}.pth", portrait) for name in names))


@pytest.fixture
def photo(tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An image in the folder that the user works in, on a machine without a display."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("photo.png", portrait)
    return Path("photo.png")


@dataclass
class Demos:
    """Runs a demo on the image, and returns what it draws and finds."""

    models: Models

    def topdown(self, *flags: str, det: tuple[str, str] | None = None, pose: tuple[str, str] | None = None) -> Any:
        named = [*(det or self.models.faces), *(pose or self.models.face)]
        rest = ["--input", "photo.png", "--output-root", "o", "--save-predictions", *flags]
        assert demos.topdown([*named, *rest]) == 0
        found = json.loads(Path("o/results_photo.json").read_text())["instance_info"]
        return cv2.imread("o/photo.png"), found

    def inferencer(self, *flags: str, det: tuple[str, str] | None = None, pose: tuple[str, str] | None = None) -> Any:
        (config, weights), (det_config, det_weights) = pose or self.models.face, det or self.models.faces
        named = ["--pose2d", config, "--pose2d-weights", weights]
        named += ["--det-model", det_config, "--det-weights", det_weights]
        assert demos.inferencer(["photo.png", *named, "--vis-out-dir", "v", "--pred-out-dir", "v", *flags]) == 0
        return cv2.imread("v/photo.png"), json.loads(Path("v/photo.json").read_text())

    def image(self, *flags: str, pose: tuple[str, str] | None = None) -> Any:
        assert demos.image(["photo.png", *(pose or self.models.face), "--out-file", "i/photo.png", *flags]) == 0
        return cv2.imread("i/photo.png"), None


@pytest.fixture(scope="module")
def openers() -> dict[str, Callable[..., Any]]:
    """What opens models, remembering: models that are asked for again are not built again."""
    return {name: remembering(getattr(loading, name)) for name in ("open_detector", "open_pose_estimator")}


def remembering(function: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[str, Any] = {}

    def call(*arguments: Any, **named: Any) -> Any:
        key = repr((arguments, sorted(named.items())))
        if key not in known:
            known[key] = function(*arguments, **named)
        return known[key]

    return call


@pytest.fixture
def opened_once(openers: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of a command's time goes into building its models."""
    for name, opener in openers.items():
        monkeypatch.setattr(loading, name, opener)


@pytest.fixture
def run(models: Models, photo: Path, opened_once: None) -> Demos:
    return Demos(models)


def changed(image: np.ndarray, portrait: np.ndarray) -> int:
    """Return how many pixels are drawn on."""
    assert image.shape == portrait.shape
    return int((image != portrait).any(axis=2).sum())


ALL = pytest.mark.parametrize("demo", ["topdown", "inferencer", "image"])
BOTH = pytest.mark.parametrize("demo", ["topdown", "inferencer"])


# -- what is drawn


@ALL
def test_radius_is_that_of_the_dots(demo: str, run: Demos, portrait: np.ndarray) -> None:
    def dots(radius: str) -> int:
        return changed(getattr(run, demo)("--radius", radius, "--thickness", "0", "--kpt-thr", "0")[0], portrait)

    none, small, large = dots("0"), dots("1"), dots("4")
    assert none < small < large
    assert getattr(run, demo)("--radius", "3")[0].tolist() == getattr(run, demo)()[0].tolist(), "3 is the default"


@ALL
def test_thickness_is_that_of_the_lines(demo: str, run: Demos, portrait: np.ndarray) -> None:
    def lines(thickness: str) -> int:
        return changed(getattr(run, demo)("--thickness", thickness, "--radius", "0", "--kpt-thr", "0")[0], portrait)

    none, thin, thick = lines("0"), lines("1"), lines("5")
    assert none < thin < thick
    assert getattr(run, demo)("--thickness", "1")[0].tolist() == getattr(run, demo)()[0].tolist(), "1 is the default"


@pytest.mark.parametrize("demo", ["topdown", "image"])
def test_alpha_is_the_opacity_of_the_lines(demo: str, run: Demos, portrait: np.ndarray) -> None:
    def lines(*flags: str) -> np.ndarray:
        return getattr(run, demo)("--thickness", "4", "--radius", "0", "--kpt-thr", "0", *flags)[0].astype(int)

    apart = [np.abs(lines("--alpha", alpha) - portrait).sum() for alpha in ("0", "0.3", "1")]
    assert apart[0] < apart[1] < apart[2]
    assert (lines("--alpha", "0") == lines("--thickness", "0")).all(), "lines without opacity are seen"
    assert (lines() == lines("--alpha", "0.8")).all(), "0.8 is the default"


@BOTH
def test_no_keypoint_is_drawn_that_scores_less_than_the_threshold(demo: str, run: Demos, portrait: np.ndarray) -> None:
    some, found = getattr(run, demo)("--kpt-thr", "0.45")
    best = max(max(instance["keypoint_scores"]) for instance in found)
    all_of_them, same = getattr(run, demo)("--kpt-thr", "-1")
    assert same == found, "the threshold changes what is found"
    assert 0 < changed(some, portrait) < changed(all_of_them, portrait)
    for threshold in (str(best + 0.01), "1.1", "1e9"):
        assert changed(getattr(run, demo)("--kpt-thr", threshold)[0], portrait) == 0


@BOTH
def test_draw_bbox_draws_each_box(demo: str, run: Demos, portrait: np.ndarray) -> None:
    bare, found = getattr(run, demo)("--kpt-thr", "99")
    assert changed(bare, portrait) == 0
    boxed, _ = getattr(run, demo)("--kpt-thr", "99", "--draw-bbox")
    assert found
    height, width = portrait.shape[:2]
    for instance in found:
        x1, y1, x2, y2 = (round(v) for v in instance["bbox"][0])
        for x, y in (((x1 + x2) // 2, y2), (x1, (y1 + y2) // 2), (x2, (y1 + y2) // 2)):
            around = np.s_[max(y - 2, 0) : y + 3, max(x - 2, 0) : x + 3]
            if 2 < x < width - 3 and 2 < y < height - 3:
                assert (boxed[around] != portrait[around]).any(), f"no line of {instance['bbox']} at {x}, {y}"


@pytest.mark.parametrize("demo", ["topdown", "image"])  # as in MMPose
def test_show_kpt_idx_writes_numbers(demo: str, run: Demos) -> None:
    plain, _ = getattr(run, demo)("--kpt-thr", "0.4")
    numbered, _ = getattr(run, demo)("--kpt-thr", "0.4", "--show-kpt-idx")
    assert changed(numbered, plain) > 50
    nothing, _ = getattr(run, demo)("--kpt-thr", "99", "--show-kpt-idx")
    assert changed(nothing, getattr(run, demo)("--kpt-thr", "99")[0]) == 0, "points that are not drawn have numbers"


@ALL
def test_skeleton_style_openpose_is_another_drawing(demo: str, run: Demos, portrait: np.ndarray) -> None:
    flags = ("--kpt-thr", "0", "--skeleton-style")
    usual, found = getattr(run, demo)(*flags, "mmpose", pose=run.models.body)
    openpose, same = getattr(run, demo)(*flags, "openpose", pose=run.models.body)
    assert found == same, "the style changes what is found"
    assert changed(openpose, usual) > 0.2 * changed(usual, portrait)
    with pytest.raises(LimnerError, match="openpose"):
        getattr(run, demo)("--skeleton-style", "openpose")


@ALL
def test_the_heatmap_stands_below(demo: str, run: Demos, portrait: np.ndarray) -> None:
    plain, found = getattr(run, demo)()
    both, same = getattr(run, demo)("--draw-heatmap")
    height = len(portrait)
    assert both.shape == (2 * height, portrait.shape[1], 3)
    assert (both[:height] == plain).all()
    assert changed(both[height:], portrait) > 0.5 * portrait[..., 0].size
    assert same == found


def test_a_black_background_is_black_where_nothing_is_drawn(run: Demos, portrait: np.ndarray) -> None:
    usual, _ = run.inferencer("--draw-bbox")
    black, _ = run.inferencer("--draw-bbox", "--black-background")
    marks = (usual != portrait).any(axis=2).astype(np.uint8)
    outside = cv2.dilate(marks, np.ones((5, 5), np.uint8)) == 0  # the edge of a mark may have the image's own colour
    assert outside.mean() > 0.1
    assert not black[outside].any()
    assert changed(black, np.zeros_like(black)) > 1000
    panel = run.inferencer("--black-background", "--draw-heatmap")[0][len(portrait) :]
    assert changed(panel, run.inferencer("--draw-heatmap")[0][len(portrait) :]) > 0, "the image is below the heat"


# -- what is found


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    """Return the share that two boxes have in common, both ends of their sides counted."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + 1
    common = np.prod(np.maximum(sides, 0))
    return float(common / (np.prod(a[2:] - a[:2] + 1) + np.prod(b[2:] - b[:2] + 1) - common))


@BOTH
def test_boxes_score_above_the_threshold(demo: str, run: Demos) -> None:
    _, found = getattr(run, demo)("--bbox-thr", "0.05", "--nms-thr", "1")
    scores = [instance["bbox_score"] for instance in found]
    assert scores == sorted(scores, reverse=True)
    between = sorted(scores)[len(scores) // 2]
    _, fewer = getattr(run, demo)("--bbox-thr", str(between), "--nms-thr", "1")
    assert [i["bbox_score"] for i in fewer] == [score for score in scores if score > between]
    assert getattr(run, demo)("--bbox-thr", "1")[1] == []
    _, usual = getattr(run, demo)()
    assert usual == getattr(run, demo)("--bbox-thr", "0.3", "--nms-thr", "0.3")[1], "0.3 is the default"


@BOTH
def test_boxes_overlap_no_more_than_nms_thr(demo: str, run: Demos) -> None:
    counts = []
    for threshold in (0.0, 0.1, 0.3, 1.0):
        _, found = getattr(run, demo)("--nms-thr", str(threshold), "--bbox-thr", "0.1")
        boxes = [np.array(instance["bbox"][0]) for instance in found]
        pairs = [overlap(a, b) for i, a in enumerate(boxes) for b in boxes[:i]]
        assert max(pairs, default=0) <= threshold + 1e-3
        counts.append(len(boxes))
    assert counts == sorted(counts)
    assert counts[0] < counts[-1], "nothing overlaps: the threshold is not tried"


def test_det_cat_id_chooses_the_class(run: Demos) -> None:
    boxes = []
    for class_id in ("0", "1"):
        _, found = run.topdown("--det-cat-id", class_id, "--bbox-thr", "0.1", det=run.models.hats)
        boxes.append([instance["bbox"] for instance in found])
        _, same = run.inferencer("--det-cat-ids", class_id, "--bbox-thr", "0.1", det=run.models.hats)
        assert [instance["bbox"] for instance in same] == boxes[-1]
    faces, hats = boxes
    assert faces
    assert hats
    assert faces != hats
    _, both = run.inferencer("--det-cat-ids", "0", "1", "--bbox-thr", "0.1", "--nms-thr", "1", det=run.models.hats)
    assert all(box in [instance["bbox"] for instance in both] for box in faces + hats)
    assert run.topdown("--bbox-thr", "0.1", det=run.models.hats)[1][0]["bbox"] == faces[0], "0 is the default"
    with pytest.raises(LimnerError, match=r"no class 2.*0 face, 1 hat"):
        run.topdown("--det-cat-id", "2", det=run.models.hats)


def test_pose_based_nms_drops_poses_that_share_their_points(run: Demos, monkeypatch: pytest.MonkeyPatch) -> None:
    def alike(self: Any, images: Any, boxes: Any, **rest: Any) -> Any:
        """Find the points of the first box in each box."""
        return style(self, images, [np.repeat(of_one[:1], len(of_one), axis=0) for of_one in boxes], **rest)

    style = pipeline.PoseEstimator.many
    monkeypatch.setattr(pipeline.PoseEstimator, "many", alike)
    _, several = run.inferencer("--pose-based-nms", "False")
    assert len(several) > 1
    _, one = run.inferencer("--pose-based-nms", "True")
    assert one == several[:1], "the surest box stays"
    with pytest.raises(LimnerError, match="--pose-based-nms"):
        run.inferencer("--pose-based-nms", "perhaps")


@ALL
def test_no_flip_leaves_the_mirrored_look_out(demo: str, run: Demos, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[int] = []
    style = pipeline.PoseEstimator._run_network

    def counted(self: Any, images: np.ndarray, *rest: Any) -> Any:
        looks.append(2 if self.spec.flip else 1)
        return style(self, images, *rest)

    monkeypatch.setattr(pipeline.PoseEstimator, "_run_network", counted)
    option = ("--cfg-options", "model.test_cfg.flip_test=True")
    twice, found = getattr(run, demo)(*option)
    once, other = getattr(run, demo)(*option, "--no-flip")
    plain, same = getattr(run, demo)()
    assert set(looks[:1]) == {2}
    assert set(looks[-2:]) == {1}
    assert (once == plain).all()
    assert (twice != once).any()
    assert other == same
    assert found != other or found is None


@ALL
def test_cfg_options_change_the_pose_config(demo: str, run: Demos) -> None:
    option = ("--cfg-options", "model.head.decoder.sigma=(1,1)", "model.test_cfg.flip_test=True")
    assert (getattr(run, demo)(*option)[0] != getattr(run, demo)()[0]).any()
    for bad in ("model.head.out_channels=3", "model.backbone.type=Nope", "model.head=None", "flip_test", "=1"):
        with pytest.raises(LimnerError) as caught:
            getattr(run, demo)("--cfg-options", bad)
        assert "\n" not in str(caught.value)


def places(settings: Any, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the dotted names of all settings of a config, inner ones and those that hold others."""
    if path:
        yield ".".join(path)
    inside = settings.items() if isinstance(settings, dict) else enumerate(settings) if path[-1] == "pipeline" else ()
    for key, value in inside:
        yield from places(value, (*path, str(key)))


def test_no_value_of_a_config_is_bad_enough_for_a_traceback(run: Demos) -> None:
    chance, sentences = random.Random(3), []
    cv2.imwrite("photo.png", cv2.resize(cv2.imread("photo.png"), (96, 80)))
    bad = ("None", "0", "-1", "'x'", "[]", "{}", "[1,2]", "nan", "(0,0)", "(-5,7)")
    every = sorted(place for place in places(config.load(POSE)) if not place.startswith("_"))
    for place in chance.sample(every, 60):
        option = f"{place}={chance.choice(bad)}"
        try:
            run.image("--cfg-options", option)
        except LimnerError as error:
            sentences.append(str(error))
        except Exception as error:
            raise AssertionError(option) from error
    assert len(sentences) > 15
    assert not any("\n" in sentence for sentence in sentences)


# -- where it runs, and what is said


@ALL
def test_device_cpu_is_said(demo: str, run: Demos, capsys: pytest.CaptureFixture[str]) -> None:
    getattr(run, demo)("--device", "cpu")
    assert "running on cpu" in capsys.readouterr().out
    for nonsense in ("gpu", "cuda:x", "", "cpu:9:9"):
        with pytest.raises(LimnerError) as caught:
            getattr(run, demo)("--device", nonsense)
        assert f"'{nonsense}'" in str(caught.value)
        assert "\n" not in str(caught.value)


def test_show_progress_shows_a_bar_for_one_image(run: Demos, capsys: pytest.CaptureFixture[str]) -> None:
    run.inferencer()
    assert "1/1" not in capsys.readouterr().err
    run.inferencer("--show-progress")
    assert "1/1" in capsys.readouterr().err


def test_show_interval_is_how_long_an_image_stays(run: Demos, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pygame", reason="needs pygame-ce: pip install -e .[test]")
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    run.topdown("--show", "--show-interval", "1")  # it goes on without a key
    stays: list[float] = []
    monkeypatch.setattr(Window, "show", lambda self, image, seconds=0.0: not stays.append(seconds))
    run.topdown("--show", "--show-interval", "7")
    run.topdown("--show")
    assert stays == [7, 0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux runs without a display")
@BOTH
def test_show_without_a_display_does_not_cost_the_files(
    demo: str, run: Demos, capsys: pytest.CaptureFixture[str]
) -> None:
    drawn, found = getattr(run, demo)("--show")
    assert drawn is not None
    assert found
    (sentence,) = capsys.readouterr().err.splitlines()
    assert "display" in sentence


def test_folders_are_made_where_they_are_not(run: Demos) -> None:
    run.topdown("--output-root", "o")
    assert demos.image(["photo.png", *run.models.face, "--out-file", "deep/er/drawn.jpg"]) == 0
    assert cv2.imread("deep/er/drawn.jpg").shape == (512, 512, 3)
    for folder in ("x/y/z", "with a space", "ünïcödé"):
        arguments = [
            "photo.png",
            "--pose2d",
            "face-lite",
            "--vis-out-dir",
            folder,
            "--pred-out-dir",
            f"{folder}/points",
        ]
        assert demos.inferencer(arguments) == 0
        assert sorted(p.name for p in Path(folder).rglob("*.*")) == ["photo.json", "photo.png"]


# -- everything at once


# flag -> good values, and borderline or nonsense ones
VALUES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "--radius": (("0", "1", "3", "20"), ("-1", "2.5", "9" * 12, "1000000", "wide", "")),
    "--thickness": (("0", "1", "2", "40"), ("-1", "0.5", "9" * 12, "1000000", "nan")),
    "--alpha": (("0", "0.5", "1"), ("1.01", "-0.1", "nan", "half")),
    "--kpt-thr": (("0", "0.3", "1.1", "-5"), ("1e308", "nan", "inf", "x")),
    "--bbox-thr": (("0", "0.3", "0.9", "1"), ("1.0001", "-0.01", "nan", "")),
    "--nms-thr": (("0", "0.3", "1", "1e-30"), ("2", "nan", "all")),
    "--det-cat-id": (("0",), ("1", "7", "-1", "9" * 30, "face")),
    "--det-cat-ids": (("0", "0 0"), ("1", "0 1", "5", "-1", "all")),
    "--device": (("cpu", "cpu:0"), ("cuda:99", "gpu", "", "mps", "meta", "CPU", "cpu:7")),
    "--skeleton-style": (("mmpose", "openpose"), ("MMPose", "")),
    "--pose-based-nms": (("True", "False", "0", "yes"), ("perhaps", "")),
    "--show-interval": (("0", "1"), ("-1", "x", "9" * 12)),
    "--scope": (("mmpose",), ("mmdet", "")),
    "--det-interval": (("1", "5"), ("0", "x")),
    "--max-persons": (("1", "100"), ("0", "-1")),
    "--follow": (("largest", "center", "10,20", "id:1"), ("nobody", "", "1,", "id:")),
    "--smooth": (("off", "live", "file"), ("butter",)),
    "--camera-size": (("640x480",), ("0x0", "large", "-1x5")),
    "--camera-fps": (("30",), ("0", "nan")),
    "--max-frames": (("1",), ("0",)),
    "--cfg-options": (
        ("model.test_cfg.flip_test=True", "model.test_cfg.flip_test=False model.head.decoder.sigma=(2,2)"),
        (
            "model.test_cfg.flip_test=maybe",
            "model.test_cfg=None model.x.y.z=[1,2",
            "model.head.decoder.input_size=(0,0)",
            "model.head.decoder.simcc_split_ratio=0",
            "model.backbone.widen_factor=1e9",
            "model.data_preprocessor.std=[0,0,0]",
            "model.head.out_channels=-1",
            "model=1",
            "codec.input_size=(1,2)",
            "novalue",
            "=",
            "a.b..c=1",
        ),
    ),
}
GENERIC = (("1", "2"), ("", "0", "-1", "0.5", "nan", "1e400", "9" * 25, "word", "a=b", "\u2603"))
INPUTS = (
    ("photo.png", "photo.png", "photo.png", "photos", "photos/*.png", "odd name \u2603.png", "photos/../photo.png"),
    (
        "mixed",
        "nowhere.png",
        "empty",
        "torn.jpg",
        "text.txt",
        "*.nothing",
        ".",
        "",
        "tiny.png",
        "folder.png",
        "\0",
        "x" * 300,
    ),
)
TARGETS = (("out", "a/b/c", "odd \u2603"), ("in the way", "in the way/below", "photos", ".", "", "\0", "y" * 300))
FILES = (
    ("out/drawn.png", "out/drawn.jpg", "out/drawn"),
    ("out/drawn.xyz", "in the way/x.png", "itself", "", "photos", "\0.png", "z" * 300 + ".png"),
)


def pick(chance: random.Random, values: tuple[tuple[str, ...], tuple[str, ...]], good: float = 0.85) -> str:
    return chance.choice(values[chance.random() > good])


@pytest.fixture
def desk(photo: Path, portrait: np.ndarray) -> Path:
    """A folder with good and bad inputs."""
    small = cv2.resize(portrait, (96, 80))
    for folder in ("photos", "mixed", "empty", "folder.png"):
        Path(folder).mkdir()
    for path in ("photo.png", "photos/a.png", "photos/b.png", "mixed/a.png", "odd name \u2603.png"):
        Path(path).write_bytes(cv2.imencode(".png", small)[1].tobytes())
    cv2.imwrite("tiny.png", small[:1, :1])
    Path("torn.jpg").write_bytes(cv2.imencode(".jpg", small)[1].tobytes()[:700])
    Path("mixed/torn.jpg").write_bytes(b"")
    for path in ("text.txt", "mixed/text.txt", "in the way", "wrong.pth"):
        Path(path).write_text("words")
    return Path()


def flags_of(parser: argparse.ArgumentParser, chance: random.Random) -> list[str]:
    """Return some flags with values that are good, borderline or nonsense, and now and then one that is misspelt."""
    chosen = [action for action in parser._actions if action.option_strings and "-h" not in action.option_strings]
    given = []
    for action in chance.sample(chosen, chance.randint(0, 7)):
        flag = action.option_strings[0]
        if flag in OWN:
            continue
        if action.nargs == 0:
            given.append(flag)
            continue
        value = pick(chance, VALUES.get(flag, GENERIC))
        given += [flag, *(value.split(" ") if action.nargs else [value])]
    if chance.random() < 0.03:
        given.append(chance.choice(["--radios", "--", "-x", "stray", "--show-", ""]))
    return given


# what the commands below give themselves
OWN = ("--input", "--output-root", "--pose2d", "--pose2d-weights", "--det-model", "--det-weights", "--show-alias")
OWN += ("--vis-out-dir", "--pred-out-dir", "--out-file", "--pose3d", "--pose3d-weights")


def topdown_command(models: Models, chance: random.Random) -> tuple[list[str], str, set[str]]:
    four = [*chance.choice([models.faces, models.hats]), *chance.choice([models.face, models.body])]
    if chance.random() < 0.1:
        four[chance.randrange(4)] = chance.choice(["nowhere.py", "wrong.pth", models.face[1], DETECTOR, "", "text.txt"])
    source, target = pick(chance, INPUTS), pick(chance, TARGETS)
    given = flags_of(demo_arguments.topdown_parser(None), chance)
    kinds = {"image"} | ({"sheet"} if "--save-predictions" in given else set())
    return [*four, "--input", source, "--output-root", target, *given], source, kinds if target else set()


def inferencer_command(models: Models, chance: random.Random) -> tuple[list[str], str, set[str]]:
    source, pose, detector = pick(chance, INPUTS), chance.choice([models.face, models.body]), models.hats
    given = [source, "--pose2d", pose[0], "--pose2d-weights", pose[1]]
    if chance.random() < 0.1:
        given[chance.choice([2, 4])] = chance.choice(["face-lite", "fase", "nowhere.py", "wrong.pth", "text.txt"])
    if chance.random() < 0.5:
        given += ["--det-model", detector[0], "--det-weights", detector[1]]
    else:
        given += ["--det-model", pick(chance, (("whole_image", "whole-image"), ("nobody", "face-lite")))]
    kinds = set()
    for kind, flag in (("image", "--vis-out-dir"), ("sheet", "--pred-out-dir")):
        if chance.random() < 0.7:
            target = pick(chance, TARGETS)
            given += [flag, target]
            kinds |= {kind} if target else set()
    return given + flags_of(demo_arguments.inferencer_parser(None), chance), source, kinds


def image_command(models: Models, chance: random.Random) -> tuple[list[str], str, set[str]]:
    source, pose = pick(chance, INPUTS), list(chance.choice([models.face, models.body]))
    if chance.random() < 0.1:
        pose[chance.randrange(2)] = chance.choice(["nowhere.py", "wrong.pth", models.faces[0], models.faces[1], ""])
    target = pick(chance, FILES)
    given = [source, *pose, "--out-file", source if target == "itself" else target]
    return given + flags_of(demo_arguments.image_parser(None), chance), source, {"image"}


def snapshot() -> dict[Path, tuple[int, bytes]]:
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in Path().rglob("*") if path.is_file()}


def whole(path: Path) -> bool:
    """Whether a file can be read to its end: a drawn image or a JSON sheet."""
    if path.suffix == ".json":
        return json.loads(path.read_text()) is not None
    data = path.read_bytes()
    ends = {".png": b"IEND\xaeB`\x82", ".jpg": b"\xff\xd9"}
    return cv2.imdecode(np.frombuffer(data, np.uint8), 1) is not None and data.endswith(ends[path.suffix])


@pytest.mark.usefixtures("opened_once")
@pytest.mark.parametrize("demo", ["topdown", "inferencer", "image"])
def test_any_command_writes_what_it_promises_or_says_why_not(
    demo: str, models: Models, desk: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    chance, inputs = random.Random(20), snapshot()
    make = {"topdown": topdown_command, "inferencer": inferencer_command, "image": image_command}[demo]
    ends = {0: 0, 1: 0}
    for _ in range(ROUNDS):
        command, source, kinds = make(models, chance)
        told = f"{demo} {command}"
        try:
            status, sentences = getattr(demos, demo)(command), None
        except LimnerError as error:
            status, sentences = 1, [str(error)]
        except (Exception, SystemExit) as error:
            raise AssertionError(told) from error
        said = capfd.readouterr()
        ends[status] += 1
        after = snapshot()
        new = {path for path in after if path not in inputs}
        assert all(after.get(path) == content for path, content in inputs.items()), f"an input is changed: {told}"
        assert all(whole(path) for path in new), told
        if status == 1 and sentences is None:
            sentences = [line for line in said.err.splitlines() if line.startswith("limner: ")]
        assert status == 0 or sentences, told
        for sentence in sentences or []:
            assert sentence.strip(), told
            assert "\n" not in sentence, told
            assert "Traceback" not in sentence, told
        if status == 0 and source in ("photo.png", "photos", "mixed"):
            count = {"photo.png": 1, "photos": 2, "mixed": 1}[source]
            written = [path.suffix == ".json" for path in new]
            assert written.count(False) == (count if "image" in kinds else 0), told
            assert written.count(True) == (count if "sheet" in kinds else 0), told
        for path in new:
            path.unlink()
    assert min(ends.values()) > ROUNDS // 10, "nearly all commands end in one way, so little is tried"
