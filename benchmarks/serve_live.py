"""How fast `limner serve` outlines one face in a browser: frames a second, and the time from capture to drawn points.

    python benchmarks/serve_live.py                       30 s at 640 x 480, on all cores
    taskset -c 0,1 python benchmarks/serve_live.py        on two, which the server and the browser share
    python benchmarks/serve_live.py --image photo.jpg     another face

A Chromium without a screen runs the page with a camera made of an image that moves a little, 30 frames a second. The
numbers are those that the page shows. Exits with 1 below 15 frames a second, or with a 95th percentile above 200 ms.
Run it on an idle machine.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "demo")]

from face_demo import portrait  # noqa: E402

from browser import Page, chromium, moving, y4m  # noqa: E402
from serving import serve  # noqa: E402

FEWEST, SLOWEST = 15.0, 200.0  # frames a second, milliseconds
WARM_UP = 5.0  # seconds before anything counts
SHOWN = ("fps", "median", "p95", "dropped")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--image", type=Path, help="a photo of a face (default: the astronaut of scikit-image)")
    parser.add_argument("--size", default="640x480", choices=("320x240", "640x480", "1280x720"))
    arguments = parser.parse_args()
    width, height = map(int, arguments.size.split("x"))
    with tempfile.TemporaryDirectory() as folder:
        image = cv2.imread(str(arguments.image or portrait(Path(folder))))
        if image is None:
            parser.error(f"'{arguments.image}' is no image")
        camera = y4m(Path(folder) / "camera.y4m", moving(image, 60, (width, height)))
        with serve() as server, chromium(Path(folder), camera=camera) as page:
            page.open(server.url)
            page.wait("document.getElementById('model').options.length")
            page.run(f"document.getElementById('size').value = '{arguments.size}'")
            page.click("start")
            page.wait("document.getElementById('fps').textContent !== '–'")
            time.sleep(WARM_UP)
            rates, p95, medians = watch(page, arguments.seconds)
            rate = float(np.mean(rates))
            print(f"{len(os.sched_getaffinity(0))} cores, {arguments.size}, {arguments.seconds:g} s of one face:")
            print(f"{rate:.1f} frames/s (slowest two seconds {min(rates):.1f})")
            print(f"round trip {np.median(medians):.0f} ms (median), {max(p95):.0f} ms (p95, the worst of 256 frames)")
            print(f"{page.text('dropped')} of the camera's frames dropped")
    return 0 if rate >= FEWEST and max(p95) <= SLOWEST else 1


def watch(page: Page, seconds: float) -> tuple[list[float], list[float], list[float]]:
    """Return frames a second, 95th percentiles and medians, as the page shows them every two seconds."""
    rates, p95, medians = [], [], []
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(2)
        fps, median, worst = (float(page.text(name).removesuffix(" ms")) for name in SHOWN[:3])
        rates.append(fps)
        medians.append(median)
        p95.append(worst)
    return rates, p95, medians


if __name__ == "__main__":
    sys.exit(main())
