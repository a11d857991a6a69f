"""A user asks what the points of a model mean: names, links, colours, mirror pairs."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from dataclasses import replace
from importlib import resources

import numpy as np
import pytest

from beside import SHARED, family
from limner import keypoints
from limner.errors import ArgumentError
from limner.mmpose.data_samples import dataset_meta

STORED = {  # what MMPose stores in the checkpoints of its pose models
    path.stem: meta
    for path in sorted((SHARED / "parity").glob("*.json"))
    if "keypoint_id2name" in (meta := json.loads(path.read_text()).get("dataset_meta") or {})
}
FACTS = ("skeleton", "link_colors", "keypoint_colors", "sigmas", "flip_indices")


def parsed_meta(**changes: object) -> dict[str, object]:
    """A small data set of a user's own, in the form that MMPose stores in a checkpoint."""
    meta: dict[str, object] = {
        "dataset_name": "stick",
        "keypoint_id2name": {"0": "top", "1": "left_foot", "2": "right_foot"},
        "skeleton_links": [[0, 1], [0, 2]],
        "skeleton_link_colors": [[0, 255, 0], [255, 128, 0]],
        "keypoint_colors": [[51, 153, 255], [0, 255, 0], [255, 128, 0]],
        "flip_indices": [0, 2, 1],
        "sigmas": [0.025, 0.089, 0.089],
    }
    return {**meta, **changes}


def test_every_data_file_is_a_set_and_every_set_has_its_file() -> None:
    files = {f.name.removesuffix(".json") for f in resources.files(keypoints).iterdir() if f.name.endswith(".json")}
    files = {name for name in files if not name.startswith("openpose")}
    assert files == set(keypoints.names())
    for name in keypoints.names():
        found = keypoints.load(name)
        assert found.name == name
        assert len(found) == int(name.rsplit("-", 1)[1])
        assert found.source
        assert found.licence


def test_loading_twice_gives_one_set_that_nobody_can_change() -> None:
    found = keypoints.load("300w-68")
    assert keypoints.load("300w-68") is found
    for fact in FACTS:
        with pytest.raises(ValueError, match="read-only"):
            getattr(found, fact)[...] = 0


@pytest.mark.parametrize("name", keypoints.names())
def test_mirroring_twice_gives_the_same_points_links_and_contours(name: str) -> None:
    found = keypoints.load(name)
    flip = found.flip_indices
    assert np.array_equal(flip[flip], np.arange(len(found)))
    contours = {frozenset(c.indices) for c in found.contours}
    assert {frozenset(flip[list(c)].tolist()) for c in contours} == contours
    links = {frozenset(link) for link in found.skeleton.tolist()}
    assert {frozenset(flip[list(link)].tolist()) for link in links} == links


@pytest.mark.parametrize("name", keypoints.names())
def test_left_becomes_right_in_a_mirror(name: str) -> None:
    found = keypoints.load(name)
    swapped = {"left": "right", "right": "left", "L": "R", "R": "L"}
    for i, own in enumerate(found.names):
        side, _, rest = own.partition("_")
        if side in swapped and rest:
            assert found.names[found.flip_indices[i]] == f"{swapped[side]}_{rest}"


@pytest.mark.parametrize("name", ["300w-68", "coco-wholebody-face-68", "coco-wholebody-133", "wflw-98", "lapa-106"])
def test_a_face_has_all_its_parts_once(name: str) -> None:
    found = keypoints.load(name)
    parts = {c.name: c for c in found.contours}
    assert set(parts) == {
        "jaw", "right_brow", "left_brow", "nose_bridge", "nose_base",
        "right_eye", "left_eye", "outer_lips", "inner_lips",
    }  # fmt: skip
    assert all(parts[p].closed for p in ("right_eye", "left_eye", "outer_lips", "inner_lips"))
    assert not parts["jaw"].closed
    used = [i for c in found.contours for i in c.indices]
    assert len(used) == len(set(used))


def test_the_face_of_a_whole_body_is_the_face_set_moved() -> None:
    whole, face = keypoints.load("coco-wholebody-133"), keypoints.load("coco-wholebody-face-68")
    start = whole.names.index("face-0")
    assert [tuple(i - start for i in c.indices) for c in whole.contours] == [c.indices for c in face.contours]
    assert np.array_equal(whole.sigmas[start : start + 68], face.sigmas)


def test_a_whole_body_falls_into_body_face_and_two_hands() -> None:
    whole = keypoints.load("coco-wholebody-133")
    first_names = {whole.names[part[0]]: len(part) for part in whole.parts}
    assert first_names == {"nose": 23, "face-0": 68, "left_hand_root": 21, "right_hand_root": 21}
    assert sorted(np.concatenate(whole.parts)) == list(range(133))
    assert [len(part) for part in keypoints.load("wflw-98").parts] == [98]


@pytest.mark.parametrize("name", family(STORED))
def test_the_facts_equal_what_mmpose_stores_in_checkpoints(name: str) -> None:
    meta = STORED[name]
    given = keypoints.from_dataset_meta(meta)
    ours = keypoints.by_mmpose_name(meta["dataset_name"])
    assert (given.name, given.names, given.contours) == (ours.name, ours.names, ours.contours)
    for fact in FACTS:
        assert np.array_equal(getattr(given, fact), getattr(ours, fact)), fact


@pytest.mark.parametrize(
    ("mmpose", "ours"),
    [
        ("300w", "300w-68"),
        ("300W_LP", "300w-68"),
        ("configs/_base_/datasets/coco_wholebody_hand.py", "coco-wholebody-hand-21"),
        (r"configs\_base_\datasets\lapa.py", "lapa-106"),
        ("freihand", "onehand10k-21"),
    ],
)
def test_mmposes_own_names_lead_to_the_set(mmpose: str, ours: str) -> None:
    assert keypoints.by_mmpose_name(mmpose) is keypoints.load(ours)


def test_a_wrong_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ArgumentError, match=r"'300w'.*mean '300w-68'"):
        keypoints.load("300w")
    with pytest.raises(ArgumentError, match=r"'wfwl\.py'.*mean 'wflw'"):
        keypoints.by_mmpose_name("wfwl.py")


def test_a_data_set_of_ones_own_is_described_by_its_checkpoint() -> None:
    found = keypoints.from_dataset_meta(parsed_meta())
    assert found.name == "stick-3"
    assert found.names == ("top", "left_foot", "right_foot")
    assert found.skeleton.tolist() == [[0, 1], [0, 2]]
    assert found.link_colors.tolist() == [[0, 255, 0], [255, 128, 0]]
    assert found.sigmas == pytest.approx([0.025, 0.089, 0.089])
    assert found.contours == ()


def test_a_data_set_file_of_mmpose_says_the_same_as_its_parsed_form() -> None:
    info = {
        "dataset_name": "stick",
        "keypoint_info": {
            0: {"name": "top", "id": 0, "color": [51, 153, 255], "type": "", "swap": ""},
            1: {"name": "left_foot", "id": 1, "color": [0, 255, 0], "type": "", "swap": "right_foot"},
            2: {"name": "right_foot", "id": 2, "color": [255, 128, 0], "type": "", "swap": "left_foot"},
        },
        "skeleton_info": {
            0: {"link": ("top", "left_foot"), "id": 0, "color": [0, 255, 0]},
            1: {"link": ("top", "right_foot"), "id": 1, "color": [255, 128, 0]},
        },
        "sigmas": [0.025, 0.089, 0.089],
    }
    raw, parsed = keypoints.from_dataset_meta(info), keypoints.from_dataset_meta(parsed_meta())
    assert (raw.name, raw.names) == (parsed.name, parsed.names)
    for fact in FACTS:
        assert np.array_equal(getattr(raw, fact), getattr(parsed, fact)), fact


def test_a_checkpoint_with_coco_points_and_other_colours_keeps_its_colours() -> None:
    coco = keypoints.load("coco-17")
    found = keypoints.from_dataset_meta(
        {
            "dataset_name": "my-people",
            "keypoint_id2name": dict(enumerate(coco.names)),
            "skeleton_links": coco.skeleton,
            "skeleton_link_colors": coco.link_colors,
            "keypoint_colors": np.full((17, 3), 7),
            "flip_indices": coco.flip_indices,
        }
    )
    assert found.name == "coco-17"
    assert (found.keypoint_colors == 7).all()
    assert found.sigmas.shape == (0,)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"keypoint_id2name": {"0": "top", "2": "foot"}}, "does not describe keypoints"),
        ({"keypoint_colors": [[300, 0, 0]] * 3}, "does not describe keypoints"),
        ({"keypoint_colors": [[255, 0, 0]]}, r"keypoint_colors has shape \[1, 3\]"),
        ({"skeleton_links": [[0, 3], [0, 1]]}, r"outside 0\.\.2"),
        ({"flip_indices": [0]}, "flip_indices"),
        ({"sigmas": [0.1]}, "sigmas"),
    ],
)
def test_a_contradictory_data_set_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        keypoints.from_dataset_meta(parsed_meta(**changes))


def test_the_meta_of_a_detector_is_refused() -> None:
    with pytest.raises(ArgumentError, match="keypoint_id2name"):
        keypoints.from_dataset_meta({"classes": ["person"]})


def test_importing_the_sets_loads_no_engine() -> None:
    code = "import sys, limner.keypoints; print(*{'cv2', 'torch', 'onnxruntime', 'av'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""


@pytest.mark.parametrize("name", ["300w-68", "coco-wholebody-face-68"])
def test_the_68_points_have_names_that_say_where_they_are(name: str) -> None:
    found = keypoints.load(name)
    assert len(set(found.names)) == 68
    places = {0: "jaw_0", 16: "jaw_16", 17: "right_eyebrow_0", 26: "left_eyebrow_0", 30: "nose_tip"}
    places |= {36: "right_eye_outer", 39: "right_eye_inner", 42: "left_eye_inner", 45: "left_eye_outer"}
    assert {i: found.names[i] for i in places} == places
    for contour, word in {"left_eye": "left_eye", "right_brow": "right_eyebrow", "jaw": "jaw"}.items():
        (indices,) = (c.indices for c in found.contours if c.name == contour)
        assert all(found.names[i].startswith(word) for i in indices)


def test_mmpose_is_told_its_own_names() -> None:
    face = keypoints.load("300w-68")
    assert face.upstream_names[:2] == ("kpt-0", "kpt-1")
    assert dataset_meta({}, face, None)["keypoint_id2name"][67] == "kpt-67"
    assert keypoints.load("coco-wholebody-face-68").upstream_names[67] == "face-67"
    assert keypoints.load("coco-17").upstream_names is keypoints.load("coco-17").names
    for names in (face.names, face.upstream_names):
        meta = dataset_meta({}, face, None) | {"keypoint_id2name": dict(enumerate(names))}
        assert keypoints.from_dataset_meta(meta).names == face.names


def test_a_set_is_the_same_after_a_journey() -> None:
    own = keypoints.load("300w-68")
    assert pickle.loads(pickle.dumps(own)) is own
    other = replace(own, name="mine-68")
    travelled = pickle.loads(pickle.dumps(other))
    assert (travelled.names, travelled.mmpose_names) == (own.names, own.mmpose_names)
