"""The scale of keypoint scores."""

from __future__ import annotations

import numpy as np

KNEE = 0.5  # scores up to here stay as they are


def bounded(scores: np.ndarray) -> np.ndarray:
    """Bring scores that may exceed 1 into 0..1, in the same order.

    Scores up to `KNEE` stay, so that thresholds in use keep their meaning; above it they approach 1 by an
    exponential with the same slope there: 1 becomes 0.82, 2 becomes 0.975.

    Args:
        scores: float32 of any shape.

    Returns:
        float32 of the same shape; scores below 0, of points that were not found, become 0.
    """
    above = 1 - (1 - KNEE) * np.exp(-(scores.clip(KNEE) - KNEE) / (1 - KNEE))
    return np.where(scores <= KNEE, scores.clip(0), above).astype(np.float32)
