"""The HTTP API of `limner serve`: the same results and files as `limner run`, over the network."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import limner
from limner import cli
from limner.formats.mmpose_json import image_json
from limner.pipeline import Pipeline
from serving import Server, clip, form, jpeg, serve


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve() as running:
        yield running


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory, portrait: np.ndarray) -> Path:
    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    path.write_bytes(jpeg(portrait))
    return path


@pytest.fixture(scope="module")
def found(photo: Path) -> limner.Result:
    return limner.load("face-lite")(photo)


@pytest.fixture(scope="module")
def ran(photo: Path, portrait: np.ndarray) -> Path:
    """What `limner run` writes for the photo and a clip."""
    clip(photo.parent / "clip.mp4", portrait)
    command = [sys.executable, "-m", "limner", "run", "-q", "photo.jpg", "clip.mp4"]
    command += ["--out", "out", "--json", "json", "--jsonl", "all.jsonl"]
    subprocess.run(command, cwd=photo.parent, check=True)
    return photo.parent


@pytest.mark.parametrize("sends", ["raw", "form"])
def test_an_image_gives_what_python_gives(server: Server, photo: Path, found: limner.Result, sends: str) -> None:
    data, headers = (photo.read_bytes(), {"Content-Type": "image/jpeg"})
    if sends == "form":
        data, headers = form("photo.jpg", data)
    answer = server.post("/v1/predict", data, headers)
    assert answer.status == 200
    prediction = answer.json
    assert prediction["model"] == "face-lite"
    assert prediction["keypoint_set"] == "300w-68"
    assert prediction["names"] == list(found.names)
    assert prediction["size"] == [512, 512]
    assert prediction["instances"] == json.loads(image_json(found))
    assert {"upload", "decode", "wait", "network", "total"} == set(prediction["timings"])
    assert prediction["timings"]["total"] >= prediction["timings"]["network"] > 0


def test_drawings_and_files_are_those_of_run(
    server: Server, photo: Path, found: limner.Result, ran: Path, tmp_path: Path
) -> None:
    data = photo.read_bytes()
    drawn = server.post("/v1/predict", data, {"Accept": "image/jpeg"})
    assert drawn.headers["Content-Type"] == "image/jpeg"
    assert drawn.body == (ran / "out" / "photo.jpg").read_bytes()
    assert server.post("/v1/predict?format=mmpose", data).body == (ran / "json" / "photo.json").read_bytes()
    for ending, accept in (("svg", "image/svg+xml"), ("png", "image/png"), ("csv", "text/csv")):
        saved = found.save(tmp_path / f"x.{ending}").read_bytes()
        if ending == "csv":
            saved = saved.replace(str(photo).encode(), b"photo.jpg")
        answer = server.post("/v1/predict?name=photo.jpg", data, {"Accept": accept})
        assert answer.headers["Content-Type"].startswith(accept)
        assert answer.body == saved, ending
    line = server.post("/v1/predict?format=jsonl&name=photo.jpg", data).body
    assert line in (ran / "all.jsonl").read_bytes()


def test_a_drawing_has_the_style_that_is_asked_for(server: Server, photo: Path, found: limner.Result) -> None:
    asked = "?format=png&background=black&draw_bbox=true&radius=4&kpt_thr=0.1&color=gold"
    answer = server.post("/v1/predict" + asked, photo.read_bytes())
    image = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    wanted = found.plot(background="black", draw_bbox=True, radius=4.0, kpt_thr=0.1, color="gold")
    assert np.array_equal(image, wanted)
    body, headers = form("a.jpg", photo.read_bytes(), {"format": "png", "background": "transparent"})
    image = cv2.imdecode(np.frombuffer(server.post("/v1/predict", body, headers).body, np.uint8), cv2.IMREAD_UNCHANGED)
    assert image.shape == (512, 512, 4)


def test_boxes_can_be_left_out(server: Server, photo: Path) -> None:
    data = photo.read_bytes()
    assert server.post("/v1/predict?bbox_thr=0.999", data).json["instances"] == []
    assert server.post("/v1/predict?max_boxes=0", data).json["instances"] == []


@pytest.mark.parametrize(
    ("asked", "status", "says"),
    [
        ("?kptthr=1", 400, "Did you mean 'kpt_thr'?"),
        ("?kpt_thr=much", 400, "kpt_thr is 'much' where a number"),
        ("?draw_bbox=perhaps", 400, "true or false"),
        ("?background=/etc/passwd", 400, "background"),
        ("?format=tiff", 400, "format is 'tiff' where one of json"),
        ("?format=jpg&background=transparent", 500, ".png"),
        ("?model=hand", 404, "offers no model 'hand'"),
        ("?radius=" + 300 * "1", 400, "radius"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence(server: Server, photo: Path, asked: str, status: int, says: str) -> None:
    answer = server.post("/v1/predict" + asked, photo.read_bytes())
    assert answer.status in (status, 400)
    assert says in answer.error
    assert "\n" not in answer.error


def test_a_form_that_is_not_accepted_is_refused(server: Server, photo: Path) -> None:
    answer = server.post("/v1/predict", photo.read_bytes(), {"Accept": "application/pdf"})
    assert answer.status == 406
    wanted = "text/html,image/png;q=0.4,application/json;q=0.9"
    answer = server.post("/v1/predict", photo.read_bytes(), {"Accept": wanted})
    assert answer.headers["Content-Type"] == "application/json"


def test_the_lines_and_files_of_a_video_are_those_of_run(server: Server, ran: Path) -> None:
    answer = server.post("/v1/predict/video?draw=mp4,json&name=clip.mp4", (ran / "clip.mp4").read_bytes())
    assert answer.status == 200
    assert answer.headers["Limner-Frames"] == "8"
    *lines, offer = answer.body.splitlines()
    wanted = (ran / "all.jsonl").read_bytes().splitlines()
    assert lines[1:] == [line for line in wanted if b'"clip.mp4"' in line]
    assert json.loads(lines[0]) == json.loads(wanted[0])
    offered = json.loads(offer)
    drawn = server.get(offered["drawing"])
    assert drawn.headers["Content-Type"] == "video/mp4"
    assert drawn.body == (ran / "out" / "clip.mp4").read_bytes()
    assert len(drawn.body) == offered["bytes"]
    assert server.get(offered["json"]).body == (ran / "json" / "clip.json").read_bytes()
    assert server.request("DELETE", offered["drawing"]).status == 204
    assert server.get(offered["drawing"]).status == 404


def test_the_drawn_video_itself(server: Server, ran: Path) -> None:
    body, headers = form("clip.mp4", (ran / "clip.mp4").read_bytes())
    answer = server.post("/v1/predict/video", body, {**headers, "Accept": "video/mp4"})
    assert answer.status == 200
    assert answer.body == (ran / "out" / "clip.mp4").read_bytes()


def test_lines_of_a_video_come_before_it_ends(server: Server, portrait: np.ndarray, tmp_path: Path) -> None:
    import http.client

    data = clip(tmp_path / "long.mp4", portrait, frames=50).read_bytes()
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request("POST", "/v1/predict/video", data)
    answer = connection.getresponse()
    began = time.monotonic()
    answer.readline()
    assert json.loads(answer.readline())["frame_id"] == 0
    first = time.monotonic() - began
    rest = answer.read().splitlines()
    assert first < (time.monotonic() - began) / 2
    assert json.loads(rest[-1]) == {"source": "video.mp4", "frames": 50, "complete": True}
    connection.close()


def test_a_part_of_a_video_tracked_in_another_way(server: Server, ran: Path) -> None:
    asked = "?start=0.2&every=2&max_frames=2&track=false&name=a"
    lines = server.post("/v1/predict/video" + asked, (ran / "clip.mp4").read_bytes()).body.splitlines()
    records = [json.loads(line) for line in lines]
    frames = [record for record in records if "instances" in record]
    assert len(frames) == 2
    assert "track_id" not in frames[0]["instances"][0]


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"", 400),
        (b"no video at all", 415),
        (b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n", 415),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", 415),
        (b"v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\n", 415),
        (b"\0\0\0\x18ftypisom\0\0\2\0isomiso2", 400),
    ],
)
def test_other_files_than_videos_are_refused(server: Server, data: bytes, status: int) -> None:
    answer = server.post("/v1/predict/video", data)
    assert answer.status == status
    assert "/tmp" not in answer.error


def test_models_are_described(server: Server, found: limner.Result) -> None:
    assert server.get("/v1/models").json == {"models": [{"name": "face-lite", "default": True, "kind": "face"}]}
    described = server.get("/v1/models/face-lite").json["keypoint_set"]
    assert described["names"] == list(found.names)
    assert described["skeleton"] == found.keypoint_set.skeleton.tolist()
    assert described["keypoint_colors"][0] == "#" + bytes(found.keypoint_set.keypoint_colors[0].tolist()).hex()
    assert server.get("/v1/models/../../etc/passwd").status == 404


def test_several_models_are_on_offer(photo: Path, found: limner.Result) -> None:
    from limner import loading
    from limner.serve import app, runner
    from limner.serve.options import ServeOptions
    from limner.serve.served import Served

    opened: list[str] = []

    def opener(name: str) -> Callable[[], Pipeline]:
        return lambda: opened.append(name) or loading.load("face-lite")  # type: ignore[func-returns-value]

    served = Served({"first": opener("first"), "second": opener("second")}, ServeOptions(port=0))
    with runner.start(app.build(served), served.options, served.stop) as running:
        server = Server(None, running.port)  # type: ignore[arg-type]
        assert server.get("/v1/models").json["models"][1] == {"name": "second", "default": False, "kind": None}
        answer = server.post("/v1/predict?model=second", photo.read_bytes())
        assert answer.json["model"] == "second"
        assert len(answer.json["instances"]) == len(found)
        assert opened == ["second"]
        assert server.post("/v1/predict?model=third", photo.read_bytes()).status == 404
    served.close()


def test_the_api_is_documented_by_own_files(server: Server) -> None:
    document = server.get("/openapi.json").json
    assert document["openapi"].startswith("3.")
    assert {"/v1/predict", "/v1/predict/video", "/v1/models", "/healthz"} <= set(document["paths"])
    page = server.get("/docs").body.decode()
    files = [part.split('"')[0] for part in page.replace('src="', 'href="').split('href="')[1:]]
    assert all(file.startswith("/") for file in files)
    assert all(server.get(file).status == 200 for file in files)


def test_health_and_metrics(server: Server, photo: Path) -> None:
    assert server.get("/healthz").json == {"status": "ok"}
    server.post("/v1/predict", photo.read_bytes())
    text = server.get("/metrics").body.decode()
    assert 'limner_images_total{model="face-lite"}' in text
    assert 'limner_requests_total{route="predict",status="200"}' in text
    assert "photo" not in text


def test_a_running_request_is_finished_on_sigterm(photo: Path, portrait: np.ndarray, tmp_path: Path) -> None:
    import http.client

    data = clip(tmp_path / "long.mp4", portrait, frames=120).read_bytes()
    with serve() as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        connection.request("POST", "/v1/predict/video", data)
        video = connection.getresponse()
        video.readline()
        answers: list[int] = []
        threads = [
            threading.Thread(target=lambda: answers.append(server.post("/v1/predict", photo.read_bytes()).status))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        time.sleep(0.02)
        server.process.terminate()
        began = time.monotonic()
        lines = video.read().splitlines()
        for thread in threads:
            thread.join()
        assert server.process.wait(10) == 0
        assert time.monotonic() - began < 8
        assert answers.count(200) >= 1
        assert set(answers) <= {200}
        last = json.loads(lines[-1])
        assert last["complete"] is False
        assert last["frames"] == len(lines) - 1
        connection.close()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--host", "0.0.0.0"), "needs a token"),
        (("--token", "short"), "at least 16"),
        (("--host", "no.such.host.invalid", "--token", "0123456789abcdef"), "is no address of this machine"),
        (("-m", "face-lite", "-m", "hand", "--det", "face"), "--det can be given for one model"),
        (("--certfile", "cert.pem"), "--certfile and --keyfile belong together"),
        (("--allow-host", "https://x.org"), "--allow-host is 'https://x.org'"),
        (("-m", "face-lit"), "Did you mean"),
    ],
)
def test_what_cannot_be_served_is_said(
    options: tuple[str, ...], says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("LIMNER_TOKEN", raising=False)
    monkeypatch.setattr("sys.argv", ["limner", "serve", "--port", "0", *options])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert says in said
    assert len(said.strip().splitlines()) == 1
