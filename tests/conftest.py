"""What the tests share: a portrait to look at, and the data beside the repository where it is."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from beside import NEEDED, SHARED

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # for tests that load ONNX Runtime themselves
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait awake would take the cores of other tests

# what the last resort of a command reports, in this process or another, is never what a test expects
FAULTS = Path(tempfile.gettempdir()) / f"limner-faults-{os.getpid()}"
os.environ["LIMNER_DEBUG"] = str(FAULTS)

ROOT = Path(__file__).resolve().parents[1]

# modules that `make check` leaves out, and what takes them so long
SLOW = {
    "test_aliases": "writes and loads the weights of every alias",
    "test_library": "forks, and processes that are spawned",
    "test_long_use": "runs that are killed and that meet",
    "test_outputs_and_inputs": "runs, and disks that are full",
    "test_animations": "reads and writes animations of every kind",
    "test_batch": "processes that are killed, and a Ray cluster",
    "test_bench": "measures",
    "test_benchmarks": "measures",
    "test_core_install": "builds a wheel and installs it",
    "test_crowd": "images of 24 megapixels",
    "test_cuts": "reads and writes videos of every kind",
    "test_demos": "runs MMPose's demos on torch",
    "test_download": "web servers",
    "test_edge": "whole commands, in processes of their own",
    "test_engines": "exports networks for every engine",
    "test_export": "exports networks for every engine",
    "test_family_files": "networks on torch",
    "test_flags": "every flag of MMPose's demos, on torch",
    "test_forms_tables": "thousands of frames",
    "test_forms_tracks": "thousands of frames",
    "test_full_disk": "whole commands, in processes of their own",
    "test_fuzz": "random cases of every kind, in processes of their own",
    "test_guide": "MMPose's guide, on torch",
    "test_keypoint_meta": "networks on torch",
    "test_long": "thousands of frames",
    "test_mission": "whole commands, in processes of their own",
    "test_mission_live": "whole commands, in processes of their own",
    "test_numbered": "processes behind pipes",
    "test_onnx_aliases": "exports and runs a network of every family, on torch too",
    "test_nothing_lost": "whole commands, some of them killed",
    "test_parity": "large networks on torch",
    "test_playback": "a browser",
    "test_quantised": "quality on hundreds of images",
    "test_stops": "whole commands, in processes of their own",
    "test_serve_api": "servers",
    "test_serve_batcher": "servers",
    "test_serve_safety": "servers",
    "test_serve_live": "a server, and clients that vanish",
    "test_serve_page": "a browser",
    "test_streams": "servers of streams",
    "test_svg_browser": "a browser",
    "test_torch_runtime": "networks on torch",
    "test_training": "compiles a kernel and trains",
    "test_video_jobs": "whole commands, in processes of their own",
    "test_video_truth": "makes videos of every kind",
    "test_window": "a display",
}


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of data that never enters the repository."""
    if not SHARED.is_dir():
        pytest.skip(NEEDED)
    return SHARED


@pytest.fixture(scope="session")
def portrait() -> np.ndarray:
    """One face, looking at the camera: uint8 [512, 512, 3] BGR."""
    data = pytest.importorskip("skimage.data", reason="needs scikit-image: pip install -e .[test]")
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


@pytest.fixture(autouse=True)
def no_faults() -> Iterator[None]:
    """A command ends with a sentence also where it meets an exception that nobody foresaw; its test then fails."""
    yield
    if FAULTS.exists():
        text = FAULTS.read_text(encoding="utf-8")
        FAULTS.unlink()
        pytest.fail(f"a command reported a fault of limner:\n{text}", pytrace=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.stem in SLOW:
            item.add_marker(pytest.mark.slow)
