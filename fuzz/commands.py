"""Command lines at random: every option of every command, with values that nobody would give.

The commands run in this process: a refusal is a LimnerError or a usage error. Those that would wait for others, such as
a server, are left out, and so are names of models whose weights would be fetched.
"""

from __future__ import annotations

import contextlib
import functools
import io
import os
import random
import shutil
import sys
from pathlib import Path
from typing import Any

NAME, COUNT, SHORT = "commands", 3000, 30

_LEFT_OUT = {"serve", "doctor", "clear", "verify", "batch"}  # they wait, look at the whole machine, or change it
_WAITING = ("_all", "view")  # options: the help, and a page that waits for its reader
_DEMOS = ("topdown", "inferencer", "image")
# fmt: off
_NUMBERS = (
    "0", "1", "-1", "2", "7", "0.5", "-0.0", "1e308", "1e-320", "nan", "inf", "-inf", "1e999", "", " ", "0x10", "1_0",
    "99999999999999999999", "-99999999999999999999", "٣", "½", "1,5", "1.5", "True", "None", "--", "3x2", "0x0",
    "1000000x1000000", "1:00", "1:2:3:4", "50%", "10s",
)
_TEXTS = (
    "", " ", "\t", "x", "~", "~nosuchuser/x", "~nosuchuser", "/", ".", "..", "/dev/null", "/dev/full", "/proc/self/mem",
    "a" * 300, "é" * 200, "日本", "\x1b[31m", "a\nb", "\udcff", "\ud800", "%s%n", "{0}", "$(x)", "*", "**", "[", "[]",
    "\\", "http://127.0.0.1:1/x", "http://[", "http://", "file:///x", "rtsp://127.0.0.1:1/x", "a::b", "../x", "con",
    ".png", "x.png", "x.mp4", "x.svg", "x.json", "x.jsonl", "x.csv", "x.onnx", "x.pth", "x.py", "x.zip", "folder",
    "photo.png", "text.txt", "empty.png", "empty.onnx", "broken.json", "lines.jsonl", "photo.png/x", "auto", "off",
    "none", "all", "red", "#12", "#ff8800", "by-id", "face", "body,face", ",", "largest", "center", "id:1", "id:x",
    "1,2", "nan,inf", "mmpose", "openpose", "cpu", "cuda", "cuda:99", "cpu:1", "meta", "torch", "onnxruntime", "int8",
    "face-lite", "whole-image", "whole_image", "coco", "300w-68", "90", "live", "file",
)
# fmt: on
_OF_NUMBERS = ("N", "SCORE", "PIXELS", "OPACITY", "SECONDS", "FPS", "TIME", "int", "float", "number", "fraction")
_INPUTS = ("photo.png", "photo.png", "folder", "clip.gif", "text.txt", "empty.png", "nothing.png", "*.png", "%d.png")


@functools.cache
def _commands() -> dict[str, list[Any]]:
    """Return the parameters of each command, by its name."""
    import typer

    from limner.cli import app

    found: dict[str, list[Any]] = {}

    def add(command: Any, words: tuple[str, ...]) -> None:
        for name, inner in getattr(command, "commands", {}).items():
            if name not in _LEFT_OUT:
                add(inner, (*words, name))
        if not hasattr(command, "commands"):
            found[" ".join(words)] = command.params

    add(typer.main.get_command(app), ())
    return found


@functools.cache
def _flags(demo: str) -> list[Any]:
    """Return the actions of the parser of one of MMPose's demos."""
    from limner.mmpose import demo_arguments

    return list(getattr(demo_arguments, f"{demo}_parser")(demo)._actions)


def make(random: random.Random, folder: Path) -> tuple[Path, list[str]]:
    """Return a folder with files of some kinds, and a command line."""
    name = random.choice(sorted(_commands()))
    if random.random() < 0.5:
        name = "run"
    arguments = name.split()
    if name in _DEMOS:
        arguments += _demo(random, name)
    else:
        for param in _commands()[name]:
            if param.param_type_name == "argument":
                values = _INPUTS if random.random() < 0.8 else _TEXTS
                arguments += random.choices(values, k=random.choice((1, 1, 1, 2, 3)) if param.nargs < 0 else 1)
        options = [p for p in _commands()[name] if p.param_type_name == "option" and p.name not in _WAITING]
        for option in random.sample(options, min(len(options), random.choice((0, 1, 1, 2, 3, 5)))):
            arguments.append(random.choice(option.opts))
            if not option.is_flag:
                arguments.append(_value(random, option.metavar or ""))
    _files(folder)
    return folder, arguments


def _demo(random: random.Random, demo: str) -> list[str]:
    arguments = []
    for action in _flags(demo):
        if not action.option_strings:
            arguments.append(random.choice(_INPUTS if random.random() < 0.5 else _TEXTS))
        elif random.random() < 0.15:
            arguments.append(random.choice(action.option_strings))
            if action.nargs != 0:
                arguments.append(_value(random, getattr(action.type, "__name__", "")))
    if demo == "inferencer" and random.random() < 0.7:
        arguments += ["--pose2d", "face-lite", "--vis-out-dir", "out"]
    return arguments


def _value(random: random.Random, kind: str) -> str:
    if random.random() < 0.7 and any(word in kind for word in _OF_NUMBERS):
        return random.choice(_NUMBERS)
    return random.choice(_NUMBERS if random.random() < 0.3 else _TEXTS)


def _files(folder: Path) -> None:
    import cv2
    import numpy as np

    image = np.full((40, 50, 3), 90, np.uint8)
    cv2.imwrite(str(folder / "photo.png"), image)
    (folder / "folder").mkdir()
    cv2.imwrite(str(folder / "folder" / "a.png"), image)
    (folder / "folder" / "text.txt").write_text("text")
    (folder / "text.txt").write_text("text")
    (folder / "empty.png").touch()
    (folder / "empty.onnx").touch()
    (folder / "broken.json").write_text('{"a": [')
    (folder / "lines.jsonl").write_text('{"limner":"0","model":"x"}\n')
    from limner import VideoWriter

    with VideoWriter(folder / "clip.gif", 10) as writer:
        for i in range(3):
            writer.write(image + i)


def attempt(case: object) -> None:
    """Run a command line in its folder."""
    from limner import LimnerError
    from limner.cli import app

    assert isinstance(case, tuple)
    folder, arguments = case
    before, home = os.getcwd(), folder / "home"
    os.environ |= {"LIMNER_HOME": str(home), "LIMNER_DEBUG": str(folder / "faults")}
    os.chdir(folder)
    streams = sys.stdin, sys.stdout, sys.stderr
    sys.stdin, sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(3))
    printed = sys.stdout, sys.stderr
    try:
        app(arguments, prog_name="limner", standalone_mode=False)
    except SystemExit:  # the help of a demo
        pass
    except Exception as error:
        if hasattr(error, "format_message"):  # a usage error
            raise LimnerError("the arguments are refused") from None
        raise
    finally:
        sys.stdin, sys.stdout, sys.stderr = streams
        os.chdir(before)
    if (folder / "faults").exists():
        raise AssertionError((folder / "faults").read_text().strip().splitlines()[-1])
    for stream in printed:
        stream.flush()
        text = stream.buffer.getvalue().decode()
        assert not any(ord(c) < 32 and c not in "\n\t\r" for c in text), f"control characters are printed: {text!r}"
    with contextlib.suppress(OSError):
        shutil.rmtree(home)
