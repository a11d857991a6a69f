"""A user looks for a model by name, reads what it is, and gets its weights."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from beside import NEEDED, SHARED
from limner import config, keypoints, zoo
from limner.errors import DownloadError, ModelError
from limner.zoo import commands, download, store

ALIASES = {  # what MMPose 1.3.2's Inferencer runs: pose config, detector's config, classes of the detector
    "human": ("rtmpose-m_8xb256-420e_body8-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "body": ("rtmpose-m_8xb256-420e_body8-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "body17": ("rtmpose-m_8xb256-420e_body8-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "body26": ("rtmpose-m_8xb512-700e_body8-halpe26-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "face": ("rtmpose-m_8xb256-120e_face6-256x256", "yolox-s_8xb8-300e_coco-face", (0,)),
    "hand": ("rtmpose-m_8xb256-210e_hand5-256x256", "rtmdet_nano_320-8xb32_hand", (0,)),
    "wholebody": ("rtmpose-m_8xb64-270e_coco-wholebody-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "vitpose": ("td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "vitpose-s": ("td-hm_ViTPose-small-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "vitpose-b": ("td-hm_ViTPose-base-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "vitpose-l": ("td-hm_ViTPose-large-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "vitpose-h": ("td-hm_ViTPose-huge-simple_8xb64-210e_coco-256x192", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "animal": ("rtmpose-m_8xb64-210e_ap10k-256x256", "rtmdet_m_8xb32-300e_coco", tuple(range(15, 24))),
    "rtmpose-l": ("rtmpose-l_8xb256-420e_body8-384x288", "rtmdet_m_640-8xb32_coco-person", (0,)),
    "face-lite": ("face-lite", "face-lite-detector", (0,)),
}
POINTS = {"human": "coco-17", "body26": "halpe-26", "face": "lapa-106", "hand": "coco-wholebody-hand-21"}
POINTS |= {"wholebody": "coco-wholebody-133", "vitpose-h": "coco-17", "animal": "ap10k-17", "face-lite": "300w-68"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give limner an empty cache, and no network."""
    monkeypatch.setenv("LIMNER_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("LIMNER_OFFLINE", "1")
    return tmp_path / "home"


def put_by_hand(home: Path, model: zoo.ModelInfo, content: bytes) -> Path:
    """Lay a file where the weights of a model belong."""
    assert model.weights
    place = home / "weights" / store.file_name(model.weights)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(content)
    return place


@pytest.mark.parametrize("alias", ALIASES)
def test_an_alias_means_what_it_means_in_mmpose(alias: str) -> None:
    pose, detector, classes = ALIASES[alias]
    model = zoo.get(alias)
    assert model.name == pose
    assert zoo.detector_for(model).name == detector
    assert zoo.detector_for(alias).kind == "detector"
    assert model.detector_classes == classes


@pytest.mark.parametrize("alias", POINTS)
def test_an_alias_finds_its_keypoints(alias: str) -> None:
    assert zoo.get(alias).keypoints == POINTS[alias]


def test_the_default_is_bundled() -> None:
    assert zoo.state(zoo.DEFAULT) == "bundled"
    assert zoo.models()[0].name == zoo.DEFAULT


def test_a_model_is_found_by_its_configs_name_and_path() -> None:
    path = "configs/face_2d_keypoint/topdown_heatmap/aflw/td-hm_hrnetv2-w18_8xb64-60e_aflw-256x256.py"
    model = zoo.get(path)
    assert model.config == path
    assert zoo.get(Path(path).stem) is model
    assert zoo.get(Path(path).name) is model
    assert zoo.get("Human") is zoo.get("human")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fase", "'face'"),
        ("vitpose_b", "'vitpose-b'"),
        ("rtmpose-m_8xb256-120e_face6-256x265", "'rtmpose-m_8xb256-120e_face6-256x256'"),
        ("human3d", "3D"),
        ("zzz", "limner models list"),
    ],
)
def test_an_unknown_name_is_an_error_that_helps(name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said):
        zoo.get(name)


def test_a_detector_has_no_detector() -> None:
    with pytest.raises(ModelError, match="detector"):
        zoo.detector_for("yolox-s-face")


@pytest.mark.parametrize("model", zoo.models(), ids=lambda model: model.name)
def test_every_entry_is_whole(model: zoo.ModelInfo) -> None:
    assert model.input_size > (0, 0)
    assert model.terms in ("research use", "not known") or model.licences().keys() > {"code", "weights"}
    assert model.terms != "not known"
    if model.bundled:
        return
    assert model.weights
    assert model.sha256 == store.sha256_prefix(store.file_name(model.weights))
    assert model.results[0].main_metric
    assert all(result.source for result in model.results)
    if model.kind == "pose":
        assert model.keypoints
        assert zoo.detector_for(model).has_config


@pytest.mark.parametrize("model", [m for m in zoo.models() if m.has_config], ids=lambda model: model.name)
def test_every_config_of_limner_fits_its_entry(model: zoo.ModelInfo) -> None:
    cfg = config.load(model.config)
    assert model.parameters
    assert model.gmacs
    if model.kind == "detector":
        assert model.input_size == tuple(cfg["test_dataloader"]["dataset"]["pipeline"][1]["scale"])
        return
    assert model.input_size == tuple(cfg["codec"]["input_size"])
    named = cfg["test_dataloader"]["dataset"]["metainfo"]["from_file"]
    if model.keypoints in keypoints.names():
        assert keypoints.by_mmpose_name(named).name == model.keypoints
    else:
        assert keypoints.from_dataset_meta(config.load(named)["dataset_info"]).name == model.keypoints


def test_names_and_aliases_are_told_apart() -> None:
    names = [name for model in zoo.models() for name in (model.name, *model.aliases)]
    assert len(names) == len(set(names))
    files = [store.file_name(m.weights) for m in zoo.models() if m.weights]
    assert len(files) == len(set(files))


def test_every_model_that_was_promised_is_there() -> None:
    facts = SHARED / "data" / "openmmlab_models.json"
    if not facts.is_file():
        pytest.skip(NEEDED)
    for model in json.loads(facts.read_text(encoding="utf-8"))["pose"]:
        path = model["config"]
        whole_folder = path.startswith(tuple(f"configs/{kind}_2d_keypoint/" for kind in ("face", "hand", "wholebody")))
        body = path.startswith("configs/body_2d_keypoint/")
        name = Path(path).name.lower()
        if whole_folder or (body and name.startswith(("rtmpose", "td-hm_hrnet", "td-hm_vitpose"))):
            found = zoo.get(path)
            assert found.weights == model["weights"]
            published = [(result.dataset, result.metrics) for result in found.results]
            assert all((result["dataset"], result["metrics"]) in published for result in model["results"])


def test_sizes_agree_with_what_mmpose_counts() -> None:
    cases = sorted((SHARED / "parity").glob("*.json"))
    if not cases:
        pytest.skip(NEEDED)
    counted = 0
    for case in cases:
        facts = json.loads(case.read_text(encoding="utf-8"))
        known = [m for m in zoo.models() if m.config == facts["config"] and "parameters" in facts]
        for model in known:
            counted += 1
            assert model.parameters == facts["parameters"], model.name
    assert counted > 10


# -- the commands


def test_the_list_shows_the_models_with_short_names() -> None:
    listed = commands.list_models()
    rows = {row[0]: dict(zip(listed.columns, row, strict=True)) for row in listed.rows}
    assert rows["face"]["keypoints"] == "lapa-106"
    assert rows["face"]["published"] == "NME 1.44 (Face6)"
    assert rows["face"]["size"] == "68 MB"
    assert rows["face"]["weights"] == "not downloaded"
    assert rows["face"]["training data"] == "non-commercial"
    assert rows["human, body, body17"]["speed"] == "fast"
    assert rows["vitpose-h"]["speed"] == "very slow"
    assert rows["face-lite"]["weights"] == "bundled"
    assert "MMPose" in listed.note
    assert len(commands.list_models(everything=True).rows) == len(zoo.models())


def test_the_list_can_be_printed_as_text_and_as_a_table() -> None:
    listed = commands.list_models()
    assert len(listed.text().splitlines()) == len(listed.rows) + 1
    assert listed.table().row_count == len(listed.rows)


def test_show_tells_all_that_is_known() -> None:
    said = commands.show("face")
    for fact in (
        "lapa-106",
        "72a37400",
        "NME 1.44",
        "metafiles",
        "yolox-s-face",
        "Apache-2.0",
        "LaPa: non-commercial use only",
        "not downloaded",
        "configs/face_2d_keypoint/rtmpose/face6/",
    ):
        assert fact in said
    with pytest.raises(ModelError):
        commands.show("fase")


def test_show_prints_the_cards_of_a_bundled_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "bundled" / "face-lite"
    folder.mkdir(parents=True)
    (folder / "b-pose.md").write_text("# Second card\n", encoding="utf-8")
    (folder / "a-detector.md").write_text("# First card\n", encoding="utf-8")
    monkeypatch.setattr(zoo, "_PACKAGE", tmp_path)
    assert commands.show("face-lite") == "# First card\n\n# Second card"


def test_pull_gets_a_model_and_its_detector(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ensure", lambda model, **_: Path(model.name))
    names = [model.name for model, _ in commands.pull(["face", "hand", "face"])]
    assert names == [m.name for pose in ("face", "hand") for m in (zoo.get(pose), zoo.detector_for(pose))]
    assert [model.name for model, _ in commands.pull(["face"], detectors=False)] == [zoo.get("face").name]


def test_weights_that_lie_in_their_place_are_here(home: Path) -> None:
    assert zoo.state("face") == "not downloaded"
    put_by_hand(home, zoo.get("face"), b"weights")
    assert zoo.state("face") == "downloaded"


def test_pull_of_an_unknown_name_fetches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "ensure", lambda *_, **__: pytest.fail("something was fetched"))
    with pytest.raises(ModelError, match="fase"):
        commands.pull(["hand", "fase"])


def test_pull_offline_says_where_the_file_belongs(home: Path) -> None:
    with pytest.raises(DownloadError, match="rtmpose-m_simcc-face6") as caught:
        commands.pull(["face"])
    assert str(home / "weights") in str(caught.value)
    assert "download.openmmlab.com" in str(caught.value)


def test_verify_finds_a_damaged_file_and_passes_a_good_one(home: Path) -> None:
    rtmw = zoo.get("rtmw-m_8xb1024-270e_cocktail14-256x192")  # its name has no hash
    good = put_by_hand(home, rtmw, b"\x80\x02 weights")
    bad = put_by_hand(home, zoo.get("face"), b"\x80\x02 weights")
    verdicts = {verdict.file: verdict for verdict in commands.verify() if not zoo.get(verdict.model).bundled}
    assert verdicts.keys() == {good, bad}
    assert verdicts[good].problem == ""
    digest = hashlib.sha256(bad.read_bytes()).hexdigest()[:8]
    assert verdicts[bad].problem == f"its SHA-256 begins with {digest} where its name says 72a37400"
    good.write_bytes(b"\x80\x02 other weights")
    assert "when it was first downloaded" in commands.verify([rtmw.name])[0].problem


def test_verify_of_what_is_not_here_is_an_error() -> None:
    with pytest.raises(DownloadError, match="limner models pull hand"):
        commands.verify(["hand"])


def test_list_show_pull_and_verify_know_the_weights_of_a_mirror(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def own(path: str, content: bytes) -> str:
        (tmp_path / "lab" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "lab" / path).write_bytes(content)
        return f"{hashlib.sha256(content).hexdigest()}  {path}\n"

    hand = zoo.get("hand")
    models = [hand, zoo.detector_for(hand)]
    paths = [str(model.weights).removeprefix(download.OPENMMLAB) for model in models]
    listed = "".join(own(path, b"\x80\x02 weights of our own") for path in paths)
    (tmp_path / "lab" / "SHA256SUMS").write_text(listed)
    monkeypatch.setenv("LIMNER_MIRRORS", str(tmp_path / "lab"))
    assert zoo.state("hand") == "not downloaded"
    pulled = commands.pull(["hand"])
    assert [model for model, _ in pulled] == models
    assert [
        file.relative_to(file.parents[len(Path(path).parts) - 1]).as_posix()
        for (_, file), path in zip(pulled, paths, strict=True)
    ] == paths
    assert zoo.state("hand") == "downloaded"
    shown = commands.show("hand")
    assert f"SHA256SUMS of {tmp_path / 'lab'}" in shown
    assert listed[:12] in shown
    assert str(pulled[0][1]) in shown
    verdicts = [verdict for verdict in commands.verify() if not zoo.get(verdict.model).bundled]
    assert {verdict.file for verdict in verdicts} == {file for _, file in pulled}
    assert all(not verdict.problem for verdict in verdicts)
    pulled[0][1].write_bytes(b"\x80\x02 weights of somebody")
    assert "where SHA256SUMS of" in commands.verify(["hand"])[0].problem
    monkeypatch.delenv("LIMNER_MIRRORS")
    assert zoo.state("hand") == "not downloaded"
    with pytest.raises(DownloadError, match="not downloaded"):
        commands.verify(["hand"])


@pytest.mark.parametrize("torch", [True, False])
def test_pull_fetches_the_form_that_runs_here(
    torch: bool, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if torch:
        pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
    else:
        monkeypatch.setitem(sys.modules, "torch", None)
    hand = zoo.get("hand")
    for url in (hand.onnx, zoo.detector_for(hand).onnx):
        assert url
        place = tmp_path / "lab" / url.removeprefix(download.OPENMMLAB)
        place.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("end2end.onnx", b"network")
    monkeypatch.setenv("LIMNER_MIRRORS", str(tmp_path / "lab"))
    assert f"ONNX          {hand.onnx}" in commands.show("hand")
    pulled = commands.pull(["hand"], onnx=torch)  # without torch it needs no saying
    assert [file.suffix for _, file in pulled] == [".zip", ".zip"]
    assert zoo.state("hand") == "downloaded"
    assert [verdict.problem for verdict in commands.verify(["hand"])] == [""]
    pulled[0][1].write_bytes(b"PK")
    assert "when it was first downloaded" in commands.verify(["hand"])[0].problem
    with pytest.raises(ModelError, match="no ONNX file of vitpose is published"):
        commands.pull(["vitpose"], onnx=True)


def test_a_cut_archive_is_refused(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hand = zoo.get("hand")
    assert hand.onnx
    place = tmp_path / "lab" / hand.onnx.removeprefix(download.OPENMMLAB)
    place.parent.mkdir(parents=True)
    with zipfile.ZipFile(place, "w") as archive:
        archive.writestr("end2end.onnx", bytes(5000))
    place.write_bytes(place.read_bytes()[:3000])
    monkeypatch.setenv("LIMNER_MIRRORS", str(tmp_path / "lab"))
    with pytest.raises(DownloadError, match="it is cut off"):
        zoo.ensure(hand.onnx)


def test_looking_models_up_loads_nothing_heavy() -> None:
    code = (
        "import sys; from limner import zoo; from limner.zoo import commands; zoo.get('face');"
        "print([m for m in ('numpy', 'cv2', 'torch', 'pooch', 'rich', 'requests', 'ssl') if m in sys.modules])"
    )
    source = Path(__file__).resolve().parents[1] / "src"
    made = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(source)}, capture_output=True, text=True)
    assert made.stdout.strip() == "[]", made.stderr
