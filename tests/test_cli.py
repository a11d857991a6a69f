"""A user at the command line, with good images and bad ones."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest


def limner(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "limner", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120, check=False)


def failed_clearly(done: subprocess.CompletedProcess[str], *arguments: str) -> bool:
    """One sentence for each problem, no traceback, and a status that says so."""
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith("limner: ")]
    assert lines, done.stderr
    assert all(any(word in line for line in lines) for word in arguments), done.stderr
    return True


@pytest.fixture
def photo(tmp_path: Path, portrait: np.ndarray) -> Path:
    path = tmp_path / "photos" / "eileen.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), portrait)
    return path


def test_one_command_outlines_a_face(photo: Path, portrait: np.ndarray) -> None:
    done = limner("run", photo.name, cwd=photo.parent)
    assert done.returncode == 0, done.stderr
    drawn = cv2.imread(str(photo.parent / "limner-out" / "eileen.png"))
    changed = np.argwhere((drawn != portrait).any(2))
    assert drawn.shape == portrait.shape
    low, high = changed.min(0), changed.max(0)
    assert low[0] > 60, "something is drawn above the hair"
    assert high[0] < 220, "something is drawn below the chin"
    assert low[1] > 150
    assert high[1] < 310


def test_json_alone_draws_nothing(photo: Path) -> None:
    done = limner("run", photo.name, "--json", "points", cwd=photo.parent)
    assert done.returncode == 0, done.stderr
    assert not (photo.parent / "limner-out").exists()
    (face,) = json.loads((photo.parent / "points" / "eileen.json").read_text())
    assert list(face) == ["keypoints", "keypoint_scores", "bbox", "bbox_score"]
    points, (box,) = np.array(face["keypoints"]), face["bbox"]
    assert points.shape == (68, 2)
    assert len(face["keypoint_scores"]) == 68
    assert 0.3 < face["bbox_score"] <= 1
    eyes = points[36:42].mean(0), points[42:48].mean(0)
    assert np.allclose(eyes[0], (204, 104), atol=8), "her right eye is elsewhere"
    assert np.allclose(eyes[1], (246, 106), atol=8), "her left eye is elsewhere"
    assert points[57, 1] > points[51, 1] > points[33, 1] > points[27, 1], "lips, nose and brow are out of order"
    assert box[0] < eyes[0][0] < eyes[1][0] < box[2]
    assert box[1] < eyes[0][1] < box[3]


def test_no_face_is_an_empty_list_and_no_failure(tmp_path: Path) -> None:
    gradient = np.tile(np.arange(256, dtype=np.uint8), (200, 1))
    cv2.imwrite(str(tmp_path / "wall.png"), cv2.cvtColor(gradient, cv2.COLOR_GRAY2BGR))
    done = limner("run", "wall.png", "--json", "j", "--out", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "j" / "wall.json").read_text()) == []
    assert (tmp_path / "o" / "wall.png").exists()


def test_faces_are_listed_from_the_surest_down(tmp_path: Path, portrait: np.ndarray) -> None:
    face = portrait[20:240, 120:340]
    small = cv2.resize(cv2.GaussianBlur(face, (0, 0), 3), (110, 110))
    canvas = np.full((400, 700, 3), 90, np.uint8)
    canvas[40:260, 40:260] = face
    canvas[40:260, 300:520] = face[:, ::-1]
    canvas[280:390, 560:670] = small
    cv2.imwrite(str(tmp_path / "three.png"), canvas)
    assert limner("run", "three.png", "--json", "j", cwd=tmp_path).returncode == 0
    scores = [face["bbox_score"] for face in json.loads((tmp_path / "j" / "three.json").read_text())]
    assert len(scores) >= 2
    assert scores == sorted(scores, reverse=True)


def test_a_mirrored_portrait_has_mirrored_points(tmp_path: Path, portrait: np.ndarray) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), portrait)
    cv2.imwrite(str(tmp_path / "b.png"), portrait[:, ::-1])
    assert limner("run", "a.png", "b.png", "--json", "j", cwd=tmp_path).returncode == 0
    a, b = (np.array(json.loads((tmp_path / "j" / f"{n}.json").read_text())[0]["keypoints"]) for n in "ab")
    jaw = b[16::-1] * (-1, 1) + (511, 0)
    assert np.linalg.norm(a[:17] - jaw, axis=1).mean() < 4


def test_bad_images_do_not_stop_the_good_ones(photo: Path) -> None:
    folder = photo.parent
    (folder / "text.jpg").write_text("not an image")
    (folder / "cut.jpg").write_bytes(cv2.imencode(".jpg", cv2.imread(str(photo)))[1].tobytes()[:9000])
    cv2.imwrite(str(folder / "dot.png"), np.zeros((1, 1, 3), np.uint8))
    done = limner("run", ".", "nowhere.png", "--json", "j", cwd=folder)
    assert failed_clearly(done, "text.jpg", "cut.jpg", "nowhere.png")
    assert sorted(p.name for p in (folder / "j").iterdir()) == ["dot.json", "eileen.json"]
    assert len(json.loads((folder / "j" / "eileen.json").read_text())) == 1
    assert json.loads((folder / "j" / "dot.json").read_text()) == []


def test_images_go_together_in_the_number_that_is_asked_for(photo: Path, portrait: np.ndarray) -> None:
    cv2.imwrite(str(photo.parent / "mirror.png"), portrait[:, ::-1])
    for batch in ("1", "auto"):
        done = limner("run", photo.parent, "--batch", batch, "--json", batch, cwd=photo.parent.parent)
        assert done.returncode == 0, done.stderr
    for name in ("eileen.json", "mirror.json"):
        assert (photo.parents[1] / "1" / name).read_bytes() == (photo.parents[1] / "auto" / name).read_bytes()
    assert failed_clearly(limner("run", photo, "--batch", "some", cwd=photo.parent), "'some'", "auto or a whole number")


def test_odd_images_give_the_same_face(tmp_path: Path, portrait: np.ndarray) -> None:
    grey = cv2.cvtColor(portrait, cv2.COLOR_BGR2GRAY)
    cv2.imwrite(str(tmp_path / "plain.png"), portrait)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)
    cv2.imwrite(str(tmp_path / "deep.png"), portrait.astype(np.uint16) * 257)
    cv2.imwrite(str(tmp_path / "alpha.png"), np.dstack([portrait, np.full(portrait.shape[:2], 255, np.uint8)]))
    assert limner("run", "*.png", "--json", "j", cwd=tmp_path).returncode == 0
    found = {
        name: np.array(json.loads((tmp_path / "j" / f"{name}.json").read_text())[0]["keypoints"])
        for name in ("plain", "grey", "deep", "alpha")
    }
    assert np.array_equal(found["deep"], found["plain"])
    assert np.array_equal(found["alpha"], found["plain"])
    assert np.linalg.norm(found["grey"] - found["plain"], axis=1).mean() < 4


def test_equal_names_from_two_folders_do_not_overwrite_each_other(tmp_path: Path, portrait: np.ndarray) -> None:
    for folder, image in (("a", portrait), ("b", np.zeros((64, 64, 3), np.uint8))):
        (tmp_path / folder).mkdir()
        cv2.imwrite(str(tmp_path / folder / "x.png"), image)
    done = limner("run", "a/x.png", "b/x.png", "--json", "j", "--out", "o", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "x_1" in done.stdout, "the new name is not said"
    assert len(json.loads((tmp_path / "j" / "x.json").read_text())) == 1
    assert json.loads((tmp_path / "j" / "x_1.json").read_text()) == []
    assert sorted(p.name for p in (tmp_path / "o").iterdir()) == ["x.png", "x_1.png"]


def test_an_empty_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert failed_clearly(limner("run", "empty", cwd=tmp_path), "empty")


def test_a_file_in_the_way_of_the_output_folder_is_said_before_any_work(photo: Path) -> None:
    (photo.parent / "taken").write_text("")
    assert failed_clearly(limner("run", photo.name, "--out", "taken", cwd=photo.parent), "taken")


def test_the_input_is_never_overwritten(photo: Path) -> None:
    before = photo.read_bytes()
    assert failed_clearly(limner("run", photo.name, "--out", ".", cwd=photo.parent), "eileen.png")
    assert photo.read_bytes() == before


def test_an_unknown_model_names_the_nearest(photo: Path) -> None:
    assert failed_clearly(limner("run", photo.name, "--model", "facelite", cwd=photo.parent), "'face-lite'")


def test_the_card_states_data_and_terms(tmp_path: Path) -> None:
    shown = limner("models", "show", "face-lite", cwd=tmp_path).stdout
    for word in ("RTMDet", "RTMPose", "research", "LFPW", "YouTube", "NME", "weak"):
        assert word.lower() in shown.lower(), f"the card does not mention {word}"
    listed = limner("models", "list", cwd=tmp_path).stdout
    assert "face-lite" in listed
    assert failed_clearly(limner("models", "show", "face-light", cwd=tmp_path), "'face-lite'")


def test_higher_thresholds_keep_fewer_boxes(photo: Path) -> None:
    assert limner("run", photo.name, "--json", "j", "--bbox-thr", "0.999", cwd=photo.parent).returncode == 0
    assert json.loads((photo.parent / "j" / "eileen.json").read_text()) == []


def test_no_bar_is_shown_where_nobody_looks(photo: Path) -> None:
    cv2.imwrite(str(photo.parent / "two.png"), np.zeros((64, 64, 3), np.uint8))
    both = limner("run", ".", "--json", "j", cwd=photo.parent)
    assert both.returncode == 0
    assert both.stderr == ""


def test_no_flip_and_precision_reach_the_networks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from limner.cli import app
    from limner.errors import LimnerError

    asked: dict[str, object] = {}

    def load(model: str, **settings: object) -> object:
        asked.update(settings)
        raise LimnerError("enough is known")

    monkeypatch.setattr("limner.loading.load", load)
    monkeypatch.chdir(tmp_path)
    assert cv2.imwrite("grey.png", np.full((40, 40, 3), 128, np.uint8))
    with pytest.raises(LimnerError, match="enough is known"):
        CliRunner().invoke(app, ["run", "grey.png", "--no-flip", "--precision", "float32"], catch_exceptions=False)
    assert (asked["flip"], asked["precision"]) == (False, "float32")
