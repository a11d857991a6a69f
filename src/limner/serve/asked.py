"""What a request asks for in its query or form: each value checked, unknown names refused with the nearest one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ..draw import DrawStyle
from ..errors import ArgumentError, said, suggest
from ..video.options import TrackingOptions, VideoOptions

_STYLE = tuple(f.name for f in fields(DrawStyle) if f.name not in ("draw_heatmap", "fit_faces", "line_alpha"))
_NUMBERS = ("kpt_thr", "radius", "thickness", "alpha", "bbox_thr")
_WHOLE = ("max_boxes", "det_interval", "max_persons", "every", "max_frames", "rotate")
_FLAGS = ("draw_bbox", "show_kpt_idx", "dots", "lines", "labels", "track")
IMAGE = ("model", "format", "name", "bbox_thr", "max_boxes", *_STYLE)
VIDEO = (
    *("model", "format", "draw", "name", "det_interval", "smooth", "max_persons", "follow", "track"),
    *("start", "end", "every", "max_frames", "rotate", *_STYLE),
)
_WORDS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_LONGEST = 200  # characters of a value


def parse(given: Mapping[str, str], known: tuple[str, ...]) -> dict[str, Any]:
    """Return the values of a request, numbers as numbers and flags as bools; an empty one is not given.

    Raises:
        ArgumentError: an unknown name, or a value of another kind.
    """
    asked: dict[str, Any] = {}
    for name, text in given.items():
        if name not in known:
            name = name[:_LONGEST]
            raise ArgumentError(f"a request has no '{name}'.{suggest(name, known)} It takes {', '.join(known)}.")
        if len(text) > _LONGEST:
            raise ArgumentError(f"{name} is longer than {_LONGEST} characters")
        if text.strip():
            asked[name] = _value(name, text.strip())
    return asked


def _value(name: str, text: str) -> Any:
    if name in _FLAGS:
        if text.lower() not in _WORDS:
            raise ArgumentError(f"{name} is {said(text)} where true or false is needed")
        return _WORDS[text.lower()]
    if name in _WHOLE:
        if not re.fullmatch(r"[0-9]{1,9}", text):
            raise ArgumentError(f"{name} is {said(text)} where a whole number is needed")
        return int(text)
    if name in _NUMBERS:
        if not re.fullmatch(r"-?[0-9]{0,9}\.?[0-9]{1,9}", text):
            raise ArgumentError(f"{name} is {said(text)} where a number is needed")
        return float(text)
    return text


def style(asked: Mapping[str, Any]) -> DrawStyle:
    """Return how a request wants its drawing.

    Raises:
        ArgumentError: an impossible value.
    """
    return DrawStyle(**{name: value for name, value in asked.items() if name in _STYLE})


def video_options(asked: Mapping[str, Any]) -> VideoOptions:
    """Return how a request wants its video taken.

    Raises:
        ArgumentError: an impossible value or combination.
    """
    tracking = ("det_interval", "smooth", "max_persons", "follow", "track")
    taken = ("start", "end", "every", "max_frames", "rotate")
    return VideoOptions(
        TrackingOptions(**{name: asked[name] for name in tracking if name in asked}),
        **{name: asked[name] for name in taken if name in asked},
    )


def label(name: str | None, default: str) -> str:
    """Return what results call their source: a text of the client without folders, which is never opened."""
    text = re.split(r"[/\\]", name or "")[-1]
    text = "".join(c for c in text if c.isprintable())[:_LONGEST].strip()
    return text or default
