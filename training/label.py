"""Label images of people and hands with the teachers, one JSON line an image; run it again to continue.

    nice -n 19 python training/label.py ../data/raw --sets ccp flickr1k digits

A set is a folder of images; its labels go to ``<root>/<set>.jsonl``: ``{file, width, height, people, hands}``. People
have a box of RTMDet-nano and 17 points of MoveNet Thunder; hands have 21 points of MediaPipe, looked for in the whole
image and round every wrist. Each point comes from two mirror views; how far these lie apart, as a share of the
longer side of the box, says how far to trust it. The teachers label and are never shipped.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from faces import MODELS
from limner import loading
from limner.pipeline import Detector

sys.path.insert(0, str(MODELS / "teachers"))

DETECTOR = "demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py"
PEOPLE_SCORE = 0.3
MOST_PEOPLE = 4  # of an image, the largest first
LEAST_PERSON = 40  # px: smaller people get no points
REACH = 0.3  # from the wrist on, in forearms: the middle of the hand
WINDOW = 2.4  # side of the square round the hand that is searched, in forearms
SAME = 0.35  # hands whose points lie closer than this share of their size are one
HANDS_ONLY = ("digits", "subhi", "tsuki", "abimael", "brex", "derick", "lfpw_train", "youtube_training")


def people_of(image: np.ndarray, detector: Detector) -> list[dict[str, Any]]:
    """Return the people of an image, large ones with points and scores."""
    from teachers import body_views

    found = detector(image)
    order = np.argsort(-np.prod(found.xyxy[:, 2:] - found.xyxy[:, :2], axis=1))
    people = []
    for i in order:
        box = found.xyxy[i]
        person: dict[str, Any] = {"box": box.round(1).tolist(), "detector_score": round(float(found.scores[i]), 3)}
        if len(people) < MOST_PEOPLE and max(box[2:] - box[:2]) >= LEAST_PERSON:
            points, scores = body_views(image, box[None])
            weight = scores[:, 0, :, None] + 1e-6
            mean = (points[:, 0] * weight).sum(0) / weight.sum(0)
            apart = np.linalg.norm(points[0, 0] - points[1, 0], axis=1) / max(box[2:] - box[:2])
            person["keypoints"] = [
                [round(float(x), 1), round(float(y), 1), round(float(s), 3)]
                for (x, y), s in zip(mean, scores[:, 0].mean(0), strict=True)
            ]
            person["mirror_difference"] = apart.round(4).tolist()
        people.append(person)
    return people


def windows_of(people: list[dict[str, Any]], width: int, height: int) -> list[tuple[int, int, int, int]]:
    """Return squares round the hands, x1, y1, x2, y2, where elbows and wrists say they are."""
    windows = []
    for person in people:
        points = np.asarray(person.get("keypoints", np.zeros((0, 3))))
        for elbow, wrist in ((7, 9), (8, 10)) if len(points) else ():
            if points[wrist, 2] < 0.2:
                continue
            arm = points[wrist, :2] - points[elbow, :2]
            box = np.asarray(person["box"])
            length = np.clip(np.linalg.norm(arm), 0.12 * max(box[2:] - box[:2]), None)
            middle, half = points[wrist, :2] + REACH * arm, WINDOW * length / 2
            low = np.clip(middle - half, 0, (width, height)).astype(int)
            high = np.clip(middle + half, 0, (width, height)).astype(int)
            if (high - low).min() >= 16:
                windows.append((*low.tolist(), *high.tolist()))
    return windows


def hands_of(image: np.ndarray, windows: list[tuple[int, int, int, int]], thorough: bool) -> list[dict[str, Any]]:
    """Return the hands of an image, the surest first, each once."""
    from teachers import hand_views

    views = [hand_views(image, thorough)]
    for x1, y1, x2, y2 in windows:
        points, presence = hand_views(image[y1:y2, x1:x2])
        views.append((points + np.array([x1, y1], np.float32), presence))
    points = np.concatenate([v[0] for v in views], 1)
    presence = np.concatenate([v[1] for v in views], 1).min(0)
    hands: list[dict[str, Any]] = []
    for i in np.argsort(-presence):
        mean = points[:, i].mean(0)
        size = float(np.ptp(mean, axis=0).max())
        if any(np.linalg.norm(mean - h["keypoints"], axis=1).mean() < SAME * size for h in hands):
            continue
        apart = float(np.linalg.norm(points[0, i] - points[1, i], axis=1).mean() / max(size, 1))
        hands.append(
            {
                "keypoints": mean.round(1).tolist(),
                "presence": round(float(presence[i]), 4),
                "mirror_difference": round(apart, 4),
            }
        )
    return hands


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--sets", nargs="+", required=True)
    parser.add_argument("--every", type=int, default=1, help="label every n-th image only")
    args = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    detector = loading.open_detector(DETECTOR, MODELS / "rtmdet_nano_coco-person.pth", bbox_thr=PEOPLE_SCORE)
    for name in args.sets:
        out = args.root / f"{name}.jsonl"
        done = {json.loads(line)["file"] for line in out.open()} if out.exists() else set()
        files = sorted(p for p in (args.root / name).rglob("*") if p.suffix.lower() in (".jpg", ".png"))[:: args.every]
        with out.open("a") as lines:
            for path in files:
                file = str(path.relative_to(args.root))
                image = cv2.imread(str(path)) if file not in done else None
                if image is None:
                    continue
                height, width = image.shape[:2]
                people = [] if name in HANDS_ONLY else people_of(image, detector)
                windows = windows_of(people, width, height)
                hands = [] if name == "lsp" else hands_of(image, windows, name in HANDS_ONLY)
                entry = {"file": file, "width": width, "height": height, "people": people, "hands": hands}
                lines.write(json.dumps(entry) + "\n")
                lines.flush()
        print(f"{name}: {len(files)} images -> {out}", flush=True)


if __name__ == "__main__":
    main()
