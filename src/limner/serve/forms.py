"""The forms in which a client gets a result: which one it asks for, and what is in it.

Drawings and files of numbers are those of `limner run` and `Result.save` for the same image.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..api import Result
from ..draw import DrawStyle, render
from ..files import compact_json
from ..formats.json_lines import json_line
from ..formats.mmpose_json import image_json
from ..images import ALPHA_SUFFIXES, encode_image
from ..pipeline import Pipeline
from ..types import Frame
from . import wire
from .limits import RefusedError


@dataclass(frozen=True)
class Form:
    """A form in which a client gets a result."""

    name: str  # as `format` has it
    media_type: str
    suffix: str


JSON = Form("json", "application/json", ".json")
FORMS = {
    form.name: form
    for form in (
        JSON,
        Form("jpg", "image/jpeg", ".jpg"),
        Form("png", "image/png", ".png"),
        Form("webp", "image/webp", ".webp"),
        Form("svg", "image/svg+xml", ".svg"),
        Form("csv", "text/csv; charset=utf-8", ".csv"),
        Form("jsonl", "application/x-ndjson", ".jsonl"),
        Form("mmpose", "application/json", ".json"),
    )
}
_DRAWN = ("jpg", "png", "webp")
VIDEO_FORMS = {
    "jsonl": Form("jsonl", "application/x-ndjson", ".jsonl"),
    "mp4": Form("mp4", "video/mp4", ".mp4"),
}


def chosen(asked: Mapping[str, Any], accept: str, forms: Mapping[str, Form]) -> Form:
    """Return the form that a request asks for: by ``format``, or else by its header Accept.

    Raises:
        RefusedError: no form is so called (400), or none is accepted (406).
    """
    known = ", ".join(forms)
    if "format" in asked:
        name = {"jpeg": "jpg", "ndjson": "jsonl"}.get(str(asked["format"]).lower(), str(asked["format"]).lower())
        if name not in forms:
            raise RefusedError(400, f"format is '{name}' where one of {known} is needed")
        return forms[name]
    for media_type in _accepted(accept):
        if media_type in ("*/*", "application/*"):
            return next(iter(forms.values()))
        for form in forms.values():
            kind = form.media_type.partition(";")[0]
            if media_type == kind or media_type == f"{kind.partition('/')[0]}/*":
                return form
    raise RefusedError(
        406, f"Accept is '{accept[:100]}' where one of {', '.join(f.media_type for f in forms.values())} is needed"
    )


def _accepted(accept: str) -> list[str]:
    """Return the media types of a header Accept, the most wanted first; all where it is empty."""
    found = []
    for place, part in enumerate(accept.lower().split(",")[:30]):
        media_type, _, rest = part.partition(";")
        weight = re.search(r"q\s*=\s*([01](?:\.\d{1,3})?)", rest)
        quality = float(weight[1]) if weight else 1.0
        if media_type.strip() and quality > 0:
            found.append((-quality, place, media_type.strip()))
    return [media_type for _, _, media_type in sorted(found)] or ["*/*"]


def content(
    form: Form, result: Result, style: DrawStyle, pipeline: Pipeline, model: str, timings: Mapping[str, float]
) -> bytes:
    """Return a result in a form.

    Raises:
        OutputError: the image does not fit the form, as a transparent one does not fit JPEG.
    """
    if form.name == "json":
        return (compact_json(wire.prediction(result, model, timings)) + "\n").encode("ascii")
    if form.name == "mmpose":
        return image_json(result)
    if form.name == "jsonl":
        return (json_line(result) + "\n").encode("ascii")
    if form.name == "csv":
        from ..formats.table import tidy_csv

        return tidy_csv(result).encode("utf-8")
    with_alpha = Frame(result.image, alpha=result.alpha).with_alpha
    if form.name == "svg":
        from ..draw.svg import svg

        return svg(result, style, with_alpha).encode("utf-8")
    image = with_alpha if form.suffix in ALPHA_SUFFIXES else result.image
    drawn = render(image, result, style, crop=pipeline.pose.crop)
    return encode_image(drawn, form.suffix, f"drawing{form.suffix}")


def is_drawing(form: Form) -> bool:
    """Whether a form is a drawing, for which a style counts."""
    return form.name in (*_DRAWN, "svg")
