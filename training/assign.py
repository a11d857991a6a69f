"""RTMDet's label assignment and loss for one class (Lyu et al. 2022, arXiv:2212.07784)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

CANDIDATES = 13  # grid points whose IoU decides how many of them a face gets
RADIUS = 3.0  # of the soft centre prior, in strides


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Return the intersection over union of boxes [N, 4] and [M, 4] as [N, M]."""
    low, high = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (high - low).clamp(min=0).prod(2)
    area = [(s[:, 2:] - s[:, :2]).clamp(min=0).prod(1) for s in (a, b)]
    return inter / (area[0][:, None] + area[1][None] - inter).clamp(min=1e-6)


def giou(a: Tensor, b: Tensor) -> Tensor:
    """Return the generalised IoU of boxes [N, 4] and [N, 4], pair by pair (Rezatofighi et al. 2019)."""
    inter = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(1)
    area = [(s[:, 2:] - s[:, :2]).clamp(min=0).prod(1) for s in (a, b)]
    union = (area[0] + area[1] - inter).clamp(min=1e-6)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).clamp(min=0).prod(1).clamp(min=1e-6)
    return inter / union - (hull - union) / hull


@torch.no_grad()
def assign(points: Tensor, strides: Tensor, logits: Tensor, predicted: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Assign a face or none to each grid point.

    Args:
        points: [P, 2] in pixels.
        strides: [P].
        logits: [P].
        predicted: boxes [P, 4].
        truth: boxes [G, 4].

    Returns:
        Index of the face, or -1, [P]; the IoU of the prediction with it, [P].
    """
    owner = torch.full((len(points),), -1, dtype=torch.long)
    quality = torch.zeros(len(points))
    if not len(truth):
        return owner, quality
    inside = (
        torch.cat([points[:, None] - truth[None, :, :2], truth[None, :, 2:] - points[:, None]], 2).min(2).values > 0
    )
    valid = inside.any(1).nonzero()[:, 0]
    if not len(valid):
        return owner, quality
    inside, points, strides = inside[valid], points[valid], strides[valid]
    iou = pairwise_iou(predicted[valid], truth)
    centre = (truth[:, :2] + truth[:, 2:]) / 2
    away = (points[:, None] - centre[None]).norm(dim=2) / strides[:, None]
    score = logits[valid, None].expand_as(iou)
    cost = F.binary_cross_entropy_with_logits(score, iou, reduction="none") * (iou - score.sigmoid()).abs() ** 2
    cost = cost - 3 * (iou + 1e-7).log() + 10 ** (away - RADIUS) + (~inside) * 1e8
    top = iou.topk(min(CANDIDATES, len(valid)), dim=0).values.sum(0).int().clamp(min=1)
    match = torch.zeros_like(iou, dtype=torch.bool)
    for g, k in enumerate(top.tolist()):
        match[cost[:, g].topk(min(k, len(valid)), largest=False).indices, g] = True
    match &= inside
    crowded = match.sum(1) > 1
    if crowded.any():
        best = cost[crowded].argmin(1)
        match[crowded] = F.one_hot(best, len(truth)).bool()
    taken = match.any(1)
    face = match.float().argmax(1)
    owner[valid[taken]] = face[taken]
    quality[valid[taken]] = iou[taken, face[taken]]
    return owner, quality


def detector_loss(
    cls: Sequence[Tensor],
    reg: Sequence[Tensor],
    strides: Sequence[int],
    boxes: Sequence[Tensor],
    ignored: Sequence[Tensor],
) -> dict[str, Tensor]:
    """Return quality focal loss and GIoU loss of a batch.

    Args:
        cls, reg: outputs of the head for each level: [B, 1, h, w] and [B, 4, h, w].
        boxes, ignored: for each image, [G, 4] in pixels.
    """
    points, steps = [], []
    for c, stride in zip(cls, strides, strict=True):
        y, x = torch.meshgrid(*(torch.arange(s) * stride for s in c.shape[-2:]), indexing="ij")
        points.append(torch.stack([x, y], -1).reshape(-1, 2).float())
        steps.append(torch.full((c[0, 0].numel(),), float(stride)))
    point, step = torch.cat(points), torch.cat(steps)
    logits = torch.cat([c.flatten(1) for c in cls], 1)
    distance = torch.cat([r.flatten(2).transpose(1, 2) for r in reg], 1)
    predicted = torch.cat([point - distance[..., :2], point + distance[..., 2:]], -1)
    target, weight = torch.zeros_like(logits), torch.ones_like(logits)
    predictions, targets, qualities = [], [], []
    for i, (truth, unsure) in enumerate(zip(boxes, ignored, strict=True)):
        owner, quality = assign(point, step, logits[i], predicted[i], truth)
        positive = owner >= 0
        target[i] = quality
        if len(unsure):
            distances = torch.cat([point[:, None] - unsure[None, :, :2], unsure[None, :, 2:] - point[:, None]], 2)
            weight[i] = 1 - ((distances.min(2).values > -0.5 * step[:, None]).any(1) & ~positive).float()
        predictions.append(predicted[i][positive])
        targets.append(truth[owner[positive]])
        qualities.append(quality[positive])
    quality = torch.cat(qualities)
    total = quality.sum().clamp(min=1)
    focal = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    focal = focal * (target - logits.sigmoid()).abs() ** 2 * weight
    box_loss = (1 - giou(torch.cat(predictions), torch.cat(targets))) * quality
    return {"cls": focal.sum() / total, "box": 2 * box_loss.sum() / total}
