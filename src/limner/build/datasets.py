"""What a config says of the data sets that a model is trained and tested on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any

from ..keypoints import describes_keypoints

LOADERS = ("test_dataloader", "val_dataloader", "train_dataloader")
# data sets of MMPose whose class alone determines the keypoints: class -> the name of its file
DATASETS = {
    "AFLWDataset": "aflw",
    "AP10KDataset": "ap10k",
    "AicDataset": "aic",
    "AnimalKingdomDataset": "ak",
    "AnimalPoseDataset": "animalpose",
    "ATRWDataset": "atrw",
    "COFWDataset": "cofw",
    "CocoDataset": "coco",
    "CocoWholeBodyDataset": "coco_wholebody",
    "CocoWholeBodyFaceDataset": "coco_wholebody_face",
    "CocoWholeBodyHandDataset": "coco_wholebody_hand",
    "CrowdPoseDataset": "crowdpose",
    "DeepFashion2Dataset": "deepfashion2",
    "ExlposeDataset": "exlpose",
    "Face300VWDataset": "300vw",
    "Face300WDataset": "300w",
    "Face300WLPDataset": "300wlp",
    "FlyDataset": "fly",
    "FreiHandDataset": "freihand2d",
    "H36MWholeBodyDataset": "h3wb",
    "HalpeDataset": "halpe",
    "Horse10Dataset": "horse10",
    "Human36mDataset": "h36m",
    "HumanArt21Dataset": "humanart21",
    "HumanArtDataset": "humanart",
    "InterHand2DDoubleDataset": "interhand3d",
    "InterHand3DDataset": "interhand3d",
    "JhmdbDataset": "jhmdb",
    "LapaDataset": "lapa",
    "LocustDataset": "locust",
    "MacaqueDataset": "macaque",
    "MhpDataset": "mhp",
    "MpiiDataset": "mpii",
    "MpiiTrbDataset": "mpii_trb",
    "OCHumanDataset": "ochuman",
    "OneHand10KDataset": "onehand10k",
    "PanopticHand2DDataset": "panoptic_hand2d",
    "PoseTrack18Dataset": "posetrack18",
    "PoseTrack18VideoDataset": "posetrack18",
    "Rhd2DDataset": "rhd2d",
    "UBody2dDataset": "ubody2d",
    "WFLWDataset": "wflw",
    "ZebraDataset": "zebra",
}


def test_dataset(cfg: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the data set that a config's model is tested on, out of what wraps it; {} where there is none."""
    for loader in LOADERS[:2]:
        dataset = _of_loader(cfg, loader)
        while isinstance(dataset, Mapping) and "pipeline" not in dataset and "dataset" in dataset:
            dataset = dataset["dataset"]
        if isinstance(dataset, Mapping):
            return dataset
    return {}


def described(cfg: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield each description of keypoints in a config, the most binding first, and where it stands.

    A description is a ``metainfo`` that names a file (``from_file``) or holds the keypoints themselves. That of a
    data set counts before those of the ones that it joins, which it may convert.
    """
    for loader in LOADERS:
        for dataset in _nested(_of_loader(cfg, loader)):
            meta = dataset.get("metainfo")
            if isinstance(meta, Mapping) and (meta.get("from_file") or describes_keypoints(meta)):
                yield f"{loader}.dataset.metainfo", meta
                break


def dataset_type(cfg: Mapping[str, Any]) -> tuple[str, str] | None:
    """Return the class of a config's data set that determines the keypoints, and MMPose's name of them; else None."""
    for loader in LOADERS:
        for dataset in _nested(_of_loader(cfg, loader)):
            kind = str(dataset.get("type", "")).rpartition(".")[2]
            if kind == "DeepFashionDataset" and dataset.get("subset") in ("full", "upper", "lower"):
                return kind, f"deepfashion_{dataset['subset']}"
            if kind in DATASETS:
                return kind, DATASETS[kind]
    return None


def dataset_name(cfg: Mapping[str, Any]) -> str | None:
    """Return MMPose's name of the data set whose keypoints a config's model predicts, None where it names none."""
    for _, meta in described(cfg):
        file = meta.get("from_file")
        return PurePosixPath(str(file).replace("\\", "/")).stem if file else str(meta.get("dataset_name", "custom"))
    kind = dataset_type(cfg)
    return None if kind is None else kind[1]


def _of_loader(cfg: Mapping[str, Any], loader: str) -> Any:
    settings = cfg.get(loader)
    return settings.get("dataset") if isinstance(settings, Mapping) else None


def _nested(dataset: Any, depth: int = 0) -> Iterator[Mapping[str, Any]]:
    """Yield a data set and those that it wraps or joins, the outer ones first."""
    if not isinstance(dataset, Mapping) or depth > 10:
        return
    yield dataset
    yield from _nested(dataset.get("dataset"), depth + 1)
    joined = dataset.get("datasets")
    for part in joined if isinstance(joined, (list, tuple)) else ():
        yield from _nested(part, depth + 1)
