"""A tutorial's commands for images, taken from its text and run as they stand in a folder like MMPose's checkout."""

from __future__ import annotations

import hashlib
import importlib.util
import itertools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from limner import zoo
from servers import display_of_this_process

torch = pytest.importorskip("torch", reason="needs torch: pip install -e .[test]")

ROOT = Path(__file__).resolve().parents[1]
TEXT = ROOT.parent / "shared" / "mission.txt"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER")
FOLDERS = {"--output-root", "--vis-out-dir", "--pred-out-dir", "--out-file"}
IMAGES = (".jpg", ".jpeg", ".png")
SECONDS = 180  # that a command may take on a busy machine


def lines_of(text: str) -> list[str]:
    """Return the command lines of a text's code blocks, continued lines joined."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    joined = [line.strip() for block in blocks for line in re.sub(r"\s*\\\n\s*", " ", block).splitlines()]
    return [line for line in joined if line.startswith("python ")]


def input_of(arguments: list[str]) -> str:
    return arguments[arguments.index("--input") + 1] if "--input" in arguments else arguments[2]


def takes_images(arguments: list[str]) -> bool:
    """Whether the input is an image or a folder, as its name tells."""
    named = input_of(arguments)
    return "$" not in named and "://" not in named and Path(named).suffix in ("", *IMAGES) and "/" in named


LINES = lines_of(TEXT.read_text(encoding="utf-8")) if TEXT.is_file() else []
COMMANDS = [arguments for arguments in map(shlex.split, LINES) if takes_images(arguments)]
WRITING = [arguments for arguments in COMMANDS if FOLDERS & set(arguments)]
SHOWING = [arguments for arguments in COMMANDS if "--show" in arguments]


def weights_of(arguments: list[str]) -> list[tuple[str, str]]:
    """Return the configs of a command and the addresses of their weights, those of an alias from the zoo."""
    pairs = [(before, word) for before, word in itertools.pairwise(arguments) if word.startswith("https://")]
    if "--pose2d" in arguments:
        pose = zoo.get(arguments[arguments.index("--pose2d") + 1])
        pairs += [(model.config, model.weights) for model in (pose, zoo.detector_for(pose))]
    return pairs


def short(arguments: list[str] | None) -> str:
    """Return a command as a test's name: the script, its input and its flags."""
    return (
        " ".join([Path(arguments[1]).stem, input_of(arguments), *(w for w in arguments if w.startswith("--"))])
        if arguments
        else ""
    )


@pytest.fixture(scope="module")
def home(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment in which the addresses of the text lead to weights drawn at random: a mirror of one's own.

    Drawn at random, the detector of faces is sure of nothing in most images: it is made surer of everything.
    """
    spec = importlib.util.spec_from_file_location("parity_weights", shared / "parity" / "weights.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    cases = {json.loads(path.read_text()).get("config"): path.stem for path in (shared / "parity").glob("*-*.json")}
    folder = tmp_path_factory.mktemp("weights")
    sums = []
    for config, address in sorted({pair for arguments in COMMANDS for pair in weights_of(arguments)}):
        path = folder / "mirror" / address.removeprefix("https://download.openmmlab.com/")
        path.parent.mkdir(parents=True, exist_ok=True)
        loaded = torch.load(module.write_checkpoint(cases[config], path), weights_only=False)
        for key, values in loaded["state_dict"].items():
            if re.search(r"multi_level_conv_obj\.\d\.bias", key):
                values += 3
        torch.save(loaded, path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        sums.append(f"{digest}  {path.relative_to(folder / 'mirror').as_posix()}\n")
    (folder / "mirror" / "SHA256SUMS").write_text("".join(sums))
    return {"LIMNER_MIRRORS": str(folder / "mirror"), "LIMNER_HOME": str(folder / "home"), "LIMNER_OFFLINE": ""}


@pytest.fixture
def checkout(shared: Path, tmp_path: Path) -> Path:
    """A folder with the scripts and the images where MMPose's checkout has them."""
    folder = tmp_path / "mmpose"
    shutil.copytree(ROOT / "demo", folder / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(shared / "data" / "mmpose" / "tests", folder / "tests")
    return folder


@pytest.fixture(scope="module")
def mission(shared: Path) -> str:
    if not TEXT.is_file():
        pytest.skip("needs ../shared/mission.txt beside the repository")
    return TEXT.read_text(encoding="utf-8")


def environment(home: dict[str, str], display: str | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in DISPLAYS}
    return kept | home | ({"DISPLAY": display} if display else {})


def run(arguments: list[str], cwd: Path, home: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *arguments[1:]] if arguments[0] == "python" else arguments
    return subprocess.run(
        command, cwd=cwd, env=environment(home), capture_output=True, text=True, timeout=SECONDS, check=False
    )


def as_subcommand(arguments: list[str]) -> list[str]:
    """Turn ``python demo/X_demo.py ...`` into ``limner X ...``."""
    name = Path(arguments[1]).stem.partition("_")[0]
    return [sys.executable, "-m", "limner", name, *arguments[2:]]


def after(flag: str, arguments: list[str]) -> str | None:
    return arguments[arguments.index(flag) + 1] if flag in arguments else None


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def strong(a: np.ndarray, b: np.ndarray) -> int:
    """Return how many pixels differ by more than what JPEG does to an image."""
    return int((np.abs(a.astype(int) - b).max(axis=2) > 100).sum())


def check_drawn(path: Path, original: Path, *, panel: bool) -> int:
    """An image of the right size, with the heat below it if asked for; return how many of its pixels are drawn on."""
    drawn, before = cv2.imread(str(path)), cv2.imread(str(original))
    assert drawn is not None, f"{path} is no image"
    height, width = before.shape[:2]
    assert drawn.shape == (height * (2 if panel else 1), width, 3)
    if panel:
        below = drawn[height:].astype(int)
        assert np.abs(below - before).mean() > 15, "there is no heat on the panel"
        assert len(np.unique(below.reshape(-1, 3) // 16, axis=0)) > 50, "the panel is flat"
    untouched = cv2.imdecode(cv2.imencode(path.suffix, before)[1], cv2.IMREAD_COLOR)
    assert strong(untouched, before) == 0
    return strong(drawn[:height], before)


# -- the text


def test_the_text_has_commands_that_take_images(mission: str) -> None:
    assert LINES, "no command line is found in the text"
    assert WRITING
    assert SHOWING
    scripts = {arguments[1] for arguments in COMMANDS}
    assert all((ROOT / script).is_file() for script in scripts), scripts
    for arguments in COMMANDS:
        assert (ROOT.parent / "shared" / "data" / "mmpose" / input_of(arguments)).exists(), "its input is not at hand"


def test_every_flag_of_the_text_is_known(mission: str) -> None:
    for line in LINES:
        script = shlex.split(line)[1]
        shown = run(["python", str(ROOT / script), "--help"], ROOT, {})
        assert shown.returncode == 0, shown.stderr
        known = set(re.findall(r"--[a-z][a-z0-9-]*", shown.stdout))
        assert set(re.findall(r"--[a-z][a-z0-9-]*", line)) <= known, line


def test_the_form_with_all_its_options_filled_in(mission: str, checkout: Path, home: dict[str, str]) -> None:
    (form,) = (line for line in LINES if "${" in line)
    arguments = next(arguments for arguments in WRITING if "--input" in arguments)
    values = {
        "MMDET_CONFIG_FILE": arguments[2],
        "MMDET_CHECKPOINT_FILE": arguments[3],
        "MMPOSE_CONFIG_FILE": arguments[4],
        "MMPOSE_CHECKPOINT_FILE": arguments[5],
        "INPUT_PATH": input_of(arguments),
        "OUTPUT_DIR": "filled",
        "GPU_ID or CPU": "cpu",
        "DRAW_HEATMAP": "True",
        "KPT_RADIUS": "2",
        "KPT_SCORE_THR": "0.25",
        "BBOX_SCORE_THR": "0.35",
    }
    filled = re.sub(r"\$\{(.*?)\}", lambda found: values[found[1]], form.replace("[--show]", ""))
    done = run(shlex.split(re.sub(r"[\[\]]", "", filled)), checkout, home)
    assert done.returncode == 0, done.stderr
    name = Path(input_of(arguments))
    assert set(files(checkout / "filled")) == {name.name, f"results_{name.stem}.json"}
    assert check_drawn(checkout / "filled" / name.name, checkout / name, panel=True) > 20
    sheet = json.loads((checkout / "filled" / f"results_{name.stem}.json").read_text())
    assert list(sheet) == ["meta_info", "instance_info"]
    assert f"{len(sheet['instance_info'])} instance" in done.stdout
    k = sheet["meta_info"]["num_keypoints"]
    for instance in sheet["instance_info"]:
        assert np.array(instance["keypoints"]).shape == (k, 2)
        assert len(instance["keypoint_scores"]) == k
        assert 0.35 < instance["bbox_score"] <= 1


# -- the commands that write


@pytest.mark.parametrize("arguments", WRITING or [None], ids=short)
def test_a_command_of_the_text_writes_what_it_says(
    arguments: list[str] | None, mission: str, checkout: Path, home: dict[str, str]
) -> None:
    assert arguments, "no command of the text writes images"
    before = files(checkout)
    done = run(arguments, checkout, home)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    source = checkout / input_of(arguments)
    images = [source] if source.is_file() else [path for path in source.iterdir() if path.suffix in IMAGES]
    target = checkout / (after("--output-root", arguments) or after("--vis-out-dir", arguments))
    expected = {(target / path.name).relative_to(checkout).as_posix() for path in images}
    if after("--pred-out-dir", arguments):
        expected |= {f"{after('--pred-out-dir', arguments)}/{path.stem}.json" for path in images}
    if "--save-predictions" in arguments:
        expected |= {f"{after('--output-root', arguments)}/results_{path.stem}.json" for path in images}
    written = files(checkout)
    assert set(written) - set(before) == expected
    assert all(written[name] == content for name, content in before.items()), "an input is changed"
    marks = [check_drawn(target / p.name, p, panel="--draw-heatmap" in arguments) for p in images]
    assert min(marks) > 20, "nothing is drawn"

    again = checkout.parent / "again"
    shutil.copytree(checkout / "tests", again / "tests")
    done = run(as_subcommand(arguments), again, home)
    assert done.returncode == 0, done.stderr
    for name in expected:
        assert (again / name).read_bytes() == written[name], f"`limner` writes another {name}"


def test_the_image_demo_draws_the_text_s_image(mission: str, checkout: Path, home: dict[str, str]) -> None:
    arguments = next(arguments for arguments in WRITING if "--input" in arguments)
    image, config = input_of(arguments), arguments[4]
    rest = [image, config, arguments[5], "--out-file", "vis_results/one.png", "--draw-heatmap"]
    done = run(["python", "demo/image_demo.py", *rest], checkout, home)
    assert done.returncode == 0, done.stderr
    assert check_drawn(checkout / "vis_results" / "one.png", checkout / image, panel=True) > 20
    script = files(checkout / "vis_results")
    done = run(as_subcommand(["python", "demo/image_demo.py", *rest]), checkout, home)
    assert done.returncode == 0, done.stderr
    assert files(checkout / "vis_results") == script
    assert list(script) == ["one.png"]


# -- the commands that show


@pytest.fixture
def display() -> Iterator[str]:
    """The name of a real X display in memory, at a number that was free."""
    server = shutil.which("Xvfb")
    if server is None:
        pytest.skip("needs Xvfb: apt-get install xvfb")
    command = [server, display_of_this_process(), "-displayfd", "1", "-screen", "0", "1024x900x24", "-nolisten", "tcp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            number = process.stdout.readline().strip()
            if not number:
                pytest.skip("Xvfb does not start")
            yield f":{number}"
        finally:
            process.terminate()


def xdotool(display: str, *arguments: str) -> str:
    done = subprocess.run(
        ["xdotool", *arguments], env=environment({}, display), capture_output=True, text=True, timeout=20, check=False
    )
    return done.stdout.strip()


@pytest.mark.parametrize("arguments", SHOWING or [None], ids=short)
def test_a_command_of_the_text_shows_its_image(
    arguments: list[str] | None, mission: str, checkout: Path, home: dict[str, str], display: str
) -> None:
    pytest.importorskip("pygame", reason="needs pygame-ce: pip install -e .[test]")
    if shutil.which("xdotool") is None:
        pytest.skip("needs xdotool: apt-get install xdotool")
    assert arguments, "no command of the text shows images"
    before = files(checkout)
    with subprocess.Popen(
        [sys.executable, *arguments[1:]],
        cwd=checkout,
        env=environment(home, display),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            window, end = "", time.monotonic() + SECONDS
            while not window and process.poll() is None and time.monotonic() < end:
                time.sleep(0.2)
                window = xdotool(display, "search", "--onlyvisible", "--pid", str(process.pid))
            assert window, "no window is opened"
            height, width = cv2.imread(str(checkout / input_of(arguments))).shape[:2]
            size = f"{width}x{height * (2 if '--draw-heatmap' in arguments else 1)}"
            assert f"Geometry: {size}" in xdotool(display, "getwindowgeometry", window)
            assert process.poll() is None, "the window does not wait"
            xdotool(display, "windowfocus", "--sync", window, "key", "Escape")
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert "1 image" in out
    if not FOLDERS & set(arguments):
        assert files(checkout) == before, "--show alone writes files"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux runs without a display")
@pytest.mark.parametrize("arguments", [a for a in SHOWING if not FOLDERS & set(a)] or [None], ids=short)
def test_without_a_display_it_says_so_in_one_sentence(
    arguments: list[str] | None, mission: str, checkout: Path, home: dict[str, str]
) -> None:
    assert arguments, "no command of the text shows images"
    done = run(arguments, checkout, home)
    assert done.returncode == 1
    (sentence,) = done.stderr.splitlines()
    assert sentence.startswith("limner: ")
    assert "display" in sentence
    assert "--output-root" in sentence, "it does not say what to do instead"

    written = run([*arguments, "--output-root", "instead"], checkout, home)
    assert written.returncode == 0, "the image is there, so nothing failed"
    assert "display" in written.stderr
    source = checkout / input_of(arguments)
    assert check_drawn(checkout / "instead" / source.name, source, panel="--draw-heatmap" in arguments) > 20
