"""Two hundred regions without a face, on which the false alarms of a face detector are counted.

The regions come from two sets of images: images of COCO in which no face can be seen (or the part beside the
one person), and the ground below the hips of upright athletes of LSP extended. The file beside this script,
`false_alarm_regions.json`, lists them; the images themselves are not part of the project. Every region was
checked by eye, enlarged. Every box that a detector returns in them counts as one false alarm. The
images must stay out of its training: see `held_out_files`.

    python training/false_alarm_regions.py --data ../shared/data              # check and list the regions
    python training/false_alarm_regions.py --data ../shared/data --show DIR   # save them as images
    python training/false_alarm_regions.py --data ../shared/data --rebuild    # write the data file again
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from limner.errors import InputError, LimnerError, OutputError

DATA_FILE = Path(__file__).with_suffix(".json")
FOLDERS = {"coco90": Path("people/coco90"), "lspet": Path("people/lspet")}
COUNT = 200
MIN_SIDE = 60  # px
SEED = 200

# COCO images without a face, and the box of the free part (None: the whole image).
# Left out although no face is plain: a teddy bear (466137), a mascot on a train (482585), a brow above a laptop
# (290843), heads seen from behind or a few pixels high (7511, 172648, 214753, 341719, 435206, 549055).
COCO_FREE: dict[str, tuple[int, int, int, int] | None] = {
    "000000002431.jpg": None,
    "000000160012.jpg": None,
    "000000231125.jpg": None,
    "000000301061.jpg": None,
    "000000370208.jpg": None,
    "000000397133.jpg": (0, 0, 284, 320),  # right of it a cook turns a cheek
    "000000418049.jpg": None,
    "000000434204.jpg": None,
    "000000501368.jpg": None,
    "000000580294.jpg": None,
}

# Crops below the hips that were seen to hold a face, a head, people far away, a painted figure, or too little light
# to tell; 01663 is a second copy of 03562.
LSPET_REJECTED = """
    00074 00314 00391 00427 00456 00581 01089 01527 01618 01663 01886 02794 03297 03619 03859 04037 04105 04152 04315
    04352 04429 04772 04803 05029 05031 05154 05236 05273 05298 05449 05860 05914 06048 06368 06500 06506 06521 06925
    07111 07238 07436 07585 07637 07874 07956 07972 08295 08615 08687 08945 08957 09252 09344 09638 09874
"""
COPIES = {"lspet": {"im01663.jpg"}}  # the same photograph as one that is used, under another name

# Rows of the 14 joints of LSP extended, each [x, y, visible] in px.
RIGHT_ANKLE, RIGHT_HIP, LEFT_HIP, LEFT_ANKLE, NECK, HEAD_TOP = 0, 2, 3, 5, 12, 13


def load_regions(data_root: Path | str) -> Iterator[tuple[str, np.ndarray]]:
    """Yield (name, image) of every region, in the order of the data file.

    Args:
        data_root: The folder that holds `people/coco90` and `people/lspet`.

    Yields:
        A name that is unique, such as "lspet/im00025.jpg", and the region as a (height, width, 3) uint8 array, BGR.

    Raises:
        InputError: An image is missing, cannot be read, or is smaller than its box.
    """
    for row in read_rows():
        image = _read_image(Path(data_root) / FOLDERS[row["data"]] / row["file"])
        x1, y1, x2, y2 = row["box"]
        height, width = image.shape[:2]
        if x2 > width or y2 > height:
            raise InputError(
                f"{row['data']}/{row['file']} is {width}x{height} pixels, too small for its region {row['box']}: "
                "take the same reduced images or run with --rebuild"
            )
        yield f"{row['data']}/{row['file']}", image[y1:y2, x1:x2].copy()


def held_out_files() -> dict[str, set[str]]:
    """Return, for each set of images, the file names that must never enter the training of a face detector.

    The whole image is held out, not only its region, and so is a known second copy of it.
    """
    held: dict[str, set[str]] = {name: set() for name in FOLDERS}
    for row in read_rows():
        held[row["data"]].add(row["file"])
    for name, files in COPIES.items():
        held[name] |= files
    return held


def read_rows() -> list[dict[str, Any]]:
    """Return the checked rows of the data file: {"data", "file", "box": [x1, y1, x2, y2]} in px, end exclusive.

    Raises:
        InputError: The data file is missing, or does not hold 200 different, sorted, large enough regions.
    """
    try:
        rows = json.loads(DATA_FILE.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"cannot read {DATA_FILE.name} ({error}): write it with --rebuild") from error
    check_rows(rows)
    return rows


def check_rows(rows: list[dict[str, Any]]) -> None:
    """Raise InputError unless the rows are 200 sorted regions of different images, each at least 60x60 px."""
    keys = [(row["data"], row["file"]) for row in rows]
    if len(rows) != COUNT:
        raise InputError(
            f"{DATA_FILE.name} holds {len(rows)} regions instead of {COUNT}: write it again with --rebuild"
        )
    if keys != sorted(set(keys)):
        raise InputError(f"{DATA_FILE.name} is not sorted or names an image twice: write it again with --rebuild")
    for row in rows:
        x1, y1, x2, y2 = row["box"]
        if row["data"] not in FOLDERS or min(x1, y1) < 0 or min(x2 - x1, y2 - y1) < MIN_SIDE:
            raise InputError(f"{DATA_FILE.name} has an impossible region {row}: write it again with --rebuild")


def rebuild(data_root: Path) -> list[dict[str, Any]]:
    """Choose the regions again: the COCO images listed above, and enough of LSP extended by the seed.

    The candidates of LSP extended are ordered by a hash of seed and name, which does not depend on the version of a
    random generator; those rejected by eye are skipped.
    """
    rows = []
    for file, box in COCO_FREE.items():
        height, width = _read_image(data_root / FOLDERS["coco90"] / file).shape[:2]
        rows.append({"data": "coco90", "file": file, "box": list(box or (0, 0, width, height))})
    rejected = {f"im{number}.jpg" for number in LSPET_REJECTED.split()}
    people = _read_people(data_root / "people" / "lspet.json")
    people.sort(key=lambda person: hashlib.sha256(f"{SEED}:{person['file']}".encode()).hexdigest())
    for person in people:
        box = below_hips(person)
        if box is not None and person["file"] not in rejected and len(rows) < COUNT:
            rows.append({"data": "lspet", "file": person["file"], "box": list(box)})
    rows.sort(key=lambda row: (row["data"], row["file"]))
    check_rows(rows)
    return rows


def below_hips(person: dict[str, Any]) -> tuple[int, int, int, int] | None:
    """Return the box under the hips of an upright person, (x1, y1, x2, y2) in px, or None where there is none.

    Upright: both hips, the neck or the top of the head, and an ankle are visible; the first lie at least a tenth of
    the image above the hips, every visible ankle lies below them. The box begins a twenty-fifth of the image
    under the lower hip, ends at the image's bottom, has its full width and at least 60 px on each side.
    """
    joints, width, height = person["joints"], person["width"], person["height"]
    hips = [joints[RIGHT_HIP], joints[LEFT_HIP]]
    tops = [joint for joint in (joints[NECK], joints[HEAD_TOP]) if joint[2]]
    ankles = [joint for joint in (joints[RIGHT_ANKLE], joints[LEFT_ANKLE]) if joint[2]]
    if not all(hip[2] for hip in hips) or not tops or not ankles:
        return None
    high_hip, low_hip = sorted(hip[1] for hip in hips)
    if max(top[1] for top in tops) > high_hip - 0.1 * height or min(ankle[1] for ankle in ankles) <= low_hip:
        return None
    y1 = math.ceil(low_hip + 0.04 * height)
    return (0, y1, width, height) if min(width, height - y1) >= MIN_SIDE else None


def _read_people(path: Path) -> list[dict[str, Any]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): --data must name the folder that holds people/") from error


def _read_image(path: Path) -> np.ndarray:
    image = cv2.imread(str(path), cv2.IMREAD_COLOR) if path.is_file() else None
    if image is None:
        raise InputError(f"cannot read the image {path}: --data must name the folder that holds people/")
    return image


def _save(folder: Path, name: str, image: np.ndarray) -> None:
    path = folder / f"{name.replace('/', '_').removesuffix('.jpg')}.png"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    except OSError as error:
        raise OutputError(f"cannot write {path} ({error.strerror}): choose another folder for --show") from error


def _write_rows(rows: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(row) for row in rows)
    try:
        DATA_FILE.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    except OSError as error:
        raise OutputError(
            f"cannot write {DATA_FILE} ({error.strerror}): run where the folder can be written"
        ) from error


def main(arguments: list[str] | None = None) -> int:
    """Check and list the regions; on request write the data file again or save the regions as images."""
    parser = argparse.ArgumentParser(description="Regions without a face, to count a detector's false alarms.")
    parser.add_argument("--data", type=Path, required=True, help="folder that holds people/coco90 and people/lspet")
    parser.add_argument("--show", type=Path, metavar="DIR", help="save every region as a PNG image here")
    parser.add_argument("--rebuild", action="store_true", help=f"write {DATA_FILE.name} again from the seed")
    options = parser.parse_args(arguments)
    try:
        if options.rebuild:
            _write_rows(rebuild(options.data))
        pixels = 0
        for name, image in load_regions(options.data):
            height, width = image.shape[:2]
            pixels += height * width
            print(f"{name}  {width}x{height}")
            if options.show:
                _save(options.show, name, image)
    except LimnerError as error:
        print(error, file=sys.stderr)
        return 1
    held = ", ".join(f"{len(files)} of {name}" for name, files in held_out_files().items())
    print(f"{COUNT} regions without a face, {pixels / 1e6:.2f} megapixels; held out of training: {held}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
