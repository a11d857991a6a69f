"""Shared by both trainings: averaged weights, a schedule over wall-clock time, resumable checkpoints."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn


class Average:
    """Exponential moving average of a model's weights and statistics."""

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval()
        self.decay, self.updates = decay, 0
        for p in self.model.parameters():
            p.requires_grad_(False)

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        for own, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if own.dtype.is_floating_point:
                own.lerp_(new, 1 - decay)
            else:
                own.copy_(new)


def rate(progress: float, warmup: float = 0.02) -> float:
    """Return the learning rate's factor at ``progress`` 0..1: warm up, flat to the middle, cosine to 2 %."""
    if progress < warmup:
        return max(progress / warmup, 0.01)
    if progress < 0.4:
        return 1.0
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min((progress - 0.4) / 0.6, 1.0)))


def optimizer(model: nn.Module, lr: float, decay: float) -> torch.optim.Optimizer:
    """Return AdamW without weight decay on norms and biases, as RTMPose and RTMDet are trained."""
    plain = [p for p in model.parameters() if p.ndim <= 1]
    matrices = [p for p in model.parameters() if p.ndim > 1]
    return torch.optim.AdamW([{"params": matrices, "weight_decay": decay}, {"params": plain, "weight_decay": 0}], lr=lr)


def calibrate(model: nn.Module, images: Tensor) -> None:
    """Give folded batch norms the statistics of real activations without changing what the model computes.

    A checkpoint that was rebuilt from an inference file has mean 0 and variance 1 everywhere; in
    training, batch statistics would then change the scale of every layer at once.
    """
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    inputs: dict[nn.Module, Tensor] = {}

    def keep(module: nn.Module, args: tuple[Tensor]) -> None:
        inputs[module] = args[0]

    hooks = [m.register_forward_pre_hook(keep) for m in norms]
    model.eval()
    with torch.no_grad():
        model(images)
        for norm in norms:
            var, mean = torch.var_mean(inputs[norm], dim=(0, 2, 3))
            gain = norm.weight / (norm.running_var + norm.eps).sqrt()
            norm.bias.add_(gain * (mean - norm.running_mean))
            norm.weight.copy_(gain * (var + norm.eps).sqrt())
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(var)
    for hook in hooks:
        hook.remove()


def freeze(backbone: nn.Module, stages: int) -> list[nn.Module]:
    """Take the first stages of a backbone out of the training; call `eval` on them before each step.

    They find edges and textures, which a backbone trained on COCO knows; without their gradients a step costs a third
    less.
    """
    frozen = list(backbone.children())[:stages]
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def start_from(model: nn.Module, path: Path) -> str:
    """Copy every tensor of a checkpoint whose name and shape match; return a summary."""
    theirs = torch.load(path, weights_only=False)["state_dict"]
    own = model.state_dict()
    fitting = {k: v for k, v in theirs.items() if k in own and own[k].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    return f"{len(fitting)} of {len(own)} tensors from {path.name}"


def train(
    model: nn.Module,
    batches: Iterator[Any],
    loss: Callable[[nn.Module, Any], dict[str, torch.Tensor]],
    validate: Callable[[nn.Module], str],
    *,
    folder: Path,
    lr: float,
    minutes: float | None = None,
    steps: int | None = None,
    until: int | None = None,
    decay: float = 0.05,
    average: float = 0.999,
    check_every: float = 6.0,
) -> nn.Module:
    """Train for ``minutes`` of wall-clock time or for ``steps``, in one or several runs; return the averaged model.

    ``until`` ends this run at an earlier step; the schedule stays that of ``steps``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state_file = folder / "state.pt"
    optim = optimizer(model, lr, decay)
    mean = Average(model, average)
    spent, step = 0.0, 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True)
        model.load_state_dict(state["model"])
        mean.model.load_state_dict(state["average"])
        optim.load_state_dict(state["optim"])
        spent, step, mean.updates = state["spent"], state["step"], state["step"]
    last = checked = time.monotonic()
    sums: dict[str, float] = {}
    counted = 0

    def progress() -> float:
        return step / steps if steps else spent / ((minutes or 0) * 60 + 1e-9)

    def finished() -> bool:
        return progress() >= 1 or (until is not None and step >= until)

    while not finished():
        for group in optim.param_groups:
            group["lr"] = lr * rate(progress())
        model.train()
        losses = loss(model, next(batches))
        total = torch.stack(list(losses.values())).sum()
        optim.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        if torch.isfinite(total):
            optim.step()
            mean.update(model)
        step += 1
        counted += 1
        for key, value in losses.items():
            sums[key] = sums.get(key, 0.0) + float(value.detach())
        now = time.monotonic()
        spent, last = spent + now - last, now
        if now - checked > check_every * 60 or finished():
            text = " ".join(f"{k} {v / counted:.4f}" for k, v in sums.items())
            line = f"{spent / 60:6.1f} min  step {step}  {text}  {validate(mean.model)}"
            print(line, flush=True)
            with (folder / "log.txt").open("a") as log:
                log.write(line + "\n")
            state = {
                "model": model.state_dict(),
                "average": mean.model.state_dict(),
                "optim": optim.state_dict(),
                "spent": spent,
                "step": step,
            }
            torch.save(state, folder / "state.tmp")
            (folder / "state.tmp").replace(state_file)
            save(mean.model, folder / "latest.pth", {})
            sums, counted = {}, 0
            checked = last = time.monotonic()
    return mean.model


def save(model: nn.Module, path: Path, dataset_meta: dict[str, Any]) -> None:
    """Write the weights as a ``.pth`` file in the form of OpenMMLab's tools."""
    state = {k: v.float() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    torch.save({"meta": {"dataset_meta": dataset_meta}, "state_dict": state}, path)
