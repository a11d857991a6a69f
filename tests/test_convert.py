"""JSON Lines of a run become any other form, equal to what the form's writer makes of the results themselves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from limner import cli, keypoints
from limner.errors import InputError, OutputError
from limner.formats.forms import FORMATS, form
from limner.formats.json_lines import JsonLinesWriter
from limner.formats.read_lines import LinesReader
from limner.formats.run_info import RunInfo
from limner.jobs.convert import convert
from random_results import INFO, library, random_video

NEEDS = {"parquet": "pyarrow", "nwb": "ndx_pose"}


def lines_of(path: Path, *videos: list, info: RunInfo = INFO) -> Path:
    with JsonLinesWriter(path) as writer:
        writer.head(info)
        for video in videos:
            for result in video:
                writer.write(result)
            writer.end(video[0].source, len(video), complete=True)
    return path


def plain(result: object) -> object:
    """Return a result without the labels of boxes, which JSON Lines do not hold."""
    boxes = result.boxes  # type: ignore[attr-defined]
    return replace(result, boxes=replace(boxes, labels=np.zeros(len(boxes), np.int64)))  # type: ignore[type-var]


@pytest.mark.parametrize("k", [17, 21, 26, 133])
def test_results_come_back_equal(k: int, tmp_path: Path) -> None:
    video = list(random_video(3, k, frames=12))
    reader = LinesReader(lines_of(tmp_path / "a.jsonl", video))
    read = list(reader)
    assert len(read) == len(video)
    assert reader.info == INFO
    for one, other in zip(read, video, strict=True):
        known = plain(other)
        np.testing.assert_array_equal(one.keypoints, known.keypoints)  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one.scores, known.scores)  # type: ignore[attr-defined]
        assert (one.source, one.index, one.size) == (other.source, other.index, other.size)
        assert one.timestamp == pytest.approx(other.timestamp, abs=1e-6)
        assert one.keypoint_set.names == other.keypoint_set.names
        assert (one.track_ids is None) == (other.track_ids is None or not len(other))


@pytest.mark.parametrize("name", FORMATS)
def test_each_form_is_that_of_its_writer(name: str, tmp_path: Path) -> None:
    if name in NEEDS:
        library(NEEDS[name])
    video = [replace(plain(r), source="videos/cam1.mp4", timestamp=round(r.timestamp, 6))  # type: ignore[type-var]
             for r in random_video(1, 17, frames=8)]  # fmt: skip
    lines = lines_of(tmp_path / "a.jsonl", video)
    made = convert(LinesReader(lines), tmp_path / "out", [name])
    assert made == [FORMATS[name].path(tmp_path / "out", "cam1")]
    if name in NEEDS:
        return  # its own tests read it; its bytes hold the time when it was made
    direct = tmp_path / "direct" / made[0].name
    with form(name).open(direct, INFO, stem="cam1" if FORMATS[name].folder else None) as writer:
        for result in video:
            writer.write(result)
    assert content(made[0]) == content(direct)


def content(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}


def test_the_command_converts_several_inputs_into_several_forms(tmp_path: Path) -> None:
    videos = [[replace(r, source=f"{folder}/clip.mp4") for r in random_video(seed, 17, frames=4)]
              for seed, folder in enumerate("ab")]  # fmt: skip
    lines = lines_of(tmp_path / "a.jsonl", *videos)
    out = tmp_path / "out"
    result = CliRunner().invoke(cli.app, ["convert", str(lines), "-f", "trc,csv", "-f", "openpose", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == [
        "clip_1_json",
        "clip_1_trc",
        "clip_json",
        "clip_trc",
        "results.csv",
    ]
    assert len(list((out / "clip_1_json").iterdir())) == 4
    again = CliRunner().invoke(cli.app, ["convert", str(lines), "-f", "csv", "-o", str(out)])
    assert again.exit_code != 0
    assert "exists: give --overwrite" in str(again.exception)
    assert (
        CliRunner().invoke(cli.app, ["convert", str(lines), "-f", "csv", "-o", str(out), "--overwrite"]).exit_code == 0
    )


def test_what_cannot_be_converted_is_refused_in_a_sentence(tmp_path: Path) -> None:
    video = list(random_video(1, 17, frames=3))
    one = [replace(r, source="a.mp4") for r in video]
    other = [replace(r, source="b.mp4") for r in video]
    twice = LinesReader(lines_of(tmp_path / "twice.jsonl", one, other, one))
    with pytest.raises(InputError, match="in two places"):
        convert(twice, tmp_path / "out", ["trc"])
    assert convert(twice, tmp_path / "flat", ["csv"])
    empty = tmp_path / "empty.jsonl"
    empty.write_text(json.dumps({"limner": "1"}) + "\n")
    with pytest.raises(InputError, match="holds no results"):
        convert(LinesReader(empty), tmp_path / "out", ["csv"])
    for text in ("no json\n", "[]\n", '{"source": 3}\n', '{"source": "a", "instances": 3}\n'):
        empty.write_text(text)
        with pytest.raises(InputError, match="line 1"):
            convert(LinesReader(empty), tmp_path / "out", ["csv"])
    results = lines_of(tmp_path / "results.csv", one)
    with pytest.raises(OutputError, match="is the file that is read"):
        convert(LinesReader(results), tmp_path, ["csv"], overwrite=True)
    assert list(LinesReader(results))


def test_a_line_that_is_cut_short_is_left_out_and_unknown_sets_are_numbered(tmp_path: Path) -> None:
    mine = replace(keypoints.load("coco-17"), name="mine")
    video = [replace(r, keypoint_set=mine) for r in random_video(1, 17, frames=3)]
    video = [video[0][:0], *video]  # nobody at first
    path = lines_of(tmp_path / "a.jsonl", video)
    path.write_bytes(path.read_bytes() + b'{"source":"cut')
    reader = LinesReader(path)
    found = list(reader)
    assert reader.remarks == [f"the last line of '{path}' is cut short, and left out"]
    assert reader.unknown == {"mine"}
    assert found[-1].keypoint_set.names[-1] == "kpt_16"
    assert convert(reader, tmp_path / "out", ["csv", "coco-annotations"])
    named = list(LinesReader(path, keypoint_set=keypoints.load("coco-17")))
    assert named[0].keypoint_set.names[0] == "nose"


def test_a_folder_of_a_batch_is_one_table(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / "results" / name).mkdir(parents=True)
        video = [replace(r, source=f"{name}.mp4") for r in random_video(1, 17, frames=3)]
        lines_of(tmp_path / "results" / name / "x.jsonl", video)
    out = tmp_path / "out"
    result = CliRunner().invoke(cli.app, ["convert", str(tmp_path / "results"), "-f", "csv,trc", "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["a_trc", "b_trc", "results.csv"]
    text = (out / "results.csv").read_text()
    assert text.index("a.mp4") < text.index("b.mp4")
    (tmp_path / "empty").mkdir()
    assert CliRunner().invoke(cli.app, ["convert", str(tmp_path / "empty"), "-f", "csv"]).exit_code != 0


@pytest.mark.parametrize("frame", [-5, 10**9])
def test_a_frame_that_cannot_be_is_one_sentence(frame: int, tmp_path: Path) -> None:
    video = [replace(r, index=i) for r, i in zip(random_video(1, 17, frames=3), (0, 1, frame), strict=True)]
    reader = LinesReader(lines_of(tmp_path / "a.jsonl", video))
    with pytest.raises(InputError, match=f"frame {frame} in line 4"):
        convert(reader, tmp_path / "out", ["openpose"])
    assert not (tmp_path / "out").exists()
