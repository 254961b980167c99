"""Selections whose size depends on the data."""

from __future__ import annotations

import numpy as np


def unique_elements(
    x: np.ndarray, *, axis: int | None = None, sorted: bool = True
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The different elements of x, or its different slices along an axis: in rising order, or as they come first.

    Gives them, where each comes first, which of them every element of x is, and how often each comes.
    """
    found, first, inverse, counts = np.unique(x, return_index=True, return_inverse=True, return_counts=True, axis=axis)
    inverse = inverse.reshape(-1)
    if not sorted:
        order = np.argsort(first)
        found = np.take(found, order, axis=0 if axis is None else axis)
        first, counts = first[order], counts[order]
        inverse = np.argsort(order)[inverse]
    return found, first.astype(np.int64), inverse.astype(np.int64), counts.astype(np.int64)


def non_max_suppression(
    boxes: np.ndarray,
    scores: np.ndarray,
    *,
    max_output_boxes_per_class: int | np.ndarray = 0,
    iou_threshold: float | np.ndarray = 0.0,
    score_threshold: float | np.ndarray | None = None,
    center_point_box: bool = False,
) -> np.ndarray:
    """Picks the best boxes of every class, leaving out those that overlap a better one by more than the threshold.

    `boxes` [batch, boxes, 4] are two corners (y, x, y, x), or centre and size (x, y, width, height); `scores`
    [batch, classes, boxes]. Gives rows of (batch, class, box).
    """
    if center_point_box:
        corners = np.concatenate([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], axis=-1)
    else:
        corners = boxes
    low, high = np.minimum(corners[..., :2], corners[..., 2:]), np.maximum(corners[..., :2], corners[..., 2:])
    areas = np.prod(high - low, axis=-1)
    limit = int(np.asarray(max_output_boxes_per_class).item())
    chosen = []
    for batch, label in np.ndindex(*scores.shape[:2]):
        own = scores[batch, label]
        waiting = np.argsort(-own, kind="stable")
        if score_threshold is not None:
            waiting = waiting[own[waiting] > score_threshold]
        for _ in range(limit):
            if not len(waiting):
                break
            best, waiting = waiting[0], waiting[1:]
            chosen.append((batch, label, best))
            least = np.maximum(low[batch, best], low[batch, waiting])
            most = np.minimum(high[batch, best], high[batch, waiting])
            common = np.prod(np.maximum(most - least, 0), axis=-1)
            together = areas[batch, best] + areas[batch, waiting] - common
            overlap = np.divide(common, together, out=np.zeros_like(common), where=together > 0)
            waiting = waiting[overlap <= iou_threshold]
    return np.array(chosen, dtype=np.int64).reshape(-1, 3)
