"""What the numbers of a config may be: they are checked before a network is built, and its parts while it is."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import ConfigError, said

MOST_LAYERS = 10_000  # modules of a network; the largest ones of MMPose have some thousand
MOST_WEIGHTS = 3_000_000_000  # of a network; ViTPose-G has a third
MOST_VALUES = 10_000  # values of one part of a network's config
LARGEST = 100_000  # number in it, such as of channels
LARGEST_SIDE = 16_384  # pixels of an input
MOST_PIXELS = 4096 * 4096  # of an input
LARGEST_STRIDE = 4096
LARGEST_KERNEL = 255  # pixels of a Gaussian that smooths heatmaps
DEEPEST = 20
# part of the name of a setting -> the least and largest whole number in it
WHOLE_NUMBERS = {
    "stride": (1, LARGEST_STRIDE),
    "dilation": (1, 1024),
    "kernel": (1, 1024),
    "kernal": (1, 1024),  # spelled so in configs of YOLOX
    "channels": (1, LARGEST),
    "num_stages": (1, 100),
    "num_blocks": (0, 1000),
    "num_modules": (0, 1000),
    "num_stacks": (1, 100),
    "num_units": (1, 20),
    "num_layers": (1, 1000),
    "num_heads": (1, 1000),
    "stacked_convs": (0, 100),
    "embed_dims": (1, LARGEST),
    "patch_size": (1, 1024),
    "img_size": (1, LARGEST_SIDE),
    "input_size": (1, LARGEST_SIDE),
    "featuremap_size": (1, LARGEST_SIDE),
    "out_shape": (1, LARGEST_SIDE),
    "downsample_times": (1, 20),
    "num_joints": (1, LARGEST),
    "num_classes": (1, LARGEST),
    "out_indices": (-1000, 1000),
    "padding": (0, 1024),
}
# settings that have a name of those above in theirs and are no numbers
OTHERS = frozenset(["deconv_padding", "padding_mode"])


def check_part(cfg: Mapping[str, Any], name: str) -> None:
    """Check the numbers of one backbone, neck or head, before it is built.

    Raises:
        ConfigError: one is not what it can be, or there are too many.
    """
    remaining = MOST_VALUES

    def check(value: Any, key: str, depth: int) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining < 0 or depth > DEEPEST:
            raise ConfigError(f"the config of {name} holds more values than a network can need")
        if isinstance(value, Mapping):
            for inner, item in value.items():
                check(item, inner if isinstance(inner, str) else key, depth + 1)
        elif isinstance(value, (list, tuple, set, frozenset)):
            for item in value:
                check(item, key, depth + 1)
        elif isinstance(value, (int, float)) or (isinstance(value, str) and value and _limits(key)):
            _check_number(value, key, name)
        elif isinstance(value, str) and len(value) > 1000:
            raise ConfigError(f"the config of {name} has {said(value)} as {said(key)}, which no setting can be")

    for key, value in cfg.items():
        check(value, str(key), 0)


def _limits(key: str) -> tuple[int, int] | None:
    """Return the least and largest whole number that a setting can have, None where it has other values."""
    return None if key in OTHERS else next((limits for part, limits in WHOLE_NUMBERS.items() if part in key), None)


def _check_number(value: float | str, key: str, name: str) -> None:
    whole = _limits(key)
    low, high = whole or (-LARGEST, LARGEST)
    odd = isinstance(value, str) or (whole is not None and isinstance(value, bool)) or not low <= value <= high
    if odd or (whole is not None and value != int(value)):
        kind = "number" if whole is None else "whole number"
        raise ConfigError(
            f"the config of {name} has {said(value)} as {said(key)} where a {kind} from {low:,} to {high:,} is needed"
        )


def check_outputs(part: Any, name: str) -> None:
    """Check that the stages whose maps a backbone returns (``out_indices``) are there.

    Raises:
        ConfigError: one is not, or there are none.
    """
    indices, layers = getattr(part, "out_indices", None), getattr(part, "layers", None)
    if indices is None or layers is None:
        return
    count = len(layers)
    if not indices or not all(isinstance(i, int) and 0 <= i < count for i in indices):
        raise ConfigError(
            f"the config of {name} has out_indices={said(indices)} where numbers of its stages, 0 to {count - 1}, are "
            "needed"
        )


@contextlib.contextmanager
def counted(name: str) -> Iterator[None]:
    """Count the layers and weights that are made inside, and end the making of a network that is far too large.

    Raises:
        ConfigError: it is.
    """
    from torch.nn.modules import module as torch_module

    thread = threading.get_ident()  # networks of other threads are none of its business
    layers = weights = 0

    def add_layer(parent: Any, key: str, layer: Any) -> None:
        nonlocal layers
        layers += threading.get_ident() == thread
        if layers > MOST_LAYERS:
            raise ConfigError(f"the config of {name} makes a network of more than {MOST_LAYERS:,} layers")

    def add_weight(parent: Any, key: str, weight: Any) -> None:
        nonlocal weights
        if threading.get_ident() == thread and weight is not None:
            weights += weight.numel()
        if weights > MOST_WEIGHTS:
            raise ConfigError(f"the config of {name} makes a network of more than {MOST_WEIGHTS:,} weights")

    hooks = [
        torch_module.register_module_module_registration_hook(add_layer),
        torch_module.register_module_parameter_registration_hook(add_weight),
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def check_size(size: tuple[Any, Any], place: str, key: str) -> tuple[int, int]:
    """Return the size of an input in pixels, (width, height).

    Raises:
        ConfigError: it is none, or far too large.
    """
    wrong = any(isinstance(side, (bool, str)) or not 1 <= side <= LARGEST_SIDE or side != int(side) for side in size)
    if wrong or math.prod(size) > MOST_PIXELS:
        raise ConfigError(
            f"the config's {place} has the size {said(size)} as '{key}', where whole numbers of pixels from 1 to "
            f"{LARGEST_SIDE:,}, and at most {MOST_PIXELS:,} together, are needed"
        )
    return int(size[0]), int(size[1])


def positive(name: str, value: Any, most: float) -> float:
    """Return a positive number of a setting; raise ConfigError where it is none."""
    if isinstance(value, bool) or not 0 < float(value) <= most:
        raise ConfigError(f"the config's {name} is {said(value)} where a positive number up to {most:g} is needed")
    return float(value)


def finite(name: str, value: Any) -> float:
    """Return a number of a setting; raise ConfigError where it is none."""
    if isinstance(value, bool) or not abs(float(value)) < float("inf"):
        raise ConfigError(f"the config's {name} is {said(value)} where a number is needed")
    return float(value)


def kernel(name: str, value: Any) -> int:
    """Return the pixels of a Gaussian that smooths; raise ConfigError where it is none."""
    if type(value) is not int or not 1 <= value <= LARGEST_KERNEL or value % 2 == 0:
        raise ConfigError(
            f"the config's {name} is {said(value)} where an odd number of pixels up to {LARGEST_KERNEL} is needed"
        )
    return value


def strides(values: Any) -> tuple[int, ...]:
    """Return the strides of a head's levels; raise ConfigError where it is none."""
    if not values or not all(type(value) is int and 1 <= value <= LARGEST_STRIDE for value in values):
        raise ConfigError(f"the config's strides are {said(values)} where whole numbers of pixels are needed")
    return tuple(values)
