"""A folder of images: read ahead, looked at several together, written in order; what fails is said in its place."""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from limner import loading
from limner.draw import DrawStyle
from limner.errors import ArgumentError, InputError
from limner.jobs import job
from limner.jobs.job import Job
from limner.mmpose.inferencer import MMPoseInferencer
from limner.pipeline import Pipeline
from limner.types import Boxes, Frame, Result
from limner.video.options import TrackingOptions, VideoOptions, parse_batch
from limner.video.writer import VideoWriter
from limner.writers import JsonWriter


class Counting(Pipeline):
    """Notes how many images go together, and refuses those of one height."""

    def __init__(self, refused: int = 0) -> None:
        stages = loading.load("face-lite")
        super().__init__(stages.detector, stages.pose)
        self.calls, self.refused = list[int](), refused

    def many(
        self, frames: Sequence[Frame], boxes: Sequence[Boxes] | None = None, *, heatmaps: Any = ""
    ) -> list[Result]:
        self.calls.append(len(frames))
        if any(frame.image.shape[0] == self.refused for frame in frames):
            raise InputError("an image of that height is refused")
        return super().many(frames, boxes, heatmaps=heatmaps)


@pytest.fixture
def folder(tmp_path: Path, portrait: np.ndarray) -> Path:
    """Seven images, 0.png to 6.png, of two shapes; the fourth is damaged."""
    path = tmp_path / "photos"
    path.mkdir()
    for i in range(7):
        cv2.imwrite(str(path / f"{i}.png"), portrait[: 512 - 100 * (i % 2)])
    (path / "3.png").write_bytes((path / "3.png").read_bytes()[:5000])
    return path


def done(stages: Pipeline, inputs: Path, out: Path, batch: int | None) -> tuple[int, list[str], list[str]]:
    said, complained = list[str](), list[str]()
    wanted = Job(
        inputs=(str(inputs),),
        open=lambda: stages,
        style=DrawStyle(),
        out=out / "drawn",
        json_writer=JsonWriter(out / "points"),
        video_options=VideoOptions(TrackingOptions(batch=batch)),
    )
    return job.run(wanted, info=said.append, warn=complained.append), said, complained


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.*"))}


def test_images_of_a_folder_go_together_and_give_what_each_gives_alone(folder: Path, tmp_path: Path) -> None:
    for batch in (1, 4):
        failed, said, complained = done(Counting(), folder, tmp_path / str(batch), batch)
        assert failed == 1
        assert "6 images" in said[-1]
        assert len(complained) == 1
        assert "3.png" in complained[0]
    alone, together = contents(tmp_path / "1"), contents(tmp_path / "4")
    assert alone == together
    assert len(alone) == 12
    assert len(json.loads(alone["points/0.json"])) == 1


def test_as_many_as_pay_go_together_where_nothing_is_said(folder: Path, tmp_path: Path) -> None:
    stages = Counting()
    done(stages, folder, tmp_path / "out", None)
    assert stages.calls == [3, 3], "the damaged image had the fourth place"


def test_large_images_go_alone(tmp_path: Path, portrait: np.ndarray) -> None:
    (tmp_path / "large").mkdir()
    for i in range(3):
        cv2.imwrite(str(tmp_path / "large" / f"{i}.jpg"), cv2.resize(portrait, (3000, 2500)))
    stages = Counting()
    assert done(stages, tmp_path / "large", tmp_path / "out", 8)[0] == 0
    assert stages.calls == [1, 1, 1]


def test_one_that_the_stages_refuse_does_not_take_the_others_with_it(folder: Path, tmp_path: Path) -> None:
    failed, said, complained = done(Counting(refused=412), folder, tmp_path / "out", 4)
    assert failed == 3
    assert ["refused" in line for line in complained] == [True, False, True], "in the order of the images"
    assert "3.png" in complained[1]
    assert "4 images" in said[-1]


def test_a_user_who_stops_keeps_what_is_written(folder: Path, tmp_path: Path) -> None:
    class Stopped(JsonWriter):
        def write(self, stem: str, result: Result) -> Path:
            if stem == "5":
                raise KeyboardInterrupt
            return super().write(stem, result)

    wanted = Job(inputs=(str(folder),), open=Counting, style=DrawStyle(), json_writer=Stopped(tmp_path / "points"))
    with pytest.raises(KeyboardInterrupt):
        job.run(wanted, info=str, warn=str)
    assert sorted(path.name for path in (tmp_path / "points").iterdir()) == ["0.json", "1.json", "2.json", "4.json"]


def test_images_and_videos_come_in_their_order(folder: Path, tmp_path: Path, portrait: np.ndarray) -> None:
    with VideoWriter(folder / "2a.mp4", Fraction(25)) as sink:
        for _ in range(3):
            sink.write(portrait)
    stages = Counting()
    failed, said, _ = done(stages, folder, tmp_path / "out", 4)
    assert failed == 1
    assert "6 images and 3 frames of 1 video" in said[-1]
    assert stages.calls == [3, 3, 3], "three images, the video, and three of the four after it"
    assert len(contents(tmp_path / "out")) == 14


def test_the_inferencers_batch_size_counts_for_videos_too(
    tmp_path: Path, portrait: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with VideoWriter(tmp_path / "clip.mp4", Fraction(25)) as sink:
        for _ in range(7):
            sink.write(portrait)
    find = MMPoseInferencer("face-lite")
    calls, many = list[int](), Pipeline.many

    def counted(stages: Pipeline, frames: Sequence[Frame], *more: Any, **named: Any) -> list[Result]:
        calls.append(len(frames))
        return many(stages, frames, *more, **named)

    monkeypatch.setattr(Pipeline, "many", counted)
    steps = list(find(str(tmp_path / "clip.mp4"), batch_size=3))
    assert [len(step["predictions"]) for step in steps] == [3, 3, 1]
    assert calls == [3, 3, 1]


@pytest.mark.parametrize(("text", "means"), [("auto", None), ("AUTO", None), ("1", 1), ("16", 16)])
def test_batches_in_words(text: str, means: int | None) -> None:
    assert parse_batch(text) == means


@pytest.mark.parametrize("text", ["0", "-2", "", "four", "1.5", "99999"])
def test_batches_without_sense_are_refused(text: str) -> None:
    with pytest.raises(ArgumentError, match="auto or a whole number"):
        parse_batch(text)
