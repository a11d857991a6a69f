"""Somebody with MMPose's commands in a notebook or a tutorial runs them here, and gets the same files."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner.errors import LimnerError
from limner.mmpose import demos

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

ROOT = Path(__file__).resolve().parents[1]
PERSON = "projects/rtmpose/rtmdet/person/rtmdet_nano_320-8xb32_coco-person.py"
BODY = "configs/body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb256-420e_body8-256x192.py"
AFLW = "configs/face_2d_keypoint/topdown_heatmap/aflw/td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256.py"
# two small configs of limner's own, for commands whose numbers do not matter
SMALL_DETECTOR, SMALL_POSE = "limner/rtmdet_face-lite_288.py", "limner/rtmpose_face-lite_300w-160x160.py"
FLIP = "model.test_cfg.flip_test="


@pytest.fixture(scope="module")
def drawn_weights(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return a function that writes the checkpoint of a case of the parity data."""
    spec = importlib.util.spec_from_file_location("parity_weights", shared / "parity" / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    folder = tmp_path_factory.mktemp("weights")

    def write(name: str) -> Path:
        path = folder / f"{name}.pth"
        return path if path.exists() else module.write_checkpoint(name, path)

    return write


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Return the four words of a top-down demo whose small networks have drawn weights."""
    from limner import build, config

    torch.manual_seed(7)
    folder = tmp_path_factory.mktemp("small")
    arguments = []
    for name in (SMALL_DETECTOR, SMALL_POSE):
        path = folder / f"{Path(name).stem}.pth"
        torch.save({"state_dict": build.network(config.load(name)["model"]).state_dict()}, path)
        arguments += [name, str(path)]
    return arguments


@pytest.fixture
def photo(tmp_path: Path, portrait: np.ndarray) -> Path:
    path = tmp_path / "eileen.png"
    cv2.imwrite(str(path), portrait)
    return path


def form(path: Path) -> list[str]:
    """Return the lines of a JSON file with its decimals left out: keys, nesting, order and indentation."""
    return re.sub(r"-?\d+\.\d+(e-?\d+)?", "#", path.read_text()).splitlines()


def agree(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> None:
    """The same instances in the same order, keypoints within 0.1 pixel, scores within 0.001."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a["bbox"], b["bbox"], atol=0.1)
        apart = np.linalg.norm(np.array(a["keypoints"]) - b["keypoints"], axis=1)
        assert (apart <= 0.1).mean() >= 0.99
        assert np.allclose(a["keypoint_scores"], b["keypoint_scores"], atol=1e-3)


def says(demo: Any, arguments: list[Any], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a demo that must fail; return the one sentence that it says."""
    try:
        status = demo([str(word) for word in arguments])
    except LimnerError as error:
        return str(error)
    assert status == 1
    (sentence,) = capsys.readouterr().err.splitlines()
    return sentence


# -- the same numbers as MMPose's own commands


def test_topdown_demo_writes_what_mmpose_writes(shared: Path, drawn_weights: Any, tmp_path: Path) -> None:
    image = shared / "data" / "mmpose" / "tests" / "data" / "coco" / "000000196141.jpg"
    arguments = [PERSON, shared / "models" / "rtmdet_nano_coco-person.pth", BODY, drawn_weights("human-rtmpose-m")]
    arguments += ["--input", image, "--output-root", tmp_path, "--draw-bbox", "--save-predictions", "--device", "cpu"]
    assert demos.topdown([str(word) for word in arguments]) == 0
    expected = shared / "parity" / "e2e" / "topdown"
    name = "results_000000196141.json"
    assert form(tmp_path / name) == form(expected / name)
    ours, theirs = (json.loads((folder / name).read_text()) for folder in (tmp_path, expected))
    assert ours["meta_info"] == theirs["meta_info"]
    agree(ours["instance_info"], theirs["instance_info"])
    scores = [instance["bbox_score"] for instance in ours["instance_info"]]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] < 1, "the detector's score is not there"
    drawn = cv2.imread(str(tmp_path / image.name))
    assert drawn.shape == cv2.imread(str(expected / image.name)).shape
    assert (drawn != cv2.imread(str(image))).any()


def test_the_heat_stands_under_the_image(shared: Path, drawn_weights: Any, tmp_path: Path) -> None:
    image = shared / "data" / "mmpose" / "tests" / "data" / "cofw" / "001766.jpg"
    arguments = [PERSON, shared / "models" / "rtmdet_nano_coco-person.pth", AFLW, drawn_weights("face-hrnetv2-aflw")]
    arguments += [
        "--input",
        image,
        "--output-root",
        tmp_path,
        "--draw-heatmap",
        "--save-predictions",
        "--device",
        "cpu",
    ]
    assert demos.topdown([str(word) for word in arguments]) == 0
    expected = shared / "parity" / "e2e" / "heatmap"
    name = "results_001766.json"
    assert form(tmp_path / name) == form(expected / name)
    ours, theirs = (json.loads((folder / name).read_text()) for folder in (tmp_path, expected))
    agree(ours["instance_info"], theirs["instance_info"])
    drawn, reference = (cv2.imread(str(folder / image.name)).astype(int) for folder in (tmp_path, expected))
    assert drawn.shape == reference.shape
    half = len(drawn) // 2
    assert np.abs(drawn[half:] - reference[half:]).mean() < 12, "the heat is elsewhere"


def test_inferencer_demo_writes_what_mmpose_writes(shared: Path, drawn_weights: Any, tmp_path: Path) -> None:
    expected = shared / "parity" / "e2e" / "inferencer"
    coco = shared / "data" / "mmpose" / "tests" / "data" / "coco"
    for sheet in expected.glob("*.json"):
        (tmp_path / f"{sheet.stem}.jpg").write_bytes((coco / f"{sheet.stem}.jpg").read_bytes())
    arguments = [tmp_path, "--pose2d", "human", "--pose2d-weights", drawn_weights("human-rtmpose-m")]
    arguments += ["--det-model", PERSON, "--det-weights", shared / "models" / "rtmdet_nano_coco-person.pth"]
    arguments += ["--vis-out-dir", tmp_path / "vis", "--pred-out-dir", tmp_path / "pred", "--device", "cpu"]
    assert demos.inferencer([str(word) for word in arguments]) == 0
    for sheet in expected.glob("*.json"):
        assert form(tmp_path / "pred" / sheet.name) == form(sheet)
        ours, theirs = (json.loads(path.read_text()) for path in (tmp_path / "pred" / sheet.name, sheet))
        agree(ours, theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert a["bbox_score"] == pytest.approx(b["bbox_score"], abs=1e-3)
        assert (tmp_path / "vis" / f"{sheet.stem}.jpg").exists()


def test_topdown_demo_writes_of_a_video_what_mmpose_writes(shared: Path, drawn_weights: Any, tmp_path: Path) -> None:
    video = shared / "data" / "mmpose" / "demo" / "resources" / "demo.mp4"
    arguments = [PERSON, shared / "models" / "rtmdet_nano_coco-person.pth", BODY, drawn_weights("human-rtmpose-m")]
    arguments += ["--input", video, "--output-root", tmp_path, "--save-predictions", "--device", "cpu"]
    assert demos.topdown([str(word) for word in arguments]) == 0
    theirs = json.loads((shared / "parity" / "e2e" / "video" / "results_demo.json").read_text())
    ours = json.loads((tmp_path / "results_demo.json").read_text())
    assert ours["meta_info"] == theirs["meta_info"]
    assert [entry["frame_id"] for entry in ours["instance_info"]] == [1, 2, 3, 4, 5]
    apart = []
    for a, b in zip(ours["instance_info"], theirs["instance_info"], strict=True):
        for one, other in zip(a["instances"], b["instances"], strict=True):
            assert set(one) == {*other, "track_id"}
            assert np.allclose(one["bbox"], other["bbox"], atol=0.1)
            apart.append(np.linalg.norm(np.array(one["keypoints"]) - other["keypoints"], axis=1))
    assert (np.concatenate(apart) <= 0.1).mean() >= 0.99


# -- the commands, with small networks


def test_nothing_found_is_no_instance_and_no_failure(small: list[str], photo: Path, tmp_path: Path) -> None:
    arguments = [*small, "--input", str(photo), "--output-root", str(tmp_path / "o"), "--save-predictions"]
    assert demos.topdown(arguments) == 0
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["eileen.png", "results_eileen.json"]
    sheet = json.loads((tmp_path / "o" / "results_eileen.json").read_text())
    assert sheet["instance_info"] == []
    assert sheet["meta_info"]["num_keypoints"] == 68
    assert sheet["meta_info"]["dataset_name"] == "300w"


def inferred(small: list[str], photo: Path, *more: str) -> np.ndarray:
    """Return the keypoints that the Inferencer's demo finds in a whole image."""
    folder = photo.parent / "pred"
    arguments = [str(photo), "--pose2d", small[2], "--pose2d-weights", small[3], "--det-model", "whole_image"]
    assert demos.inferencer([*arguments, "--pred-out-dir", str(folder), *more]) == 0
    (instance,) = json.loads((folder / f"{photo.stem}.json").read_text())
    assert instance["bbox"] == [[0, 0, 512, 512]]
    return np.array(instance["keypoints"])


def test_flip_test_is_left_out_in_two_ways(small: list[str], photo: Path) -> None:
    plain = inferred(small, photo)  # this config has it off
    flipped = inferred(small, photo, "--cfg-options", FLIP + "True")
    assert not np.allclose(plain, flipped)
    assert np.array_equal(plain, inferred(small, photo, "--cfg-options", FLIP + "False"))
    assert np.array_equal(plain, inferred(small, photo, "--no-flip", "--cfg-options", FLIP + "True"))


def test_image_demo_takes_the_whole_image(small: list[str], photo: Path, portrait: np.ndarray) -> None:
    target = photo.parent / "drawn.png"
    arguments = [str(photo), *small[2:], "--out-file", str(target), "--kpt-thr", "0", "--draw-heatmap"]
    assert demos.image(arguments) == 0
    drawn = cv2.imread(str(target))
    assert drawn.shape == (1024, 512, 3)
    assert (drawn[:512] != portrait).any()


def test_drawing_flags_change_the_image(small: list[str], photo: Path) -> None:
    target = photo.parent / "drawn.png"
    seen = set()
    for flags in (
        [],
        ["--radius", "9"],
        ["--thickness", "5"],
        ["--alpha", "0.2"],
        ["--show-kpt-idx"],
        ["--kpt-thr", "99"],
    ):
        demos.image([str(photo), *small[2:], "--out-file", str(target), "--kpt-thr", "0", *flags])
        seen.add(target.read_bytes())
    assert len(seen) == 6


def test_black_background_is_black(small: list[str], photo: Path) -> None:
    inferred(small, photo, "--vis-out-dir", str(photo.parent / "v"), "--black-background", "--kpt-thr", "0")
    drawn = cv2.imread(str(photo.parent / "v" / "eileen.png"))
    assert (drawn == 0).mean() > 0.5
    assert drawn.any()


def test_a_folder_goes_on_after_a_bad_image(small: list[str], photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (photo.parent / "torn.jpg").write_text("no image")
    arguments = [str(photo.parent), "--pose2d", small[2], "--pose2d-weights", small[3], "--det-model", "whole_image"]
    assert demos.inferencer([*arguments, "--pred-out-dir", str(photo.parent / "p")]) == 1
    assert "torn.jpg" in capsys.readouterr().err
    assert [path.name for path in (photo.parent / "p").iterdir()] == ["eileen.json"]


def test_the_input_is_never_overwritten(small: list[str], photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = photo.read_bytes()
    arguments = [*small, "--input", photo, "--output-root", photo.parent]
    assert "overwritten" in says(demos.topdown, arguments, capsys)
    assert "overwritten" in says(demos.image, [photo, *small[2:], "--out-file", photo], capsys)
    assert photo.read_bytes() == before


# -- what goes wrong is said in one sentence


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--outputroot", "o"], "'--output-root'"),
        (["--kptthr", "0.5"], "'--kpt-thr'"),
        (["--radius", "-2"], "from 0 on"),
        (["--radius", "wide"], "--radius"),
        (["--bbox-thr", "1.5"], "from 0 to 1"),
        (["--nms-thr", "nan"], "--nms-thr"),
        (["--skeleton-style", "openpos"], "'openpose'"),
        (["--skeleton-style", "openpose"], "300w-68"),
        (["--cfg-options", "flip_test"], "KEY=VALUE"),
        (["--device", "cuda:99"], "cuda:99"),
        (["--device", "gpu"], "'gpu'"),
        (["--det-cat-id", "3"], "face"),
        (["--det-cat-id", "one"], "--det-cat-id"),
        (["--save-predictions", "--output-root", ""], "--output-root"),
        (["--output-root", ""], "--output-root"),
        (["--input", ""], "--input"),
        (["--input", "webcam:98"], "camera"),
        (["--input", "clip.mp4"], "0 bytes"),
        (["--input", "http://127.0.0.1:9/a.jpg"], "http://127.0.0.1:9/a.jpg"),
        (["--input", "http://127.0.0.1:9/a.mp4"], "http://127.0.0.1:9/a.mp4"),
        (["--input", "nowhere.jpg"], "nowhere.jpg"),
        (["more"], "'more'"),
    ],
    ids=" ".join,
)
def test_bad_words_of_the_topdown_demo(
    small: list[str],
    photo: Path,
    flags: list[str],
    expected: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(photo.parent)
    (photo.parent / "clip.mp4").write_bytes(b"")
    sentence = says(demos.topdown, [*small, "--input", photo.name, "--output-root", "o", *flags], capsys)
    assert expected in sentence


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (["--pose2d", "humann"], "'human'"),
        (["--pose2d", "rtmdet-m"], "detector"),
        (["--pose2d", "rtmo"], "one-stage"),
        (["--pose2d", "configs/face.py"], "configs/face.py"),
        (["--pose3d", "human3d"], "3D"),
        (["--use-oks-tracking"], "3D"),
        (["--num-instances", "2"], "3D"),
        (["--scope", "mmdet"], "mmpose"),
        (["--det-model", "hands"], "'hand'"),
        (["--det-model", "vitpose"], "pose model"),
        (["--det-weights", "nowhere.pth"], "nowhere.pth"),
        (["--pred-out-dir", ""], "--pred-out-dir"),
        (["--vis-outdir", "x"], "'--vis-out-dir'"),
    ],
    ids=" ".join,
)
def test_bad_words_of_the_inferencer_demo(
    small: list[str], photo: Path, flags: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        photo,
        "--pred-out-dir",
        photo.parent / "p",
        "--pose2d",
        small[2],
        "--pose2d-weights",
        small[3],
        *flags,
    ]
    assert expected in says(demos.inferencer, arguments, capsys)


def test_a_bundled_model_stays_as_it_is(photo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [photo, "--pose2d", "face-lite", "--pred-out-dir", photo.parent / "p"]
    assert "cfg_options" in says(demos.inferencer, [*arguments, "--cfg-options", FLIP + "True"], capsys)
    assert "det_model" in says(demos.inferencer, [*arguments, "--det-cat-ids", "1"], capsys)
    assert "cuda:0" in says(demos.inferencer, [*arguments, "--device", "cuda:0"], capsys)


def test_no_display_is_said_with_what_to_do(
    small: list[str], photo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux runs without a display")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    assert "--output-root" in says(demos.topdown, [*small, "--input", photo, "--show"], capsys)
    arguments = [photo, "--pose2d", small[2], "--pose2d-weights", small[3], "--show"]
    assert "--vis-out-dir" in says(demos.inferencer, arguments, capsys)
    # where the images are written anyway, they are
    assert demos.topdown([*small, "--input", str(photo), "--show", "--output-root", str(photo.parent / "o")]) == 0
    assert (photo.parent / "o" / "eileen.png").exists()
    assert "display" in capsys.readouterr().err


def test_aliases_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert demos.inferencer(["--show-alias"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    assert head.split() == ["ALIAS", "MODEL_NAME"]
    listed = dict(line.split() for line in lines)
    assert listed["face"] == "rtmpose-m_8xb256-120e_face6-256x256"
    assert {"human", "body26", "hand", "wholebody", "vitpose", "vitpose-s", "vitpose-l", "vitpose-h"} <= set(listed)


# -- as programs


@pytest.mark.parametrize("script", ["topdown_demo_with_mmdet.py", "inferencer_demo.py", "image_demo.py"])
def test_the_scripts_are_there_where_mmpose_has_them(script: str) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "demo" / script), "--help"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "--draw-heatmap" in done.stdout


def test_a_sub_command_is_the_same_demo(photo: Path) -> None:
    command = [sys.executable, "-m", "limner", "inferencer", photo.name, "--pose2d", "face-lite"]
    done = subprocess.run(
        [*command, "--vis-out-dir", "v", "--pred-out-dir", "v", "--draw-heatmap"],
        capture_output=True,
        text=True,
        cwd=photo.parent,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "running on cpu" in done.stdout
    (face,) = json.loads((photo.parent / "v" / "eileen.json").read_text())
    assert len(face["keypoints"]) == 68
    assert cv2.imread(str(photo.parent / "v" / "eileen.png")).shape == (1024, 512, 3)
    wrong = subprocess.run([*command, "--vis-outdir", "v"], capture_output=True, text=True, timeout=60, check=False)
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("limner: there is no flag --vis-outdir. Did you mean '--vis-out-dir'?")
