"""A user names a model by MMPose's alias and gets the right networks, from a mirror that holds weights of its own."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np
import pytest

import servers
from limner import build, config
from limner.video.reader import VideoSource

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

ROOT = Path(__file__).resolve().parents[1]
SEED = 20231108
COCO = "configs/body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-{}-simple_8xb64-210e_coco-256x192.py"
VIT = "mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_ViTPose-{}-simple_8xb64-210e_coco-256x192-{}.pth"
RTM = "mmpose/v1/projects/rtmposev1/rtmpose-m_simcc-{}.pth"
# config and weights, as MMPose's Inferencer and its model zoo name them
PERSON = (
    "demo/mmdetection_cfg/rtmdet_m_640-8xb32_coco-person.py",
    "mmpose/v1/projects/rtmposev1/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
)
FACE = (
    "demo/mmdetection_cfg/yolox-s_8xb8-300e_coco-face.py",
    "mmpose/mmdet_pretrained/yolo-x_8xb8-300e_coco-face_13274d7c.pth",
)
HAND = (
    "demo/mmdetection_cfg/rtmdet_nano_320-8xb32_hand.py",
    "mmpose/v1/projects/rtmposev1/rtmdet_nano_8xb32-300e_hand-267f9c8f.pth",
)
BODY8 = "configs/body_2d_keypoint/rtmpose/body8/rtmpose-m_8xb"
ALIASES = {  # pose config, its weights, detector, number of keypoints
    "human": (
        BODY8 + "256-420e_body8-256x192.py",
        RTM.format("body7_pt-body7_420e-256x192-e48f03d0_20230504"),
        PERSON,
        17,
    ),
    "body26": (
        BODY8 + "512-700e_body8-halpe26-256x192.py",
        RTM.format("body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605"),
        PERSON,
        26,
    ),
    "face": (
        "configs/face_2d_keypoint/rtmpose/face6/rtmpose-m_8xb256-120e_face6-256x256.py",
        RTM.format("face6_pt-in1k_120e-256x256-72a37400_20230529"),
        FACE,
        106,
    ),
    "hand": (
        "configs/hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py",
        RTM.format("hand5_pt-aic-coco_210e-256x256-74fb594_20230320"),
        HAND,
        21,
    ),
    "wholebody": (
        "configs/wholebody_2d_keypoint/rtmpose/coco-wholebody/rtmpose-m_8xb64-270e_coco-wholebody-256x192.py",
        RTM.format("coco-wholebody_pt-aic-coco_270e-256x192-cd5e845c_20230123"),
        PERSON,
        133,
    ),
    "vitpose": (COCO.format("base"), VIT.format("base", "0b8234ea_20230407"), PERSON, 17),
    "vitpose-s": (COCO.format("small"), VIT.format("small", "4c101a76_20230314"), PERSON, 17),
    "vitpose-b": (COCO.format("base"), VIT.format("base", "0b8234ea_20230407"), PERSON, 17),
    "vitpose-l": (COCO.format("large"), VIT.format("large", "3a7ee9e1_20230314"), PERSON, 17),
    "vitpose-h": (COCO.format("huge"), VIT.format("huge", "ffd48c05_20230314"), PERSON, 17),
}
HEAVY = ("vitpose-l", "vitpose-h")  # 1.2 and 2.5 GB
LONG = bool(os.environ.get("LIMNER_LONG"))


# -- the mirror


@dataclass
class Mirror:
    """A web server that serves a folder of drawn weights under OpenMMLab's names."""

    folder: Path
    url: str = ""
    asked: list[str] = field(default_factory=list)

    def draw(self, cfg: str, path: str) -> None:
        """Write a checkpoint for a config, unless it is there, and list its hash."""
        file = self.folder / path
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            write_checkpoint(cfg, file)
            with file.open("rb") as handle, (self.folder / "SHA256SUMS").open("a") as sums:
                digest = hashlib.sha256()
                while block := handle.read(1 << 20):
                    digest.update(block)
                sums.write(f"{digest.hexdigest()}  {path}\n")


def write_checkpoint(cfg: str, file: Path, reach: float = 640) -> None:
    """Save a network with weights drawn at random, as MMPose's and MMDetection's training saves them."""
    read = config.load(cfg)
    torch.manual_seed(SEED)
    weights = build.network(read["model"]).state_dict()
    name = build.dataset_name(read) if "head" in read["model"] else None
    make_it_speak(weights, reach)
    meta = {"epoch": 1, "dataset_meta": {"dataset_name": name} if name else {"classes": ("thing",)}}
    torch.save({"meta": meta, "state_dict": weights}, file)


def make_it_speak(weights: dict[str, torch.Tensor], reach: float) -> None:
    """Let a random network answer: boxes on the coarsest level of a detector, keypoints anywhere.

    The boxes reach as far to each side as is said: 640 pixels make one large box, fewer make several.
    """
    for key, value in weights.items():
        level = key.split(".")[-2]
        if key.startswith(("bbox_head.rtm_cls", "bbox_head.multi_level_conv_cls", "bbox_head.multi_level_conv_obj")):
            value.fill_(0 if key.endswith("weight") else 2 if level == "2" else -10)
        elif key.startswith(("bbox_head.rtm_reg", "bbox_head.multi_level_conv_reg")):
            value.fill_(0 if key.endswith("weight") else np.log(reach / 32))
        elif key == "head.final_layer.bias":
            value.fill_(0 if "head.cls_x.weight" in weights else 0.6)
        elif value.dim() > 1:  # of a size that neither dies out nor grows from layer to layer
            value.normal_(std=1.4 * value[0].numel() ** -0.5)


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    made = Mirror(tmp_path_factory.mktemp("mirror"))

    class Handler(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            made.asked.append(self.path.removeprefix("/"))
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(made.folder)))
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    made.url = f"http://127.0.0.1:{httpd.server_port}"
    yield made
    httpd.shutdown()
    thread.join()
    httpd.server_close()
    shutil.rmtree(made.folder)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    """Where limner keeps what it fetches; emptied at once, for it is large."""
    yield tmp_path / "home"
    shutil.rmtree(tmp_path / "home", ignore_errors=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Something to look at: shapes on a slope of colour."""
    image = np.zeros((320, 320, 3), np.uint8)
    image[:] = np.linspace(40, 200, 320).astype(np.uint8)[None, :, None]
    cv2.circle(image, (160, 90), 50, (80, 120, 220), -1)
    cv2.rectangle(image, (110, 140), (210, 310), (160, 60, 40), -1)
    path = tmp_path / "image.png"
    assert cv2.imwrite(str(path), image)
    return path


# -- the command


def command(image: Path, alias: str) -> list[str]:
    out = str(image.parent / "out")
    arguments = [str(image), "--pose2d", alias, "--vis-out-dir", out, "--pred-out-dir", out, "--device", "cpu"]
    return [sys.executable, str(ROOT / "demo" / "inferencer_demo.py"), *arguments]


def run(arguments: list[str], home: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LIMNER_")}
    environment |= {"PYTHONPATH": str(ROOT / "src"), "LIMNER_HOME": str(home), "TORCH_HOME": str(home), "no_proxy": "*"}
    return subprocess.run(
        arguments, env={**environment, **variables}, capture_output=True, text=True, timeout=600, check=False
    )


def instances(image: Path) -> list[dict[str, list]]:
    return json.loads((image.parent / "out" / "image.json").read_text())


def offer(alias: str, mirror: Mirror) -> set[str]:
    """Put what an alias means on the mirror, and return the paths; they fit no other config."""
    cfg, weights, detector, _ = ALIASES[alias]
    mirror.draw(*detector)
    mirror.draw(cfg, weights)
    mirror.asked.clear()
    return {weights, detector[1]}


def check(alias: str, image: Path) -> None:
    """Look at what the command wrote."""
    found = instances(image)
    assert found
    for instance in found:
        assert 0.3 < instance["bbox_score"] < 1  # the detector's: a whole image has 1
        assert np.shape(instance["keypoints"]) == (ALIASES[alias][3], 2)
        assert np.isfinite(instance["keypoints"]).all()
        assert max(instance["keypoint_scores"]) > 0.3
    drawn = cv2.imread(str(image.parent / "out" / "image.png"))
    given = cv2.imread(str(image))
    assert drawn.shape == given.shape
    assert (drawn != given).any(axis=2).sum() > 50


LIGHT = [alias for alias in ALIASES if alias not in HEAVY]


@pytest.mark.parametrize("alias", [*LIGHT, "vitpose-l"] if LONG else LIGHT)
def test_an_alias_fetches_its_networks_and_draws(alias: str, mirror: Mirror, home: Path, image: Path) -> None:
    offered = offer(alias, mirror)
    done = run(command(image, alias), home, LIMNER_MIRRORS=mirror.url)
    assert done.returncode == 0, done.stderr
    assert set(mirror.asked) == {"SHA256SUMS", *offered}
    fetched = {path.name for path in (home / "weights").rglob("*.pth")}
    assert fetched == {Path(path).name for path in offered}
    check(alias, image)
    if alias in ("human", "face", "hand") or LONG:
        on_a_camera(alias, image, home, mirror)


def on_a_camera(alias: str, image: Path, home: Path, mirror: Mirror) -> None:
    """Run the same model on a camera that shows the image; nothing is fetched again."""
    mirror.asked.clear()
    arguments = command(image, alias)
    arguments[2] = "webcam"
    watched = servers.with_camera([*arguments, "--headless", "--max-frames", "2"], image)
    done = run(watched, home, LIMNER_MIRRORS=mirror.url)
    assert done.returncode == 0, done.stderr
    assert mirror.asked == []
    frames = json.loads((image.parent / "out" / "webcam.json").read_text())
    assert len(frames) == 2
    for frame in frames:
        for instance in frame["instances"]:
            assert np.shape(instance["keypoints"]) == (ALIASES[alias][3], 2)
    assert all(frame["instances"] for frame in frames)
    with VideoSource(image.parent / "out" / "webcam.mp4") as video:
        drawn = [frame.image for frame in video]
    given = servers.numbered(0, cv2.imread(str(image)))
    assert len(drawn) == 2
    assert (np.abs(drawn[0].astype(int) - given).max(axis=2) > 60).sum() > 50, "nothing is drawn"


@pytest.mark.skipif(not LONG, reason="it writes gigabytes of weights, as for vitpose-l: set LIMNER_LONG=1")
@pytest.mark.skipif(sys.platform == "win32", reason="the memory of a process is measured as Unix does")
def test_the_largest_model_draws_in_the_memory_that_its_users_were_told(
    mirror: Mirror, home: Path, image: Path
) -> None:
    offered = offer("vitpose-h", mirror)
    code = (
        "import resource,subprocess,sys; subprocess.run(sys.argv[1:],check=True,stdout=sys.stderr);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    done = run([sys.executable, "-c", code, *command(image, "vitpose-h")], home, LIMNER_MIRRORS=mirror.url)
    assert done.returncode == 0, done.stderr
    assert set(mirror.asked) == {"SHA256SUMS", *offered}
    check("vitpose-h", image)
    on_a_camera("vitpose-h", image, home, mirror)
    peak = int(done.stdout) * (1 if sys.platform == "darwin" else 1024) / 1e9
    told = re.search(r"`vitpose-h` on a CPU takes about ([\d.]+) GB", (ROOT / "docs" / "weights.md").read_text())
    assert told
    print(f"vitpose-h: {peak:.2f} GB")
    assert peak < 1.1 * float(told[1])


def test_weights_of_a_mirror_are_found_again_offline_and_never_pass_for_the_published_ones(
    mirror: Mirror, home: Path, image: Path
) -> None:
    paths = offer("hand", mirror)
    models = [sys.executable, "-m", "limner", "models"]
    pulled = run([*models, "pull", "hand"], home, LIMNER_MIRRORS=mirror.url)
    assert pulled.returncode == 0, pulled.stderr
    mirror.asked.clear()
    offline = {"LIMNER_MIRRORS": mirror.url, "LIMNER_OFFLINE": "1"}
    verified = run([*models, "verify"], home, **offline)
    assert verified.returncode == 0
    assert all(f"{Path(path).name})" in verified.stdout for path in paths)
    done = run(command(image, "hand"), home, **offline)
    assert done.returncode == 0, done.stderr
    check("hand", image)
    assert mirror.asked == []
    published = run([*models, "pull", "hand"], home, LIMNER_OFFLINE="1")
    assert published.returncode == 1
    assert f"{Path(ALIASES['hand'][1]).name} could not be downloaded" in published.stderr
    assert "Traceback" not in published.stderr
