"""Draw the keypoints of the faces in an image: the given one, or a portrait from scikit-image.

    python demo/face_demo.py [IMAGE ...]

The portrait is NASA's, of Eileen Collins, in the public domain.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from limner import cli


def portrait(folder: Path) -> Path:
    """Write scikit-image's image of an astronaut into a folder; return its path."""
    import cv2
    from skimage import data

    path = folder / "astronaut.png"
    cv2.imwrite(str(path), cv2.cvtColor(data.astronaut(), cv2.COLOR_RGB2BGR))
    return path


def main(images: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        inputs = images or [str(portrait(Path(folder)))]
        sys.argv = ["limner", "run", *inputs, "--out", "limner-out", "--json", "limner-out", "--overwrite"]
        cli.main()


if __name__ == "__main__":
    main(sys.argv[1:])
