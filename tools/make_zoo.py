"""Write src/limner/zoo/models.json from MMPose's published facts and limner's own configs.

python tools/make_zoo.py FACTS

FACTS is a JSON file with the contents of MMPose's model metafiles: under "pose" a list of
``{name, config, alias, weights, architecture, training_data, results}``. Names, addresses and
published results come from it; sizes are counted by building each own config with limner (torch,
on its meta device, so nothing is computed); keypoint sets come from the configs. The detectors, which
MMPose's metafiles do not list, are listed here.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from onnx_archives import onnx_of
from torch.utils.flop_counter import FlopCounterMode

from limner import build, config, keypoints
from limner.checkpoint import fingerprint
from limner.config.paths import OWN
from limner.errors import ArgumentError, ConfigError
from limner.zoo.store import sha256_prefix

TARGET = Path(__file__).resolve().parents[1] / "src" / "limner" / "zoo" / "models.json"
SOURCE = "MMPose's model metafiles at commit 759b39c"
MMDET_SOURCE = "MMDetection 3.3.0's model metafiles"
RTMPOSE_SOURCE = "MMPose's projects/rtmpose/README.md"
FACE_SOURCE = "MMPose's demo/docs/en/mmdet_modelzoo.md"
OPENMMLAB = "https://download.openmmlab.com/"
PUBLISHED = f"{OPENMMLAB}mmdetection/"
RTMPOSE = f"{OPENMMLAB}mmpose/v1/projects/rtmposev1/"

PERSON, FACE, HAND, ANIMAL = (
    "rtmdet_m_640-8xb32_coco-person",
    "yolox-s_8xb8-300e_coco-face",
    "rtmdet_nano_320-8xb32_hand",
    "rtmdet_m_8xb32-300e_coco",
)
ANIMALS = list(range(15, 24))  # COCO's cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe; as in MMPose

# where two models of MMPose claim one alias, MMPose loads this one
FIRST_OF_ALIAS = {
    "face": "rtmpose-m_8xb256-120e_face6-256x256",
    "wholebody": "rtmpose-m_8xb64-270e_coco-wholebody-256x192",
}
NOT_HERE = {
    "rtmo": "a one-stage model, and limner estimates poses inside detected boxes",
    "edpose": "a one-stage model, and limner estimates poses inside detected boxes",
    "human3d": "a 3D model, and limner finds 2D keypoints",
    "hand3d": "a 3D model, and limner finds 2D keypoints",
}
# licences of training data, as its authors state them: a class, and a note
NO_LICENCE = ("unknown", "no licence known; ask the authors before commercial use")
LICENCES = {
    "COCO": ("mixed", "annotations CC BY 4.0; images under their Flickr licences, some non-commercial"),
    "COCO-WholeBody": ("restricted", "annotations CC BY-NC 4.0, research and non-commercial use only"),
    "Objects365": ("restricted", "academic purposes only"),
    "Human-Art": ("restricted", "non-commercial use only"),
    "Halpe": NO_LICENCE,
    "AI Challenger": NO_LICENCE,
    "CrowdPose": NO_LICENCE,
    "MPII": NO_LICENCE,
    "sub-JHMDB": NO_LICENCE,
    "PoseTrack18": NO_LICENCE,
    "ExLPose": NO_LICENCE,
    "UBody": NO_LICENCE,
    "AP-10K": ("free", "CC BY 4.0"),
    "300W": ("restricted", "annotations for research use only"),
    "300W-LP": ("restricted", "made from 300-W: annotations for research use only"),
    "AFLW": ("restricted", "non-commercial research use only"),
    "COFW": NO_LICENCE,
    "LaPa": ("restricted", "non-commercial use only"),
    "WFLW": NO_LICENCE,
    "OneHand10K": NO_LICENCE,
    "FreiHAND": NO_LICENCE,
    "RHD": NO_LICENCE,
    "InterHand2.6M": ("restricted", "CC BY-NC 4.0"),
}
DATA_NAMES = {  # MMPose's spellings -> ours
    "COCO-Wholebody-Face": "COCO-WholeBody",
    "COCO-WholeBody-Face": "COCO-WholeBody",
    "COCO-Wholebody-Hand": "COCO-WholeBody",
    "COCO-WholeBody-Hand": "COCO-WholeBody",
    "ExLPose-LL": "ExLPose",
    "FreiHand": "FreiHAND",
    "FreiHand2d": "FreiHAND",
    "RHD2d": "RHD",
}
COCKTAIL14 = ["AI Challenger", "CrowdPose", "MPII", "sub-JHMDB", "Halpe", "PoseTrack18", "COCO-WholeBody", "UBody"]
COCKTAIL14 += ["Human-Art", "WFLW", "300W", "COFW", "LaPa", "InterHand2.6M"]


def trained_on(name: str, stated: str | list[str]) -> list[str]:
    """Return the training data of a model: for some models the metafiles omit or combine it."""
    if "cocktail14" in name:
        return COCKTAIL14
    if "_ubody-" in name:
        return ["COCO-WholeBody", "UBody"]
    return list(dict.fromkeys(DATA_NAMES.get(d, d) for d in ([stated] if isinstance(stated, str) else stated)))


def coco_detector(name: str, alias: str, old_name: str, path: str, box_ap: float) -> dict[str, Any]:
    """Return the facts of a detector of MMDetection's model zoo, trained on COCO's 80 classes."""
    family = name.split("_")[0]
    return {
        "name": name,
        "aliases": [alias, *([old_name] if old_name else [])],
        "family": {"rtmdet": "RTMDet", "yolox": "YOLOX"}[family],
        "config": f"mmdet/{family}/{name}.py",
        "weights": f"{PUBLISHED}{path}",
        "training_data": ["COCO"],
        "results": [{"dataset": "COCO", "metrics": {"box AP": box_ap}, "source": MMDET_SOURCE}],
    }


def own_detector(
    name: str, alias: str, config_path: str, weights: str, data: list[str], result: tuple[str, float, str]
) -> dict[str, Any]:
    """Return the facts of a detector of one class that MMPose publishes."""
    return {
        "name": name,
        "aliases": [alias],
        "family": "YOLOX" if name.startswith("yolox") else "RTMDet",
        "config": config_path,
        "weights": f"{OPENMMLAB}mmpose/{weights}",
        "training_data": data,
        "results": [{"dataset": result[0], "metrics": {"box AP": result[1]}, "source": result[2]}],
    }


DETECTORS = [
    own_detector(
        PERSON,
        "rtmdet-m-person",
        f"demo/mmdetection_cfg/{PERSON}.py",
        "v1/projects/rtmposev1/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
        ["COCO", "Objects365"],
        ("COCO, persons", 62.5, RTMPOSE_SOURCE),
    ),
    own_detector(
        FACE,
        "yolox-s-face",
        f"demo/mmdetection_cfg/{FACE}.py",
        "mmdet_pretrained/yolo-x_8xb8-300e_coco-face_13274d7c.pth",
        ["COCO-WholeBody"],
        ("COCO, faces", 40.8, FACE_SOURCE),
    ),
    own_detector(
        HAND,
        "rtmdet-nano-hand",
        f"demo/mmdetection_cfg/{HAND}.py",
        "v1/projects/rtmposev1/rtmdet_nano_8xb32-300e_hand-267f9c8f.pth",
        ["OneHand10K", "FreiHAND", "RHD", "Halpe"],
        ("OneHand10K", 76.0, RTMPOSE_SOURCE),
    ),
    own_detector(
        "rtmdet_nano_320-8xb32_coco-person",
        "rtmdet-nano-person",
        "projects/rtmpose/rtmdet/person/rtmdet_nano_320-8xb32_coco-person.py",
        "v1/projects/rtmpose/rtmdet_nano_8xb32-100e_coco-obj365-person-05d8511e.pth",
        ["COCO", "Objects365"],
        ("COCO, persons", 40.3, RTMPOSE_SOURCE),
    ),
    *(
        coco_detector(f"rtmdet_{size}_8xb32-300e_coco", f"rtmdet-{alias}", "", f"v3.0/rtmdet/{folder}/{file}", ap)
        for size, alias, ap, stamp in (
            ("tiny", "t", 40.9, "20220902_112414-78e30dcc"),
            ("s", "s", 44.5, "20220905_161602-387a891e"),
            ("m", "m", 49.1, "20220719_112220-229f527c"),
            ("l", "l", 51.3, "20220719_112030-5a0be7c4"),
            ("x", "x", 52.6, "20220715_230555-cc79b9ae"),
        )
        for folder in [f"rtmdet_{size}_8xb32-300e_coco"]
        for file in [f"{folder}_{stamp}.pth"]
    ),
    *(
        coco_detector(f"yolox_{size}_8xb8-300e_coco", f"yolox-{size}", folder, f"v2.0/yolox/{folder}/{file}", ap)
        for size, ap, stamp in (
            ("tiny", 32.0, "20211124_171234-b4047906"),
            ("s", 40.5, "20211121_095711-4592a793"),
            ("l", 49.4, "20211126_140236-d3bd2b23"),
            ("x", 50.9, "20211126_140254-1ef88d67"),
        )
        for folder in [f"yolox_{size}_8x8_300e_coco"]
        for file in [f"{folder}_{stamp}.pth"]
    ),
]
WHOLEBODY = "configs/wholebody_2d_keypoint/rtmpose/coco-wholebody/"
# whole bodies, distilled (DWPose): MMPose's metafiles do not list them, its projects/rtmpose/README.md does
DWPOSE = [
    {
        "name": f"dwpose-{size}_coco-ubody-wholebody-{pixels}",
        "aliases": [alias],
        "kind": "pose",
        "family": "RTMPose",
        "config": f"{WHOLEBODY}rtmpose-{size}_{batch}-270e_coco-wholebody-{pixels}.py",
        "weights": f"{RTMPOSE}rtmpose-{size}_simcc-ucoco_dw-ucoco_270e-{pixels}-{stamp}.pth",
        "sha256": stamp.partition("_")[0],
        "detector": PERSON,
        "detector_classes": [0],
        "training_data": ["COCO-WholeBody", "UBody"],
        "results": [
            {
                "dataset": "COCO-WholeBody",
                "metrics": {"Whole AP": ap, "Whole AR": ar},
                "source": RTMPOSE_SOURCE,
            }
        ],
    }
    for size, pixels, batch, stamp, alias, ap, ar in (
        ("m", "256x192", "8xb64", "c8b76419_20230728", "dwpose-m", 0.606, 0.695),
        ("l", "256x192", "8xb64", "4d6dfc62_20230728", "dwpose-l", 0.631, 0.717),
        ("l", "384x288", "8xb32", "2438fd99_20230728", "dwpose-l-384", 0.665, 0.743),
    )
]
BUNDLED: list[dict[str, Any]] = [
    {
        "name": "face-lite",
        "aliases": [],
        "kind": "pose",
        "family": "RTMPose",
        "config": "limner/rtmpose_face-lite_300w-160x160.py",
        "bundled": "face-lite/pose.onnx",
        "detector": "face-lite-detector",
        "training_data": [],
        "results": [],
    },
    {
        "name": "face-lite-detector",
        "aliases": [],
        "kind": "detector",
        "family": "RTMDet",
        "config": "limner/rtmdet_face-lite_288.py",
        "bundled": "face-lite/detector.onnx",
        "training_data": [],
        "results": [],
    },
]


def in_zoo(path: str) -> bool:
    """Return whether a model of MMPose belongs to the zoo, by the path of its config."""
    _, kind, *_ = path.split("/")
    name = Path(path).name.lower()
    if kind in ("face_2d_keypoint", "hand_2d_keypoint", "wholebody_2d_keypoint"):
        return True
    if kind == "body_2d_keypoint":
        return name.startswith(("rtmpose", "td-hm_hrnet", "td-hm_vitpose"))
    return name.startswith("rtmpose") and kind == "animal_2d_keypoint"


def default_detector(path: str) -> tuple[str, list[int]]:
    """Return the name of MMPose's default detector for a pose model, and the classes to keep."""
    kind = path.split("/")[1]
    return {
        "animal_2d_keypoint": (ANIMAL, ANIMALS),
        "face_2d_keypoint": (FACE, [0]),
        "hand_2d_keypoint": (HAND, [0]),
    }.get(kind, (PERSON, [0]))


def keypoint_set(cfg: dict[str, Any]) -> str:
    file = cfg["test_dataloader"]["dataset"]["metainfo"]["from_file"]
    try:
        return keypoints.by_mmpose_name(file).name
    except ArgumentError:
        return keypoints.from_dataset_meta(config.load(file)["dataset_info"]).name


def facts_of_network(path: str) -> dict[str, Any]:
    """Return the facts of an own config: input size, parameters, multiply-accumulates; none without such a config."""
    if not (OWN / path).is_file():
        return {}
    cfg = config.load(OWN / path)
    try:
        size = build.pose_spec(cfg).size if "codec" in cfg else build.detector_spec(cfg).size
        with torch.device("meta"):
            network = build.network(cfg["model"]).eval()
            image = torch.zeros(1, 3, size[1], size[0])
        with FlopCounterMode(display=False) as flops, torch.no_grad():
            network(image)
    except ConfigError as error:
        print(f"{path}: {error}", file=sys.stderr)
        return {}
    facts: dict[str, Any] = {
        "input_size": list(size),
        "parameters": sum(p.numel() for p in network.parameters()),
        "gmacs": round(flops.get_total_flops() / 2e9, 3),
        "fingerprint": fingerprint({key: tuple(value.shape) for key, value in network.state_dict().items()}),
    }
    return facts | ({"keypoints": keypoint_set(cfg)} if "codec" in cfg else {})


def facts_of_path(path: str) -> dict[str, Any]:
    """Return the facts in the path of a config whose family limner does not build."""
    height, width = map(int, re.findall(r"(\d+)x(\d+)", Path(path).stem)[-1])
    return {"input_size": [width, height], "keypoints": keypoints.by_mmpose_name(dataset_of_path(path)).name}


def dataset_of_path(path: str) -> str:
    return path.split("/")[-2].replace("-", "_")


def pose_entries(facts: list[dict[str, Any]]) -> Iterable[dict[str, Any]]:
    merged: dict[str, dict[str, Any]] = {}
    for model in facts:
        path = model["config"]
        if not path.startswith("configs/") or not in_zoo(path):
            continue
        name = Path(path).stem  # the metafiles have wrong names for some models, and list some twice
        results = [{"dataset": r["dataset"], "metrics": r["metrics"], "source": SOURCE} for r in model["results"]]
        if name in merged:
            if merged[name]["weights"] != model["weights"]:
                raise SystemExit(f"{name} has two different weights in FACTS")
            merged[name]["results"] += results
            continue
        alias = model["alias"] or []
        alias = [alias] if isinstance(alias, str) else alias
        family = model["architecture"][0] if model["architecture"] else ""
        chosen, categories = default_detector(path)
        merged[name] = {
            "name": name,
            "aliases": [a for a in alias if FIRST_OF_ALIAS.get(a, name) == name],
            "kind": "pose",
            "family": "RTMW" if name.startswith("rtmw") else family,
            "config": path,
            "weights": model["weights"],
            "sha256": sha256_prefix(model["weights"].rsplit("/", 1)[-1]),
            "detector": chosen,
            "detector_classes": categories,
            "training_data": trained_on(name, model["training_data"]),
            "results": results,
        }
        merged[name] |= facts_of_network(path) or facts_of_path(path)
    return merged.values()


def main(facts_file: str) -> None:
    facts = json.loads(Path(facts_file).read_text(encoding="utf-8"))
    models = [m | facts_of_network(m["config"]) for m in BUNDLED]
    models += pose_entries(facts["pose"])
    models += [m | facts_of_network(str(m["config"])) for m in DWPOSE]
    models += [
        m
        | {"kind": "detector", "sha256": sha256_prefix(m["weights"].rsplit("/", 1)[-1])}
        | facts_of_network(m["config"])
        for m in DETECTORS
    ]
    for model in models:
        model |= onnx_of(model.get("weights", ""))
    unlicensed = {d for m in models for d in m["training_data"]} - LICENCES.keys()
    if unlicensed:
        raise SystemExit(f"LICENCES has no entry for {', '.join(sorted(unlicensed))}: add one")
    head = {
        "head": (
            f"Written by tools/make_zoo.py. Names, aliases, addresses and results of pose models: {SOURCE}; of "
            f"detectors: MMPose's Inferencer and documentation, {MMDET_SOURCE}. Parameters and gmacs (10^9 "
            "multiplications with addition, one image): counted by building limner's own config. sha256: the prefix "
            "in the file's name. onnx: the archives that MMPose and rtmlib link, made from these weights. fingerprint: "
            "of the keys and shapes of the weights."
        ),
        "not_here": NOT_HERE,
        "data_licences": dict(sorted(LICENCES.items())),
    }
    lines = ",\n".join("    " + json.dumps(m, ensure_ascii=False) for m in models)
    body = json.dumps(head, indent=2, ensure_ascii=False)[:-2]
    TARGET.write_text(f'{body},\n  "models": [\n{lines}\n  ]\n}}\n', encoding="utf-8")
    print(f"{len(models)} models -> {TARGET}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    main(sys.argv[1])
