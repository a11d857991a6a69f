"""The same drawn weights as .pth run by torch, and as OpenMMLab's ONNX archives without torch: the same keypoints.

`make onnx` prints how far they are apart, for every family of models that has both.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")
pytest.importorskip("onnx", reason="needs onnx: pip install -e .[test]")

from limner import build, checkpoint, config, zoo  # noqa: E402
from test_aliases import write_checkpoint  # noqa: E402

# a model of each family whose weights OpenMMLab publishes in both forms
FAMILIES = ("human", "body26", "face", "hand", "animal", "rtmpose-t_8xb256-420e_humanart-256x192", "rtmpose-l")
FAMILIES += ("dwpose-m", "rtmw-m_8xb1024-270e_cocktail14-256x192")
DETECTED = ("human", "hand")  # with their detectors, too
NEAR, SHARE = 0.05, 0.99  # pixels, and the share of keypoints that are so near
IMAGES = 2


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder laid out as OpenMMLab's server, with drawn weights in both forms."""
    folder = tmp_path_factory.mktemp("mirror")
    for name in FAMILIES:
        model = zoo.get(name)
        _offer(folder, model)
        if name in DETECTED:
            _offer(folder, zoo.detector_for(model))
    files = [file for file in folder.rglob("*") if file.suffix in (".pth", ".zip")]
    lines = [f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.relative_to(folder)}\n" for file in files]
    (folder / "SHA256SUMS").write_text("".join(lines))
    yield folder
    shutil.rmtree(folder)


def _offer(folder: Path, model: zoo.ModelInfo) -> None:
    assert model.weights
    assert model.onnx
    pth, archive = (folder / url.removeprefix("https://download.openmmlab.com/") for url in (model.weights, model.onnx))
    for file in (pth, archive):
        file.parent.mkdir(parents=True, exist_ok=True)
    write_checkpoint(model.config, pth, reach=96)
    exported = folder / "end2end.onnx"
    deploy(model, pth, exported)
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(exported, f"20230831/rtmpose_onnx/{archive.stem}/end2end.onnx")
    exported.unlink()


def deploy(model: zoo.ModelInfo, pth: Path, target: Path) -> None:
    """Export a network in the form of MMDeploy: normalised floats in; SimCC vectors, or suppressed boxes, out."""
    cfg = config.load(model.config)
    network = build.network(cfg["model"], empty=True)
    build.load_weights(network, checkpoint.load(pth).state_dict, name=str(pth))
    if model.kind == "pose":
        spec: Any = build.pose_spec(cfg)
        module, outputs, axes = AsTuple(network), ["simcc_x", "simcc_y"], {0: "batch"}
    else:
        spec = build.detector_spec(cfg)
        module, outputs, axes = Suppressed(network, spec), ["dets", "labels"], {0: "batch", 1: "num_dets"}
    width, height = spec.size
    fixed = {} if model.kind == "detector" else {"input": {0: "batch"}}
    old = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            (torch.rand(1, 3, height, width),),
            str(target),
            input_names=["input"],
            output_names=outputs,
            dynamic_axes=fixed | dict.fromkeys(outputs, axes),
            opset_version=17,
            **old,
        )


class AsTuple(torch.nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Any) -> Any:
        return tuple(self.network(x))


class Nms(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, boxes: Any, *_: Any) -> Any:
        return torch.tensor([[0, 0, 0], [0, 0, 1]])

    @staticmethod
    def symbolic(g: Any, *inputs: Any) -> Any:
        return g.op("NonMaxSuppression", *inputs)


class Suppressed(torch.nn.Module):
    """RTMDet with its boxes decoded and suppressed, for one image and one class."""

    def __init__(self, network: Any, spec: build.DetectorSpec) -> None:
        super().__init__()
        self.network, self.spec = network, spec

    def forward(self, x: Any) -> Any:
        levels = [
            level for group in self.network(x) for level in (group if isinstance(group, (list, tuple)) else [group])
        ]
        n, boxes, scores = len(self.spec.strides), [], []
        for cls, reg, stride in zip(levels[:n], levels[n:], self.spec.strides, strict=True):
            rows, columns = cls.shape[2:]
            y, x_ = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
            point = torch.stack([x_, y], -1).reshape(1, -1, 2).float() * stride
            side = reg.flatten(2).permute(0, 2, 1)
            corners = torch.cat([point - side[..., :2], point + side[..., 2:]], -1)
            boxes.append(corners.clamp(0, float(self.spec.size[0])))
            scores.append(cls.flatten(2).sigmoid())
        box, score = torch.cat(boxes, 1), torch.cat(scores, 2)
        limits = (torch.tensor([100]), torch.tensor([self.spec.iou_threshold]), torch.tensor([self.spec.score_thr]))
        kept = Nms.apply(box, score, *limits)[:, 2]
        dets = torch.cat([box[0, kept], score[0, 0, kept, None]], 1)[None]
        return dets, torch.zeros_like(dets[..., 0]).long()


# -- both ways, each in a process of its own

RUN = """
import json, sys
from pathlib import Path
names, folder, torch_free = json.loads(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "onnx"
if torch_free:
    sys.modules["torch"] = None
import cv2, numpy as np
from limner import loading
from limner.types import Boxes, Frame
frames = [Frame(cv2.imread(str(file))) for file in sorted(folder.glob("*.png"))]
boxes = np.array([[30, 20, 220, 300], [60, 60, 200, 200], [5, 5, 310, 310]], np.float32)
given = [Boxes(boxes, np.ones(3, np.float32), np.zeros(3, np.int64))] * len(frames)
found = {}
for name, det in names:
    pipeline = loading.load(name, det=det, backend="auto" if torch_free else "torch", device="cpu", info=print)
    results = pipeline.many(frames, given if det else None)
    found[f"{name} {det}"] = [[r.keypoints.tolist(), r.scores.tolist(), r.boxes.xyxy.tolist()] for r in results]
(folder / f"{sys.argv[3]}.json").write_text(json.dumps(found))
"""


def run(names: list[tuple[str, str | None]], folder: Path, form: str, mirror: Path) -> dict[str, Any]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_")}
    environment |= {"LIMNER_HOME": str(folder / f"home-{form}"), "LIMNER_MIRRORS": str(mirror), "LIMNER_OFFLINE": "1"}
    command = [sys.executable, "-c", RUN, json.dumps(names), str(folder), form]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr
    fetched = {file.suffix for file in (folder / f"home-{form}" / "weights").rglob("*") if file.is_file()}
    assert fetched - {""} == {".zip" if form == "onnx" else ".pth"}, "the other form was fetched"
    return json.loads((folder / f"{form}.json").read_text())


def test_both_forms_give_the_same_keypoints(mirror: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for i in range(IMAGES):
        image = cv2.resize(rng.integers(0, 256, (8, 8, 3), np.uint8), (320, 320), interpolation=cv2.INTER_CUBIC)
        cv2.circle(image, (160, 90), 50, (80, 120, 220), -1)
        cv2.imwrite(str(tmp_path / f"{i}.png"), image)
    names = [*((name, "none") for name in FAMILIES), *((name, None) for name in DETECTED)]
    theirs, ours = (run(names, tmp_path, form, mirror) for form in ("pth", "onnx"))
    print(f"\n{'model':46} {'boxes':>8} {'keypoints':>9} {'within 0.05 px':>15} {'farthest':>9}")
    failed = []
    for name, expected in theirs.items():
        far = []
        for (points, scores, boxes), (points_, scores_, boxes_) in zip(expected, ours[name], strict=True):
            assert np.shape(points) == np.shape(points_)
            assert np.allclose(boxes, boxes_, atol=0.01)
            assert np.allclose(scores, scores_, atol=1e-3, rtol=1e-3)
            far.append(np.linalg.norm(np.subtract(points, points_), axis=-1).ravel())
        distance = np.concatenate(far)
        share = (distance <= NEAR).mean()
        kind = "given" if name.endswith("none") else "detected"
        print(f"{name.split()[0]:46} {kind:>8} {distance.size:9} {share:15.2%} {distance.max():9.4f}")
        if share < SHARE or not distance.size:
            failed.append(name)
    assert not failed
