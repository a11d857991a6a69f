"""The faces that the bundled models are trained on: records of images, boxes and landmarks.

A record is an image with the boxes of its faces, boxes that may or may not be faces
("ignore": without influence on the loss), and 68 landmarks where they are annotated.
Images of people without face annotations get their boxes from a teacher (YuNet, Wu et al. 2023).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np

from false_alarm_regions import held_out_files
from limner.runtimes.onnx import import_onnxruntime

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
MODELS = DATA.parent / "models"
VALIDATE_EVERY = 8  # every 8th LFPW image is held out to estimate the quality
FOREHEAD = 0.42  # brow-to-hairline distance as a share of the eye-to-chin one, fitted to the teacher's boxes


@dataclass
class Record:
    """One image: path relative to the data folder, boxes ``[x1, y1, x2, y2]``, 68 landmarks or none."""

    file: str
    split: str
    boxes: list[list[float]] = field(default_factory=list)
    ignore: list[list[float]] = field(default_factory=list)
    keypoints: list[list[float]] | None = None


def outline(keypoints: np.ndarray) -> np.ndarray:
    """Return the 68 landmarks and ten forehead points above the brows, float32 [78, 2].

    Their bounding rectangle is the box of the face for a detector, forehead to chin, at any rotation.
    """
    up = keypoints[36:48].mean(0) - keypoints[8]
    return np.concatenate([keypoints, keypoints[17:27] + FOREHEAD * up]).astype(np.float32)


def face_box(keypoints: np.ndarray) -> np.ndarray:
    """Return the face's box ``[x1, y1, x2, y2]`` from 68 landmarks ``[68, 2]``."""
    points = outline(keypoints)
    return np.concatenate([points.min(0), points.max(0)])


class Teacher:
    """YuNet, run on an image of any size."""

    def __init__(self, path: Path = MODELS / "yunet_n_dynamic.onnx") -> None:
        self.session = import_onnxruntime().InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.names = [o.name for o in self.session.get_outputs()]

    def __call__(self, image: np.ndarray, threshold: float = 0.3, scale: float = 1.0) -> np.ndarray:
        """Return the faces of a BGR image as float32 [N, 5]: box in pixels, score."""
        if scale != 1:
            image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
        height, width = (-(-s // 32) * 32 for s in image.shape[:2])
        padded = np.zeros((height, width, 3), np.float32)
        padded[: image.shape[0], : image.shape[1]] = image
        out = dict(zip(self.names, self.session.run(None, {"input": padded.transpose(2, 0, 1)[None]}), strict=True))
        found = []
        for stride in (8, 16, 32):
            score = np.sqrt(out[f"cls_{stride}"][0, :, 0].clip(0, 1) * out[f"obj_{stride}"][0, :, 0].clip(0, 1))
            keep = np.flatnonzero(score >= threshold)
            box = out[f"bbox_{stride}"][0][keep]
            columns = width // stride
            centre = (np.stack([keep % columns, keep // columns], 1) + box[:, :2]) * stride
            half = np.exp(box[:, 2:]) * stride / 2
            found.append(np.column_stack([centre - half, centre + half, score[keep]]))
        faces = np.concatenate(found)
        rects = np.column_stack([faces[:, :2], faces[:, 2:4] - faces[:, :2]])
        kept = np.asarray(cv2.dnn.NMSBoxes(rects.tolist(), faces[:, 4].tolist(), threshold, 0.3), dtype=int).reshape(-1)
        faces = faces[kept].astype(np.float32)
        faces[:, :4] /= scale
        return faces


def overlap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the intersection over union of boxes ``[N, 4]`` and ``[M, 4]`` as ``[N, M]``."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    inter = np.clip(high - low, 0, None).prod(2)
    area = [np.clip(s[:, 2:4] - s[:, :2], 0, None).prod(1) for s in (a, b)]
    return inter / np.maximum(area[0][:, None] + area[1][None] - inter, 1e-9)


def is_validation(split: str, index: int) -> bool:
    """Return whether image ``index`` of a split is held out of training."""
    return split == "lfpw_train" and index % VALIDATE_EVERY == 3


def annotated(data: Path, split: str) -> Iterator[tuple[int, str, np.ndarray]]:
    """Yield (index, file, landmarks [68, 2]) of one split of faces68."""
    for index, entry in enumerate(json.loads((data / "faces68" / f"{split}.json").read_text())):
        yield index, f"faces68/{split}/{entry['file']}", np.asarray(entry["keypoints"], np.float32)


def _landmarked(data: Path, split: str, teacher: Teacher) -> Iterator[Record]:
    """Yield records of annotated faces; other faces of the image come from the teacher."""
    for index, file, points in annotated(data, split):
        if is_validation(split, index):
            continue
        record = Record(file, split, [face_box(points).tolist()], keypoints=points.tolist())
        if split == "lfpw_train":
            for face in teacher(cv2.imread(str(data / file))):
                if overlap(face[None, :4], np.asarray(record.boxes[:1]))[0, 0] > 0.2:
                    continue
                (record.boxes if face[4] > 0.7 else record.ignore).append(face[:4].tolist())
        yield record


def _people(
    data: Path, folder: str, teacher: Teacher, scales: tuple[float, ...], sure_from: float, widest: float = 1e9
) -> Iterator[Record]:
    """Yield records of people without face annotations: boxes where the teacher is sure, else ignored boxes."""
    held_out = held_out_files()[folder]
    for path in sorted((data / "people" / folder).glob("*.jpg")):
        if path.name in held_out:
            continue
        record = Record(f"people/{folder}/{path.name}", folder)
        image = cv2.imread(str(path))
        found = np.concatenate([teacher(image, 0.3, s) for s in scales])
        found = found[np.argsort(-found[:, 4])]
        taken = np.zeros((0, 4), np.float32)
        for face in found:
            if len(taken) and overlap(face[None, :4], taken).max() > 0.3:
                continue
            taken = np.concatenate([taken, face[None, :4]])
            sure = face[4] > sure_from and face[2] - face[0] < widest
            (record.boxes if sure else record.ignore).append(face[:4].tolist())
        yield record


def _heads(data: Path) -> dict[str, np.ndarray]:
    """Return the square around each LSPET athlete's head, where a face may be hidden from the teacher."""
    heads = {}
    for entry in json.loads((data / "people" / "lspet.json").read_text()):
        neck, top = np.asarray(entry["joints"], np.float32)[12:14, :2]
        half = min(0.75 * float(np.linalg.norm(top - neck)) + 2, 0.15 * max(entry["width"], entry["height"]))
        centre = (neck + top) / 2
        heads[f"people/lspet/{entry['file']}"] = np.concatenate([centre - half, centre + half])
    return heads


def build(data: Path = DATA) -> list[Record]:
    """Return all training records (takes a few minutes)."""
    teacher = Teacher()
    records = [r for split in ("lfpw_train", "youtube_training") for r in _landmarked(data, split, teacher)]
    heads = _heads(data)
    for record in _people(data, "lspet", teacher, (2.0, 3.0), 0.75, 40):
        head = heads[record.file]
        centres = [((b[0] + b[2]) / 2, (b[1] + b[3]) / 2) for b in record.boxes]
        if not any(head[0] < x < head[2] and head[1] < y < head[3] for x, y in centres):
            record.ignore.append(head.tolist())
        records.append(record)
    records.extend(_people(data, "coco90", teacher, (1.0, 2.0), 0.82))
    return records


def load(path: Path) -> list[Record]:
    """Read the records that `build` made."""
    return [Record(**entry) for entry in json.loads(path.read_text())]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--out", type=Path, default=Path("runs/faces.json"))
    args = parser.parse_args()
    args.out.parent.mkdir(parents=True, exist_ok=True)
    found = build(args.data)
    args.out.write_text(json.dumps([asdict(r) for r in found]))
    print(f"{len(found)} images, {sum(len(r.boxes) for r in found)} faces -> {args.out}")
