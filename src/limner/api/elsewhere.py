"""Names that users of other libraries type, and where limner has what they mean: the advice in errors."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import ParamSpec, TypeVar

from ..errors import ArgumentError, check_arguments, suggest

P = ParamSpec("P")
T = TypeVar("T")

MODEL_NAMES = {
    "predict": "call the model itself, model(image)",
    "track": "model.watch(video) or, for frames of your own, tracker = model.tracker(); tracker(frame)",
    "detect": "call the model itself, model(image); model.tracker() takes frames of a video",
    "detect_for_video": "tracker = model.tracker(); tracker(frame, timestamp_ms / 1000)",
    "detect_async": "model.watch('webcam'), or tracker = model.tracker(); tracker(frame, timestamp_ms / 1000)",
    "process": "call the model itself, model(image)",
    "export": "the networks are exported where an engine needs it: limner.load(..., backend='openvino')",
    "train": "limner only runs models; MMPose trains them",
    "val": "limner only runs models; its JSON can be evaluated with MMPose or pycocotools",
    "to": "limner.load(..., device='cuda:0')",
    "cuda": "limner.load(..., device='cuda:0')",
    "cpu": "limner.load(..., device='cpu')",
    "half": "limner.load(..., precision='float16')",
    "eval": "a loaded model is ready as it is",
}
CALL_ARGUMENTS = {
    "conf": "limner.load(..., bbox_thr=0.5) for boxes, plot(kpt_thr=0.5) for what is drawn",
    "iou": "the detector's own suppression is used; limner.load(..., bbox_thr=...) decides what counts",
    "imgsz": "limner.load(..., det_size=1280)",
    "classes": "limner.load takes the model of what is searched: 'human', 'face', 'hand', 'animal'",
    "device": "limner.load(..., device='cuda:0')",
    "half": "limner.load(..., precision='float16')",
    "max_det": "limner.load(..., max_boxes=10), or result[:10]",
    "stream": "model.each(images) or model.watch(video), which yield results one by one",
    "persist": "tracker = model.tracker(), which remembers, one for each video",
    "tracker": "model.tracker(...) has its own options, such as smooth and max_persons",
    "save": "result.save('drawn.jpg')",
    "show": "result.show()",
    "verbose": "limner is quiet",
    "vid_stride": "every=N, of model.watch",
    "batch": "a list of images is batched as it is",
    "source": "the image is the first argument, without a name",
    "bboxes": "boxes=[[x1, y1, x2, y2], ...]",
    "return_vis": "result.plot()",
    "timestamp_ms": "timestamp, in seconds",
}
RESULT_NAMES = {
    "xy": "keypoints, float32 [N, K, 2]",
    "xyn": "keypoints / result.size",
    "conf": "scores, float32 [N, K]",
    "keypoint_scores": "scores, float32 [N, K]",
    "orig_img": "image",
    "orig_shape": "size, (width, height)",
    "path": "source",
    "speed": "`limner bench` measures",
    "save_txt": "save('x.csv') or save('x.json')",
    "save_crop": "image[y1:y2, x1:x2] with the corners of boxes.xyxy",
    "tojson": "to_json()",
    "pandas": "to_df()",
    "id": "track_ids",
    "pose_landmarks": "keypoints, float32 [N, K, 2] in pixels; keypoints / result.size lies in 0..1",
    "face_landmarks": "keypoints, float32 [N, K, 2] in pixels; keypoints / result.size lies in 0..1",
    "hand_landmarks": "keypoints, float32 [N, K, 2] in pixels; keypoints / result.size lies in 0..1",
    "pose_world_landmarks": "keypoints; limner finds them in the image, not in space",
    "save_csv": "save('x.csv')",
    "to_csv": "save('x.csv')",
    "summary": "to_dict()",
    "pred_instances": "keypoints, scores and boxes",
}


def missing_name(what: str, name: str, elsewhere: Mapping[str, str], known: Iterable[str]) -> str:
    """Return the sentence for a name that an object does not have."""
    if name.startswith("_"):
        return f"{what} has no '{name}'"
    if name in elsewhere:
        return f"{what} has no '{name}'; instead: {elsewhere[name]}"
    return f"{what} has no '{name}'.{suggest(name, [k for k in known if not k.startswith('_')])}".rstrip(".")


def checks_call(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Decorate a method so that wrong arguments raise ArgumentError, with advice where other libraries have them.

    Args:
        what: what the errors call the method.
    """

    def decorate(method: Callable[P, T]) -> Callable[P, T]:
        signature = inspect.signature(method)
        known = [name for name in signature.parameters if name != "self"]

        @functools.wraps(method)
        def call(*args: P.args, **kwargs: P.kwargs) -> T:
            for name in kwargs:
                if name not in known and name in CALL_ARGUMENTS:
                    raise ArgumentError(f"{what} has no argument '{name}'; instead: {CALL_ARGUMENTS[name]}")
            check_arguments(what, kwargs, known)
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:  # too many without names, or none
                raise ArgumentError(f"{what} is called with {error}; its arguments are {', '.join(known)}") from None
            return method(*args, **kwargs)

        return call

    return decorate
