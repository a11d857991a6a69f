"""The page of `limner serve` and that of `limner run --view`, in a real browser with a camera made of a real face."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import limner
from beside import NEEDED, SHARED
from browser import Page, chromium, moving, y4m
from conftest import ROOT
from limner import cli
from limner.cli.common import with_values
from limner.video.reader import VideoSource
from limner.video.writer import VideoWriter
from serving import Server, serve
from test_serve_live import running

AXE = ROOT / ".venv" / "npm" / "node_modules" / "axe-core" / "axe.min.js"
FACE = SHARED / "data" / "faces68" / "lfpw_train"
LOOSE_FPS, LOOSE_P95 = 4.0, 1500.0  # on cores that other tests use too; benchmarks/serve_live.py has the true bounds

# What goes over the WebSocket, and where dots are drawn on the canvas.
SPY = """
window.spied = {sockets: 0, flying: 0, most: 0, sent: new Map(), results: [], dots: []};
const {prototype} = WebSocket, send = prototype.send;
window.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    spied.sockets += 1;
    this.addEventListener("message", ({data}) => {
      const message = typeof data === "string" ? JSON.parse(data) : {};
      if (message.type !== "result") return;
      spied.flying -= 1;
      message.dots = spied.dots = [];  // which the page draws after this
      spied.last = message;
    });
  }
  send(data) {
    if (data instanceof Uint8Array) {
      spied.most = Math.max(spied.most, spied.flying += 1);
      spied.sent.set(new DataView(data.buffer).getUint32(0), data.slice(12));
      for (const id of spied.sent.keys()) if (spied.sent.size > 30) spied.sent.delete(id);
    }
    super.send(data);
  }
};
const {arc} = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.arc = function (x, y, ...rest) {
  if (this.canvas.id === "overlay") spied.dots.push([x, y]);
  return arc.call(this, x, y, ...rest);
};
async function base64(bytes) {
  const address = await new Promise((done) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result);
    reader.readAsDataURL(new Blob([bytes]));
  });
  return address.slice(address.indexOf(",") + 1);
}
window.lastFrame = async () => {
  await new Promise((done) => setTimeout(done, 50));
  const {last} = spied, bytes = spied.sent.get(last.id);
  return {id: last.id, size: last.size, instances: last.instances, dots: last.dots, image: await base64(bytes)};
};
"""
DROP = """((type, name, kind, data) => {
  const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0)), carried = new DataTransfer();
  carried.items.add(new File([bytes], name, {type: kind}));
  const given = {bubbles: true, cancelable: true};
  document.dispatchEvent(type === "drop" ? new DragEvent("drop", {...given, dataTransfer: carried})
    : new ClipboardEvent("paste", {...given, clipboardData: carried}));
})"""


@pytest.fixture(scope="module")
def face() -> np.ndarray:
    """A photo of one person, as near to the camera as people are."""
    if not FACE.is_dir():
        pytest.skip(NEEDED)
    return cv2.imread(str(FACE / "image_0233.jpg"))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server, face: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("browser")
    with chromium(folder, camera=y4m(folder / "camera.y4m", moving(face)), first=SPY) as page:
        yield page


@pytest.fixture
def page(browser: Page, server: Server) -> Iterator[Page]:
    """The page, as it is opened."""
    browser.said.clear()
    browser.look()
    browser.open(f"{server.url}/?{time.monotonic()}")
    browser.wait("document.getElementById('model').options.length")
    yield browser
    assert not browser.said


@pytest.fixture
def live(page: Page) -> Page:
    """The page with its camera on."""
    page.click("start")
    page.wait("spied.last && spied.last.dots.length")
    return page


@pytest.fixture
def downloads(browser: Page) -> Path:
    return browser.downloads


def set_to(page: Page, name: str, value: str) -> None:
    """Change a field as a person would."""
    page.run(f"""(field => {{
        if (field.type === "checkbox") {{ field.checked = {value!r} === "on"; }} else field.value = {value!r};
        field.dispatchEvent(new Event("input", {{bubbles: true}}));
        field.dispatchEvent(new Event("change", {{bubbles: true}}));
    }})(document.getElementById({name!r}))""")


def background(page: Page, value: str) -> None:
    page.run(f"document.querySelector('input[name=background][value={value}]').click()")


def pixel(page: Page, canvas: str = "overlay") -> list[int]:
    """Return red, green, blue and opacity near the corner of a canvas."""
    expression = f"[...document.getElementById({canvas!r}).getContext('2d').getImageData(6, 6, 1, 1).data]"
    found: list[int] = page.run(expression)
    return found


# -- the camera


def test_keypoints_lie_on_the_face(live: Page) -> None:
    """The dots on the canvas are where `limner run` finds the keypoints of the same frames, in the mirror."""
    set_to(live, "smooth", "off")  # as in images, for which `limner run` has no past to smooth with
    number = live.run("spied.last.id")
    live.wait(f"spied.last.id > {number} + 5")
    model = limner.load()
    errors = []
    for _ in range(5):
        frame = live.run("lastFrame()")
        found = model(base64.b64decode(frame["image"]))
        assert len(found) == len(frame["instances"]) == 1
        drawn = np.array(frame["dots"])[-68:] - 0.5
        drawn[:, 0] = frame["size"][0] - 1 - drawn[:, 0]
        assert drawn.shape == (68, 2)
        errors.append(np.linalg.norm(drawn - found.keypoints[0], axis=1).mean())
        time.sleep(0.1)
    assert np.mean(errors) <= 2
    assert np.ptp(found.keypoints[0], axis=0).max() > 150  # of a large face


def test_the_numbers_are_shown_and_frames_come_quickly(live: Page) -> None:
    live.wait("spied.last.id > 40")
    live.wait("document.getElementById('p95').textContent.endsWith('ms')")
    assert float(live.text("fps")) > LOOSE_FPS
    assert float(live.text("p95").removesuffix(" ms")) < LOOSE_P95
    assert float(live.text("median").removesuffix(" ms")) <= float(live.text("p95").removesuffix(" ms"))
    assert int(live.text("dropped")) >= 0
    assert live.text("camera-state") == "Live with face-lite."
    assert "1 face" in live.run("document.getElementById('overlay').getAttribute('aria-label')")


def test_settings_change_while_it_runs(live: Page) -> None:
    """Threshold, smoothing and background, in one connection; and each shows."""
    set_to(live, "threshold", "1")
    live.wait("spied.last.dots.length === 0")
    set_to(live, "threshold", "0.3")
    live.wait("spied.last.dots.length > 0")
    background(live, "black")
    live.wait("spied.last.dots.length > 0")
    assert pixel(live) == [0, 0, 0, 255]
    background(live, "none")
    assert pixel(live)[3] == 0
    background(live, "image")
    assert pixel(live)[3] == 255
    assert sum(pixel(live)[:3]) > 0
    set_to(live, "smooth", "off")
    number = live.run("spied.last.id")
    live.wait(f"spied.last.id > {number} + 3")
    set_to(live, "mirror", "off")
    frame = live.run("lastFrame()")
    assert np.allclose(np.array(frame["dots"])[-68:] - 0.5, frame["instances"][0]["keypoints"], atol=0.01)
    set_to(live, "matched", "off")
    live.wait("!document.getElementById('stage').classList.contains('covered')")
    assert live.run("spied.sockets") == 1


def taken(page: Page) -> list[bytes]:
    """Return what is listed below the camera, the newest first."""
    names = page.run(
        "[...document.querySelectorAll('#recordings-list a')].map((link) => (link.click(), link.download))"
    )
    return [saved(page.downloads, name) for name in names]


def test_snapshot_and_recording_can_be_read(live: Page) -> None:
    """They are not mirrored, so that a text in the image can be read; keypoints come beside them as JSON Lines."""
    live.click("snapshot")
    live.wait("document.querySelectorAll('#recordings-list a').length === 1")
    (data,) = taken(live)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    sent = cv2.imdecode(np.frombuffer(base64.b64decode(live.run("lastFrame()")["image"]), np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == sent.shape
    apart = [np.abs(image.astype(int) - other).mean() for other in (sent, sent[:, ::-1])]
    assert apart[0] < 0.6 * apart[1]

    live.click("record")
    number = live.run("spied.last.id")
    live.wait(f"spied.last.id > {number} + 20")
    live.click("record")
    live.wait("document.querySelectorAll('#recordings-list a').length === 3")
    recording, lines, _ = taken(live)
    *records, end = map(json.loads, lines.splitlines())
    assert end == {"source": "camera", "frames": len(records), "complete": True}
    assert [record["frame_id"] for record in records] == list(range(len(records)))
    assert all(len(record["instances"][0]["keypoints"]) == 68 for record in records)
    path = live.downloads / "recording.webm"
    path.write_bytes(recording)
    with av.open(str(path)) as container:
        shown = [frame.to_ndarray(format="bgr24") for frame in container.decode(video=0)]
    assert len(shown) >= 2  # a busy machine gives the recorder few
    assert shown[0].shape == image.shape
    apart = [np.abs(shown[-1].astype(int) - other).mean() for other in (sent, sent[:, ::-1])]
    assert apart[0] < 0.7 * apart[1]


# -- images and videos


def files_of(page: Page, count: int) -> None:
    """Download all that is offered."""
    page.wait("!document.getElementById('results').hidden", 60)
    names = page.run("[...document.querySelectorAll('#downloads button')].map((b) => b.firstChild.textContent.trim())")
    assert len(names) == count, page.problem
    for i in range(count):
        page.run("document.getElementById('files-state').textContent = ''")
        page.run(f"document.querySelectorAll('#downloads button')[{i}].click()")
        page.wait("document.getElementById('files-state').textContent.endsWith('is saved.')")


def saved(folder: Path, name: str) -> bytes:
    """Return what was downloaded, once it is there."""
    end = time.monotonic() + 20
    while not (folder / name).is_file():
        assert time.monotonic() < end, f"{name} did not come"
        time.sleep(0.05)
    return (folder / name).read_bytes()


def run(*arguments: str) -> int:
    """Run `limner` in this process, and return its status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["limner", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0)


@pytest.mark.parametrize("way", ["drop", "paste", "choose"])
def test_an_image_is_drawn_and_its_files_are_those_of_limner_run(
    page: Page, tmp_path: Path, face: np.ndarray, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"{way}.jpg"
    path = tmp_path / name
    cv2.imwrite(str(path), face)
    if way == "choose":
        page.choose("file", path)
    else:
        page.run(f"{DROP}({way!r}, {name!r}, 'image/jpeg', {base64.b64encode(path.read_bytes()).decode()!r})")
    page.wait("document.getElementById('files-state').textContent.startsWith('1 face')")
    assert page.run("document.getElementById('tab-files').getAttribute('aria-selected')") == "true"
    shown = page.run("document.getElementById('shown').toDataURL().length")
    background(page, "black")
    assert page.run("document.getElementById('shown').toDataURL().length") < shown
    background(page, "image")
    if way != "drop":
        return
    files_of(page, 4)
    run("run", name, "-o", "drawn.jpg", "--json", "points.json")
    run("run", name, "-o", "drawn.svg")
    assert saved(page.downloads, name) == (tmp_path / "drawn.jpg").read_bytes()
    assert saved(page.downloads, f"{way}.svg") == (tmp_path / "drawn.svg").read_bytes()
    assert saved(page.downloads, f"{way}.json") == (tmp_path / "points.json").read_bytes()
    result = limner.load()(str(path))
    rows = saved(page.downloads, f"{way}.csv").decode().splitlines()
    result.save(tmp_path / "points.csv")
    assert rows == (tmp_path / "points.csv").read_text().replace(str(path), name).splitlines()


def test_a_video_is_drawn_and_its_files_are_those_of_limner_run(
    page: Page, tmp_path: Path, face: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with VideoWriter(tmp_path / "clip.mp4", 10) as writer:
        for frame in moving(face, 15, (320, 240)):
            writer.write(frame)
    page.run("""window.seen = []; window.text = document.getElementById("progress-text");
        new MutationObserver(() => seen.push(text.textContent)).observe(text, {childList: true})""")
    page.choose("file", tmp_path / "clip.mp4")
    files_of(page, 4)
    assert page.run("seen").count("Frame 15 of 15") == 1
    assert page.wait("document.getElementById('shown-video').duration") == pytest.approx(1.5)
    run("run", "clip.mp4", "-o", "drawn.mp4", "--json", "points.json", "--jsonl", "points.jsonl")
    run("convert", "points.jsonl", "--format", "csv", "-o", "made")
    (tmp_path / "saved.mp4").write_bytes(saved(page.downloads, "clip.mp4"))
    pairs = [[frame.image for frame in VideoSource(tmp_path / name)] for name in ("saved.mp4", "drawn.mp4")]
    assert len(pairs[0]) == 15
    for one, other in zip(*pairs, strict=True):  # x264's threads may choose otherwise on a busy machine
        assert np.abs(one.astype(int) - other).mean() < 0.5
    assert saved(page.downloads, "clip.json") == (tmp_path / "points.json").read_bytes()
    assert saved(page.downloads, "clip.jsonl") == (tmp_path / "points.jsonl").read_bytes()
    assert saved(page.downloads, "clip.csv") == (tmp_path / "made" / "results.csv").read_bytes()
    set_to(page, "threshold", "0.5")
    page.wait("!document.getElementById('again').hidden")


def test_an_animation_is_a_video(page: Page, tmp_path: Path, face: np.ndarray) -> None:
    with VideoWriter(tmp_path / "wave.gif", 10) as writer:
        for frame in moving(face, 4, (160, 120)):
            writer.write(frame)
    page.choose("file", tmp_path / "wave.gif")
    page.wait("!document.getElementById('shown-video').hidden")
    page.wait("!document.getElementById('results').hidden")
    assert page.text("files-state") == "4 frames are drawn."
    assert not page.problem
    page.said.clear()  # the browser notes that it was no image


# -- what goes wrong is said in one sentence


def test_problems_are_sentences(page: Page, tmp_path: Path) -> None:
    fake = "navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{}'))"
    for name, sentence in (
        ("NotFoundError", "No camera was found"),
        ("NotAllowedError", "does not let this page use the camera"),
        ("NotReadableError", "another program has it"),
        ("TypeError", "The camera cannot be opened: no"),
    ):
        page.run(fake.format(name))
        page.click("start")
        page.wait(f"document.getElementById('problem').textContent.includes({sentence!r})")
    page.run("Object.defineProperty(window, 'isSecureContext', {value: false}); 0")
    page.click("start")
    page.wait("document.getElementById('problem').textContent.includes('docs/serve.md')")
    assert "HTTPS" in page.problem
    assert page.text("camera-state") == "The camera is off."
    (tmp_path / "empty.jpg").touch()
    page.choose("file", tmp_path / "empty.jpg")
    page.wait("document.getElementById('problem').textContent.includes('is empty')")
    (tmp_path / "text.jpg").write_text("This is no image.")
    page.choose("file", tmp_path / "text.jpg")
    page.wait("document.getElementById('problem').textContent.includes('no image')")
    page.said.clear()  # the browser notes the status of the answer


def test_a_server_that_comes_back_is_found_again(browser: Page) -> None:
    with running() as (_, port):
        browser.open(f"http://127.0.0.1:{port}")
        browser.wait("document.getElementById('model').options.length")
        browser.click("start")
        browser.wait("spied.last && spied.last.id > 3")
        set_to(browser, "model", "again")
        browser.wait("document.getElementById('camera-state').textContent === 'Live with again.'")
        assert browser.run("spied.sockets") == 1
    browser.wait("document.getElementById('problem').textContent.includes('Trying again')")
    browser.run("spied.last = null")
    with running(port=port):
        browser.wait("spied.last && spied.last.dots.length")
        browser.wait("document.getElementById('camera-state').textContent === 'Live with again.'")
        assert not browser.problem
        assert browser.run("document.getElementById('start').textContent") == "Stop the camera"
        browser.click("start")


def test_nothing_queues_at_a_slow_server(browser: Page) -> None:
    """At 5 frames a second one frame is on its way, and what is shown is as old as that takes."""
    with running(0.2) as (_, port):
        browser.open(f"http://127.0.0.1:{port}")
        browser.wait("document.getElementById('model').options.length")
        browser.click("start")
        browser.wait("spied.last && spied.last.id >= 12")
        browser.wait("document.getElementById('p95').textContent.endsWith('ms')")
        assert browser.run("spied.most") == 1
        assert 200 <= float(browser.text("median").removesuffix(" ms")) < 500
        assert float(browser.text("fps")) < 6
        browser.wait("Number(document.getElementById('dropped').textContent) > 20")
        browser.click("start")


def test_the_token_is_asked_for(browser: Page) -> None:
    token = "a-token-of-some-length"
    with running(token=token) as (_, port):
        browser.open(f"http://127.0.0.1:{port}")
        browser.wait("document.getElementById('token-dialog').open")
        for given in ("wrong", token):
            browser.run(f"document.getElementById('token').value = {given!r}")
            browser.run("document.querySelector('#token-form button').click()")
            if given == "wrong":
                browser.wait("!document.getElementById('token-problem').hidden")
                assert browser.text("token-problem") == "That is not the token of this server."
        browser.wait("!document.getElementById('token-dialog').open")
        browser.click("start")
        browser.wait("spied.last && spied.last.dots.length")
        browser.click("start")
        browser.run("sessionStorage.clear()")
        browser.open(f"http://127.0.0.1:{port}/?again#token={token}")  # as the server prints it
        browser.wait("document.getElementById('model').options.length")
        assert token not in browser.run("location.href")
        browser.run("sessionStorage.clear()")


# -- for everybody


def serious(page: Page) -> list[str]:
    """Return what axe-core finds of level serious or above."""
    if not page.run("!!window.axe"):
        page.run(AXE.read_text("utf-8") + ";0")
    found = page.run("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{v['id']}: {node['html'][:120]}"
        for v in found["violations"]
        if v["impact"] in ("serious", "critical")
        for node in v["nodes"]
    ]


@pytest.mark.skipif(not AXE.is_file(), reason="needs axe-core: make test installs it, where there is npm")
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_axe_finds_nothing_serious(live: Page, face: np.ndarray, tmp_path: Path, dark: bool) -> None:
    for phone in (False, True):
        live.look(*((390, 844) if phone else (1280, 860)), dark=dark, phone=phone)
        assert serious(live) == []
    live.click("snapshot")
    live.wait("document.querySelectorAll('#recordings-list a').length === 1")
    assert serious(live) == []
    live.click("start")
    cv2.imwrite(str(tmp_path / "face.jpg"), face)
    live.choose("file", tmp_path / "face.jpg")
    live.wait("!document.getElementById('results').hidden")
    assert serious(live) == []
    live.run("(e => { e.textContent = 'A sentence.'; e.hidden = false; })(document.getElementById('problem'))")
    assert serious(live) == []
    live.run("document.getElementById('token-dialog').showModal()")
    assert serious(live) == []


def test_all_of_it_works_by_keyboard(page: Page) -> None:
    """Tab reaches each control, what has the focus can be seen, and keys work each of them."""
    focus = "(e => e.id || (e.name ? e.name + '=' + e.value : e.className || e.tagName))(document.activeElement)"
    reached = []
    for _ in range(20):
        page.press("Tab")
        reached.append(page.run(focus))
        if reached[-1] in reached[:-1] or reached[-1] == "BODY":
            break
        outline = page.run("""(e => {
            const shown = e.name === 'background' ? e.nextElementSibling : e, style = getComputedStyle(shown);
            return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
        })(document.activeElement)""")
        assert outline, f"{reached[-1]} has the focus and does not show it"
    wanted = ["skip", "quiet", "theme", "tab-camera", "start", "threshold", "background=image", "smooth", "mirror"]
    assert reached[: len(wanted)] == wanted, reached
    assert {"matched", "size"} <= set(reached)

    page.run("document.getElementById('start').focus()")
    page.press("Enter")
    page.wait("spied.last && spied.last.dots.length")
    page.press("Tab")
    assert page.run(focus) == "snapshot"
    page.press("Space")
    page.wait("document.querySelectorAll('#recordings-list a').length === 1")
    page.run("document.querySelector('input[name=background]').focus()")
    page.press("ArrowRight")
    assert pixel(page) == [0, 0, 0, 255]
    page.press("ArrowLeft")
    page.run("document.getElementById('threshold').focus()")
    page.press("ArrowRight")
    assert page.text("threshold-value") == "0.35"
    page.run("document.getElementById('mirror').focus()")
    page.press("Space")
    assert not page.run("document.getElementById('mirror').checked")
    page.run("document.getElementById('tab-camera').focus()")
    page.press("ArrowRight")
    assert page.run(focus) == "tab-files"
    assert page.text("camera-state") == "The camera is off."
    page.press("Tab")
    assert page.run(focus) == "choose"
    page.run("document.getElementById('file').click = () => { window.asked = true; }")
    page.press("Enter")
    assert page.run("window.asked")


# -- limner run --view


def test_a_running_command_is_seen_as_a_page(browser: Page, tmp_path: Path, face: np.ndarray) -> None:
    with VideoWriter(tmp_path / "clip.mp4", 10) as writer:
        for frame in moving(face, 40, (320, 240)):
            writer.write(frame)
    cv2.imwrite(str(tmp_path / "one.png"), face)
    command = [sys.executable, "-m", "limner", "run", "one.png", "clip.mp4", "--view", "0"]
    with subprocess.Popen(
        command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            match = re.search(r"open (http://127.0.0.1:\d+) to watch; it begins then", said)
            assert match, said
            browser.said.clear()
            browser.open(match[1])
            browser.wait("document.getElementById('stage').dataset.state === 'on'")
            assert browser.run("document.getElementById('shown').width") == face.shape[1]
            if AXE.is_file():
                assert serious(browser) == []
            browser.press("Space")
            browser.wait("document.getElementById('shown').width === 320")
            browser.press("Space")
            browser.wait("document.getElementById('state').textContent === 'Paused.'")
            browser.press("s")
            browser.press("Space")
            browser.press("q")
            browser.wait("document.getElementById('state').textContent === 'The command has ended.'")
            assert process.wait(20) == 0
            assert "the image is written to" in process.stdout.read()
            assert not browser.said
        finally:
            process.kill()


def test_the_sentence_about_a_missing_display_names_view(
    tmp_path: Path, face: np.ndarray, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("one.png", face)
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    assert run("run", "one.png", "--show") == 1
    said = capsys.readouterr().err
    assert "there is no display" in said
    assert "--view" in said


@pytest.mark.parametrize("other", ["--show", "--headless"])
def test_what_view_contradicts(other: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("run", "webcam", "--view", other) != 0
    assert "contradict each other" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["a.mp4", "--view"], ["a.mp4", "--view", "8000"]),
        (["--view", "a.mp4"], ["--view", "8000", "a.mp4"]),
        (["--view", "9000", "a.mp4"], ["--view", "9000", "a.mp4"]),
        (["--view=9", "--", "--view"], ["--view=9", "--", "--view"]),
    ],
)
def test_the_port_of_view_may_be_left_out(given: list[str], expected: list[str]) -> None:
    assert with_values(given) == expected
