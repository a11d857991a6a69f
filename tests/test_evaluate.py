"""What `limner eval` counts, against pycocotools called directly and a few lines of numpy; its reports and errors."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from limner import keypoints
from limner.cli import app
from limner.errors import InputError
from limner.evaluate import annotations, compare, metrics, page, precision, predictions, report
from limner.evaluate.evaluation import evaluate
from limner.evaluate.matching import match
from limner.tracking.matching import iou

SETS = {
    17: "coco-17",
    21: "coco-wholebody-hand-21",
    26: "halpe-26",
    68: "coco-wholebody-face-68",
    133: "coco-wholebody-133",
}


def people(k: int, seed: int, count: int = 300, images: int = 60) -> tuple[dict, list[dict]]:
    """Return random annotations and results about them: some missed, some invented, some shifted, crowds."""
    random = np.random.default_rng(seed)
    true, found = [], []
    for i in range(count):
        size = random.uniform(20, 300)
        x, y = random.uniform(0, 400, 2)
        points = np.column_stack([random.uniform(x, x + size, k), random.uniform(y, y + size, k)])
        seen = random.choice([0, 1, 2], k, p=[0.3, 0.2, 0.5])
        if i % 29 == 0:
            seen[:] = 0
        entry = {
            "id": i + 1,
            "image_id": int(random.integers(images)) + 1,
            "category_id": 1,
            "keypoints": np.column_stack([np.where(seen[:, None], points, 0), seen]).ravel().tolist(),
            "num_keypoints": int((seen > 0).sum()),
            "bbox": [x, y, size, size],
            "area": size * size * random.uniform(0.4, 1),
            "iscrowd": int(i % 31 == 0),
        }
        true.append(entry)
        for _ in range(random.choice([0, 1, 2], p=[0.15, 0.7, 0.15])):
            moved = points + random.normal(0, size * random.choice([0.01, 0.05, 0.2]), (k, 2))
            found.append(result(entry["image_id"], moved, random.uniform(0, 1, k), float(random.uniform(0.05, 1))))
    for _ in range(30):
        points = random.uniform(0, 400, (k, 2))
        found.append(result(int(random.integers(images)) + 1, points, random.uniform(0, 1, k), 0.3))
    pictures = [{"id": i + 1, "file_name": f"{i + 1:04}.jpg"} for i in range(images)]
    names = list(keypoints.load(SETS[k]).names)
    category = {"id": 1, "name": "person", "keypoints": names, "skeleton": []}
    return {"images": pictures, "annotations": true, "categories": [category]}, found


def result(image: int, points: np.ndarray, scores: np.ndarray, score: float) -> dict:
    low, high = points.min(axis=0), points.max(axis=0)
    return {
        "image_id": image,
        "category_id": 1,
        "keypoints": np.column_stack([points, scores]).ravel().tolist(),
        "score": score,
        "bbox": [*low.tolist(), *(high - low).tolist()],
    }


def written(folder: Path, name: str, content: object) -> Path:
    path = folder / name
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize("k", sorted(SETS))
@pytest.mark.parametrize("kind", ["keypoints", "bbox"])
def test_average_precision_is_that_of_pycocotools(k: int, kind: str, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    cocoeval = pytest.importorskip("pycocotools.cocoeval")
    true, found = people(k, seed=k)
    truth = annotations.read(written(tmp_path, "true.json", true), k)
    read = predictions.read(written(tmp_path, "found.json", found), truth.images)
    sigmas = keypoints.load(SETS[k]).sigmas
    mine = precision.precision(truth, read, kind, sigmas)  # type: ignore[arg-type]
    with contextlib.redirect_stdout(io.StringIO()):
        real = coco.COCO(str(tmp_path / "true.json"))
        direct = cocoeval.COCOeval(real, real.loadRes(found), kind)
        direct.params.kpt_oks_sigmas = sigmas.astype(np.float64)
        direct.evaluate()
        direct.accumulate()
        direct.summarize()
    assert direct.stats[0] > 0.05
    assert list(mine.values.values()) == pytest.approx(direct.stats.tolist(), abs=1e-9, nan_ok=True)
    # of all images drawn once, what the bootstrap computes is the same
    assert precision.resampled(mine, np.arange(len(mine.images))) == pytest.approx(direct.stats[0], abs=1e-9)


def test_nme_pck_and_epe_are_those_of_a_few_lines(tmp_path: Path) -> None:
    true, found = people(68, seed=1)
    for entry in true["annotations"]:
        entry["iscrowd"] = 0
    truth = annotations.read(written(tmp_path, "true.json", true), 68)
    read = predictions.read(written(tmp_path, "found.json", found), truth.images)
    pairs = match(truth, read)
    errors = metrics.errors(truth, read, pairs, keypoints.load("300w-68").names, "300w-68")

    points = np.array([a["keypoints"] for a in true["annotations"]]).reshape(-1, 68, 3)
    with_points = [i for i in range(len(points)) if points[i, :, 2].any()]
    assert pairs.truths.tolist() == with_points
    nmes, right, counted, distances, failed = [], 0, 0, [], []
    for i, j in zip(pairs.truths, pairs.found, strict=True):
        seen = points[i, :, 2] > 0
        side = true["annotations"][i]["bbox"][2]
        counted += seen.sum()
        eyes = np.linalg.norm(points[i, 36, :2] - points[i, 45, :2]) if seen[36] and seen[45] else None
        if j < 0:
            failed += [True] if eyes else []
            continue
        away = np.linalg.norm(np.array(found[j]["keypoints"]).reshape(-1, 3)[:, :2] - points[i, :, :2], axis=1)[seen]
        right += (away / side < 0.1).sum()
        distances += away.tolist()
        if eyes:
            nmes.append(away.mean() / eyes)
            failed.append(nmes[-1] > 0.08)
    assert 0 < right < counted
    assert metrics.nme(errors.share("inter-ocular")) == pytest.approx(np.mean(nmes), abs=1e-9)
    assert metrics.failure_rate(errors.share("inter-ocular")) == pytest.approx(np.mean(failed), abs=1e-9)
    assert metrics.pck(errors.share("box"), 0.1) == pytest.approx(right / counted, abs=1e-9)
    assert metrics.epe(errors.pixels) == pytest.approx(np.mean(distances), abs=1e-9)
    # area under the curve: against the curve summed in small steps
    means = metrics.instance_means(errors.share("inter-ocular"))
    means = means[~np.isnan(means)]
    steps = (np.arange(200_000) + 0.5) / 200_000 * 0.5
    curve = np.searchsorted(np.sort(means), steps, side="right") / len(means)
    assert metrics.curve_area(means, 0.5) == pytest.approx(curve.mean(), abs=1e-5)


def test_torso_and_head_lengths() -> None:
    names = keypoints.load("mpii-16").names
    k = len(names)
    points = np.zeros((1, k, 2))
    points[0, names.index("left_shoulder")] = (30, 0)
    points[0, names.index("right_hip")] = (0, 40)
    points[0, names.index("head_top")] = (0, -12)
    points[0, names.index("upper_neck")] = (0, -2)
    one = np.ones(1)
    truth = annotations.Annotations(
        *("made", (annotations.AnnotatedImage(1, "a.jpg"),), one.astype(int), points, np.full((1, k), 2)),
        *(np.array([[0.0, 0, 50, 50]]), one * 2500, one > 2, one * np.nan, one.astype(int), names, one.astype(int) * k),
    )
    found = predictions.Instances()
    found.add(1, points[0] + (4, 0), np.ones(k), (0, 0, 50, 50), 1.0)
    read = found.done("made")
    errors = metrics.errors(truth, read, match(truth, read), names)
    assert errors.norms["torso"][0] == pytest.approx(50)
    assert errors.norms["head"][0] == pytest.approx(10)
    assert metrics.pck(errors.share("head"), 0.5) == 1.0
    assert metrics.pck(errors.share("head"), 0.1) == 0.0
    measured = evaluate(truth, read, keypoints.load("mpii-16"))
    values = {m.name: m.value for m in measured.metrics}
    assert values["PCKh@0.5"] == 1.0
    assert values["EPE"] == pytest.approx(4)


def test_iou_and_matching_are_one_to_one() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 12, 10]])
    assert iou(boxes[:1], boxes)[0] == pytest.approx([1.0, 80 / 120])
    k = 3
    points = np.array([[[1.0, 1], [5, 5], [9, 9]], [[3.0, 1], [7, 5], [11, 9]]])
    two = np.ones(2)
    truth = annotations.Annotations(
        *("made", (annotations.AnnotatedImage(1, "a.jpg"),), two.astype(int), points, np.full((2, k), 2), boxes),
        *(two * 100, two > 2, two * np.nan, two.astype(int), (), np.full(2, k)),
    )
    found = predictions.Instances()
    found.add(1, points[1], np.ones(k), boxes[1], 0.9)  # overlaps both, and belongs to the second
    read = found.done("made")
    assert match(truth, read).found.tolist() == [-1, 0]


def test_reads_json_lines_folders_and_coco_results_alike(tmp_path: Path) -> None:
    true, _ = people(17, seed=3, count=20, images=5)
    truth = annotations.read(written(tmp_path, "true.json", true))
    lines, folder, listed = [json.dumps({"limner": "1"})], tmp_path / "predictions", []
    folder.mkdir()
    random = np.random.default_rng(0)
    for image in true["images"][:4]:
        instances = []
        for _ in range(image["id"] % 3):
            points, scores = random.uniform(0, 300, (17, 2)), random.uniform(0.3, 1, 17)
            box = [*points.min(axis=0).tolist(), *points.max(axis=0).tolist()]
            one = {"keypoints": points.tolist(), "keypoint_scores": scores.tolist(), "bbox": [box], "bbox_score": 0.5}
            instances.append(one)
            listed.append(result(image["id"], points, scores, 0.5 * float(scores.mean())))
        record = {"source": f"photos/{image['file_name']}", "frame_id": 0, "keypoint_set": "coco-17"}
        lines.append(json.dumps({**record, "instances": instances}))
        written(folder, Path(image["file_name"]).stem + ".json", instances)
    (tmp_path / "lines.jsonl").write_text("\n".join(lines) + "\n")
    forms = [tmp_path / "lines.jsonl", folder, written(tmp_path, "listed.json", listed)]
    read = [predictions.read(form, truth.images) for form in forms]
    for other in read[1:]:
        np.testing.assert_allclose(other.keypoints, read[0].keypoints)
        np.testing.assert_allclose(other.scores, read[0].scores)
        assert other.image_ids.tolist() == read[0].image_ids.tolist()
    assert read[0].set_name == "coco-17"
    assert "silent about 1 of 5 images, such as '0005.jpg'" in predictions.check(read[0], truth.images)
    (tmp_path / "again.json").write_bytes(predictions.coco_json(read[0]))
    again = predictions.read(tmp_path / "again.json", truth.images)
    np.testing.assert_allclose(again.keypoints, read[0].keypoints)


def test_whole_body_annotations_have_parts(tmp_path: Path) -> None:
    entry = {"image_id": 1, "category_id": 1, "bbox": [0, 0, 99, 99], "area": 9801, "num_keypoints": 17}
    sizes = {"keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21}
    for i, (key, n) in enumerate(sizes.items()):
        entry[key] = [*([i, i + 0.5, 2] * n)]
    entry |= {"face_box": [1, 2, 3, 4], "lefthand_box": [5, 6, 7, 8], "righthand_box": [0, 0, 1, 1]}
    entry |= {"face_valid": True, "lefthand_valid": True, "righthand_valid": False}
    path = written(tmp_path, "whole.json", {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [entry]})
    assert annotations.read(path).keypoints.shape == (1, 17, 2)
    whole = annotations.read(path, 133)
    assert whole.keypoints[0, [0, 17, 23, 91, 112], 0].tolist() == [0, 1, 2, 3, 4]
    faces = annotations.read(path, 68)
    assert faces.boxes.tolist() == [[1, 2, 4, 6]]
    hands = annotations.read(path, 21)  # the left one alone is annotated
    assert hands.keypoints.shape == (1, 21, 2)
    assert hands.boxes.tolist() == [[5, 6, 12, 14]]
    with pytest.raises(InputError, match="17 keypoints where the results have 26"):
        annotations.read(path, 26)


def test_mpii_annotations_count_from_one(tmp_path: Path) -> None:
    entry = {"image": "a.jpg", "center": [101.0, 86.0], "scale": 1.0, "joints": [[11.0, 21.0]] * 16}
    truth = annotations.read(written(tmp_path, "mpii.json", [{**entry, "joints_vis": [1] * 15 + [0]}]), 16)
    assert truth.keypoints[0, 0].tolist() == [10, 20]
    assert truth.visibility[0].tolist() == [2] * 15 + [0]
    assert truth.boxes[0].tolist() == [0, 0, 200, 200]  # MMPose moves the centre down by 15 px for a scale of 1


def test_a_better_result_is_surely_better(tmp_path: Path) -> None:
    true, found = people(17, seed=5)
    worse = json.loads(json.dumps(found))
    random = np.random.default_rng(0)
    for one in worse:
        points = np.array(one["keypoints"]).reshape(-1, 3)
        points[:, :2] += random.normal(0, 6, (17, 2))
        one["keypoints"] = points.ravel().tolist()
    truth = annotations.read(written(tmp_path, "true.json", true))
    good, bad = (
        evaluate(truth, predictions.read(written(tmp_path, f"{i}.json", r), truth.images))
        for i, r in enumerate((found, worse))
    )
    differences = {d.metric.name: d for d in compare.compare(good, bad, rounds=60)}
    for name in ("AP", "PCK@0.1 box", "EPE"):
        d = differences[name]
        assert d.sure
        assert (d.value > 0) == (name != "EPE")
        assert d.low <= d.value <= d.high
        assert d.other == pytest.approx({m.name: m.value for m in bad.metrics}[name])
    same = {d.metric.name: d for d in compare.compare(good, good, rounds=10)}
    assert all(d.low == d.high == 0 for d in same.values() if not np.isnan(d.low))
    text = report.table(good, list(differences.values()))
    assert "better" in text
    assert json.loads(report.as_json(good, list(differences.values())))["against"]
    assert b"Against the other results" in page.html(good, None, list(differences.values()))


def test_files_that_say_nothing_are_refused_in_a_sentence(tmp_path: Path) -> None:
    true, found = people(17, seed=3, count=10, images=5)
    truth = annotations.read(written(tmp_path, "true.json", true))
    for name, content in {"a": {}, "b": [], "c": [{"joints": 3}], "d": {"images": 3, "annotations": []}}.items():
        with pytest.raises(InputError, match=f"'.*{name}.json'"):
            annotations.read(written(tmp_path, f"{name}.json", content))
    for name, content in {"e": {}, "f": [3], "g": [{"image_id": 1}], "h": [{**found[0], "image_id": 999}]}.items():
        with pytest.raises(InputError, match=f"'.*{name}.json'"):
            predictions.read(written(tmp_path, f"{name}.json", content), truth.images)
    with pytest.raises(InputError, match="cannot be read"):
        annotations.read(tmp_path / "missing.json")
    short = [{**one, "keypoints": one["keypoints"][:15]} for one in found]
    with pytest.raises(InputError, match=r"17 keypoints where .* has 5"):
        evaluate(truth, predictions.read(written(tmp_path, "short.json", short), truth.images))


def test_nobody_found_is_measured_too(tmp_path: Path) -> None:
    true, _ = people(17, seed=3, count=10, images=5)
    truth = annotations.read(written(tmp_path, "true.json", true))
    lines = [{"limner": "1"}, *({"source": i["file_name"], "instances": []} for i in true["images"])]
    (tmp_path / "nobody.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    measured = evaluate(truth, predictions.read(tmp_path / "nobody.jsonl", truth.images))
    values = {m.name: m.value for m in measured.metrics}
    assert values["found"] == 0
    assert values["PCK@0.1 box"] == 0
    assert values["AP"] == 0
    assert np.isnan(values["EPE"])
    assert b"Nothing was found" in page.html(measured)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a photo of a face twice, and annotations that face-lite's own points made."""
    skimage = pytest.importorskip("skimage.data")
    import cv2

    import limner

    folder = tmp_path_factory.mktemp("faces")
    photo = np.ascontiguousarray(skimage.astronaut()[..., ::-1])
    found = limner.load("face-lite")(photo)
    random = np.random.default_rng(0)
    images, entries = [], []
    for i in (1, 2):
        cv2.imwrite(str(folder / f"{i}.png"), photo)
        images.append({"id": i, "file_name": f"{i}.png"})
        points = found.keypoints[0] + random.normal(0, 1, (68, 2))
        x1, y1, x2, y2 = found.boxes.xyxy[0].tolist()
        entry = {"id": i, "image_id": i, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "iscrowd": 0}
        entries.append({**entry, "keypoints": np.column_stack([points, np.full(68, 2)]).ravel().tolist()})
    written(folder, "true.json", {"images": images, "annotations": entries})
    return folder


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["eval", *map(str, arguments)])
    error = f"{result.exception}" if result.exception is not None else ""
    return result.exit_code, result.output + error


@pytest.mark.parametrize("boxes", ["detector", "gt", "saved.json"])
def test_the_command_runs_a_model(boxes: str, faces: Path, tmp_path: Path) -> None:
    saved = faces / "saved.json"
    if boxes == "saved.json" and not saved.exists():
        assert run(faces / "true.json", "--save", saved)[0] == 0
    chosen = saved if boxes == "saved.json" else boxes
    code, text = run(
        faces / "true.json", "--boxes", chosen, "--json", tmp_path / "a.json", "--html", tmp_path / "a.html"
    )
    assert code == 0, text
    assert "2 instances in 2 images" in text
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["metrics"]["found"] == 1
    assert record["metrics"]["EPE"] == pytest.approx(1.25, abs=0.15)  # of noise of 1 px in x and y
    assert len(record["keypoints"]) == 68
    html = (tmp_path / "a.html").read_text()
    assert html.count("data:image/jpeg") == 4
    assert "http" not in html.replace("http://www.w3.org", "")


def test_the_command_compares_earlier_results(faces: Path, tmp_path: Path) -> None:
    import limner

    with (tmp_path / "one.jsonl").open("w") as file:
        result = limner.load("face-lite")(str(faces / "1.png"))
        for i in (1, 2):
            record = {"source": f"{i}.png", "keypoint_set": "300w-68", "instances": result.instances()}
            file.write(json.dumps(record) + "\n")
    one = tmp_path / "one.jsonl"
    code, text = run(one, faces / "true.json", "--against", one)
    assert code == 0, text
    assert "NME inter-ocular" in text
    assert "[0.00 %, 0.00 %]" in text


def test_the_command_refuses_in_a_sentence(faces: Path, tmp_path: Path) -> None:
    true = faces / "true.json"
    before = true.read_bytes()
    (tmp_path / "link.json").symlink_to(true)
    for arguments, said in {
        (true, "--json", true): "is a file that is read",
        (true, "--html", tmp_path / "link.json"): "is a file that is read",
        (true, "--json", tmp_path / "x", "--html", tmp_path / "x"): "name the same file",
        (true, "--json", tmp_path): "name of a file is needed",
        (true, "--images", tmp_path): "is missing",
        (true, "--boxes", tmp_path / "none.json"): "cannot be read",
        (true, true, true): "3 files are given",
        (faces / "1.png",): "no JSON",
    }.items():
        code, text = run(*arguments)
        assert code != 0
        assert said in text, text
        assert "Traceback" not in text
    assert true.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c["annotations"][0].update(bbox=[0, 0, 0, 0]), "no area"),
        (lambda c: c["annotations"][0].update(bbox=[0, 0, float("nan"), 5]), "not finite"),
        (lambda c: c["annotations"][1].update(id=1), "two annotations with the id 1"),
        (lambda c: c["images"].append(dict(c["images"][0])), "two images with the id 1"),
    ],
)
def test_annotations_that_would_give_wrong_numbers_are_refused(
    change: Any, said: str, faces: Path, tmp_path: Path
) -> None:
    content = json.loads((faces / "true.json").read_text())
    change(content)
    with pytest.raises(InputError, match=said):
        annotations.read(written(tmp_path, "bad.json", content))
