"""The OpenAPI document of the HTTP API: what `/openapi.json` returns and the page `/docs` shows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .. import __version__
from .options import ServeOptions

_NUMBER = {"type": "number"}
_WHOLE = {"type": "integer", "minimum": 0}
_FLAG = {"type": "boolean"}
_TEXT = {"type": "string", "maxLength": 200}
_DRAWING: dict[str, tuple[dict[str, Any], str]] = {
    "kpt_thr": (_NUMBER, "Keypoints that score less are not drawn (0.3)."),
    "radius": (_NUMBER, "Radius of every dot in pixels; it fits each body, hand or face otherwise."),
    "thickness": (_NUMBER, "Thickness of every line in pixels."),
    "background": (_TEXT, "image, black, white, transparent (PNG, WebP and SVG) or a colour."),
    "color": (_TEXT, "One colour for everything, by-id or by-part."),
    "alpha": (_NUMBER, "Opacity of what is drawn, 0 to 1."),
    "parts": (_TEXT, "Parts of a body that are drawn: body, feet, face, hands ..., with commas."),
    "draw_bbox": (_FLAG, "Draw boxes and their scores too."),
    "show_kpt_idx": (_FLAG, "Write the number of each keypoint beside it."),
    "skeleton_style": ({"type": "string", "enum": ["mmpose", "openpose"]}, "Colours and links."),
    "dots": (_FLAG, "Draw the dots."),
    "lines": (_FLAG, "Draw the lines."),
    "labels": (_FLAG, "Write track ids and scores."),
}
_IMAGE: dict[str, tuple[dict[str, Any], str]] = {
    "bbox_thr": (_NUMBER, "Leave out boxes that score no more than this, 0 to 1."),
    "max_boxes": (_WHOLE, "Keep so many boxes at most, the best ones."),
    "name": (_TEXT, "What jsonl and csv call the image; the file name of the form otherwise."),
}
_VIDEO: dict[str, tuple[dict[str, Any], str]] = {
    "draw": (_TEXT, "mp4, json or mp4,json: the last line says where these files can be fetched for a while."),
    "det_interval": (_WHOLE, "Run the detector on every Nth frame (1)."),
    "smooth": ({"type": "string", "enum": ["off", "live", "file"]}, "Smooth keypoints over time (off)."),
    "max_persons": (_WHOLE, "Keep so many people at most."),
    "follow": (_TEXT, "Keep one person: largest, center, X,Y or id:3."),
    "track": (_FLAG, "Give track ids (true)."),
    "start": (_TEXT, "Begin at this time: seconds or 1:30."),
    "end": (_TEXT, "End before this time."),
    "every": (_WHOLE, "Take every Nth frame."),
    "max_frames": (_WHOLE, "Stop after so many frames."),
    "rotate": ({"type": "integer", "enum": [0, 90, 180, 270]}, "Turn clockwise, degrees."),
    "name": (_TEXT, "What the lines call the video."),
}
_ERRORS = {
    "400": "A value is impossible, or the file is damaged.",
    "401": "The token is missing or wrong.",
    "403": "A page of another site asks.",
    "404": "There is no such model.",
    "408": "The upload is too slow.",
    "413": "The file has too many bytes, pixels or seconds.",
    "415": "The file is no image, or no video.",
    "421": "The server is not known by the name in Host.",
    "429": "The server has too much to do; Retry-After says when to ask again.",
}


def document(models: Sequence[str], options: ServeOptions) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of a server.

    Args:
        models: the names that it offers, the default one first.
        options: its limits, which descriptions name.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "limner",
            "version": __version__,
            "description": "Finds keypoints of faces, bodies and hands in images, videos and cameras.",
        },
        "paths": {**_predictions(models, options), **_others(options)},
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [] if options.token is None else [{"token": []}],
    }


def _predictions(models: Sequence[str], options: ServeOptions) -> dict[str, Any]:
    image_limits = f"At most {options.max_image_bytes / 1e6:g} MB and {options.max_pixels / 1e6:g} megapixels."
    video_limits = f"At most {options.max_video_bytes / 1e6:g} MB and {options.max_seconds:g} seconds."
    model = ({"type": "string", "enum": list(models), "default": models[0]}, "The model.")
    drawn = {kind: _binary() for kind in ("image/jpeg", "image/png", "image/webp", "image/svg+xml", "text/csv")}
    found = {"application/json": {"schema": {"$ref": "#/components/schemas/Prediction"}}}
    image_form = ({"type": "string", "enum": ["json", "jpg", "png", "webp", "svg", "csv", "jsonl", "mmpose"]}, _FORM)
    video_form = ({"type": "string", "enum": ["jsonl", "mp4"]}, _FORM)
    lines = {"application/x-ndjson": {"schema": {"type": "string"}}, "video/mp4": _binary()}
    return {
        "/v1/predict": {
            "post": _operation(
                "Keypoints of an image",
                f"The body is the image itself, or a form with it as a file. {image_limits}",
                {"model": model, "format": image_form, **_IMAGE, **_DRAWING},
                {**found, **drawn},
                body="image/*",
            )
        },
        "/v1/predict/video": {
            "post": _operation(
                "Keypoints of a video",
                "The answer has a line of JSON for each frame, as they come; its header Limner-Frames says how "
                f"many there will be. {video_limits}",
                {"model": model, "format": video_form, **_VIDEO, **_DRAWING},
                lines,
                body="video/*",
            )
        },
    }


def _others(options: ServeOptions) -> dict[str, Any]:
    json: dict[str, Any] = {"application/json": {}}
    kept = f"Its address is in the last line of the video's answer; it is kept for {options.drawing_seconds:g} seconds."
    described = "Names, skeleton and colours of its keypoints."
    drawing = _operation("A file made of a video", kept, {}, {"video/mp4": _binary(), **json}, path="name")
    return {
        "/v1/drawings/{name}": {
            "get": drawing,
            "delete": _operation("Remove such a file", "At once.", {}, {}, path="name", status="204"),
        },
        "/v1/models": {"get": _operation("The models on offer", "", {}, json)},
        "/v1/models/{name}": {"get": _operation("A model", described, {}, json, path="name")},
        "/healthz": {"get": _operation("Whether the server is well", "", {}, json)},
        "/metrics": {"get": _operation("Numbers for Prometheus", "", {}, {"text/plain": {}})},
    }


_FORM = "The form of the answer; it wins over the header Accept."


def _operation(
    summary: str,
    description: str,
    query: dict[str, tuple[dict[str, Any], str]],
    answers: dict[str, Any],
    *,
    body: str = "",
    path: str = "",
    status: str = "200",
) -> dict[str, Any]:
    parameters: list[dict[str, Any]] = [
        {"name": name, "in": "query", "schema": schema, "description": text} for name, (schema, text) in query.items()
    ]
    if path:
        parameters.insert(0, {"name": path, "in": "path", "required": True, "schema": _TEXT})
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    operation: dict[str, Any] = {
        "summary": summary,
        "description": description,
        "parameters": parameters,
        "responses": {
            status: {"description": "Done.", **({"content": answers} if answers else {})},
            **{code: {"description": text, "content": error} for code, text in _ERRORS.items()},
        },
    }
    if body:
        file = {"type": "string", "format": "binary"}
        form: dict[str, Any] = {"schema": {"type": "object", "properties": {"file": file}, "required": ["file"]}}
        operation["requestBody"] = {"required": True, "content": {body: {"schema": file}, "multipart/form-data": form}}
    return operation


def _binary() -> dict[str, Any]:
    return {"schema": {"type": "string", "format": "binary"}}


def _schemas() -> dict[str, Any]:
    numbers = {"type": "array", "items": _NUMBER}
    points = {"type": "array", "items": numbers}
    instance = {
        "keypoints": {**points, "description": "x, y in pixels of the image, of each keypoint."},
        "keypoint_scores": numbers,
        "bbox": {**points, "description": "[[x1, y1, x2, y2]] in pixels."},
        "bbox_score": _NUMBER,
        "track_id": {"type": "integer"},
    }
    prediction = {
        "model": {"type": "string"},
        "keypoint_set": {"type": "string"},
        "names": {"type": "array", "items": {"type": "string"}, "description": "Of the keypoints, in their order."},
        "size": {"type": "array", "items": {"type": "integer"}, "description": "Width and height of the image."},
        "instances": {"type": "array", "items": {"type": "object", "properties": instance}},
        "timings": {"type": "object", "additionalProperties": _NUMBER, "description": "Milliseconds."},
    }
    return {
        "Prediction": {"type": "object", "properties": prediction},
        "Error": {"type": "object", "properties": {"error": {"type": "string"}}},
    }
