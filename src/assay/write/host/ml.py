"""Operators of the domain ai.onnx.ml: tables and trees, learned elsewhere."""

from __future__ import annotations

import numpy as np


def label_encoder(
    x: np.ndarray,
    *,
    keys: tuple[str | int | float, ...],
    values: tuple[str | int | float, ...],
    default: str | int | float,
    dtype: type,
) -> np.ndarray:
    """Looks every element up among the keys and gives the value beside it; the default for one that is no key.

    `dtype` is that of the result, `object` for strings. The last of equal keys counts, and NaN is equal to NaN.
    """
    # NaN is not equal to itself: None stands for it.
    names = [None if key != key else key for key in np.asarray(keys, x.dtype).tolist()]
    table = dict(zip(names, values, strict=True))
    found = [table.get(None if key != key else key, default) for key in x.ravel().tolist()]
    return np.array(found, dtype=dtype).reshape(x.shape)


def array_feature_extractor(x: np.ndarray, indices: np.ndarray) -> np.ndarray:
    """Selects entries of the last axis. The result of a vector is a matrix of one row."""
    found: np.ndarray = x[..., np.asarray(indices).ravel()]
    return found[None] if x.ndim == 1 else found


def binarizer(x: np.ndarray, *, threshold: float = 0.0) -> np.ndarray:
    """One where an element is above the threshold, zero elsewhere."""
    return np.asarray(x > x.dtype.type(threshold), dtype=x.dtype)


def tree_ensemble(
    x: np.ndarray,
    *,
    tree_roots: tuple[int, ...],
    nodes_featureids: tuple[int, ...],
    nodes_splits: np.ndarray,
    nodes_modes: tuple[int, ...],
    nodes_truenodeids: tuple[int, ...],
    nodes_trueleafs: tuple[int, ...],
    nodes_falsenodeids: tuple[int, ...],
    nodes_falseleafs: tuple[int, ...],
    leaf_targetids: tuple[int, ...],
    leaf_weights: np.ndarray,
    n_targets: int = 1,
    nodes_missing_value_tracks_true: tuple[int, ...] | None = None,
    membership_values: np.ndarray | None = None,
    aggregate_function: int = 1,
    post_transform: int = 0,
) -> np.ndarray:
    """The aggregated leaves that each row of x reaches, by target.

    Modes: 0 ≤, 1 <, 2 ≥, 3 >, 4 =, 5 ≠, 6 a member of the set that `membership_values` holds for it; sets are ended by
    NaN and stand in the order of their nodes. Aggregation: 0 average, 1 sum, 2 minimum, 3 maximum. Transformation of the
    result: 0 none, 1 softmax, 2 logistic, 3 softmax of what is not zero, 4 probit.
    """
    features, modes = np.array(nodes_featureids), np.array(nodes_modes)
    splits = np.asarray(nodes_splits, x.dtype)
    missing = np.array(nodes_missing_value_tracks_true or [0] * len(modes), dtype=bool)
    children = np.array([nodes_falsenodeids, nodes_truenodeids])
    are_leaves = np.array([nodes_falseleafs, nodes_trueleafs], dtype=bool)
    sets = tree_members(modes, membership_values)

    place = np.tile(np.array(tree_roots), (len(x), 1))  # of every row in every tree: a node, then a leaf
    at_leaf = np.zeros(place.shape, dtype=bool)
    while not at_leaf.all():
        node = np.where(at_leaf, 0, place)
        value = np.take_along_axis(x, features[node], axis=1)
        split, mode = splits[node], modes[node]
        member = np.zeros(node.shape, dtype=bool)
        for owner, members in sets.items():
            member |= (node == owner) & np.isin(value, members)
        outcomes = [value <= split, value < split, value >= split, value > split, value == split, value != split]
        goes_true = np.choose(mode, [*outcomes, member]) | (missing[node] & np.isnan(value))
        branch = goes_true.astype(int)
        place = np.where(at_leaf, place, children[branch, node])
        at_leaf |= are_leaves[branch, node]

    weights, targets = np.asarray(leaf_weights, x.dtype)[place], np.array(leaf_targetids)[place]
    if aggregate_function == 0:
        weights = weights / x.dtype.type(len(tree_roots))
    gather = {2: np.minimum, 3: np.maximum}.get(aggregate_function, np.add)
    start = {2: np.finfo(x.dtype).max, 3: np.finfo(x.dtype).min}.get(aggregate_function, 0)
    result = np.full((len(x), n_targets), start, dtype=x.dtype)
    gather.at(result, (np.arange(len(x))[:, None], targets), weights)
    return transformed_scores(result, post_transform)


def tree_members(modes: np.ndarray, membership_values: np.ndarray | None) -> dict[int, np.ndarray]:
    """Node → the set that it tests membership of."""
    if membership_values is None:
        return {}
    sets = np.split(membership_values, np.flatnonzero(np.isnan(membership_values)) + 1)
    return dict(zip(np.flatnonzero(modes == 6).tolist(), sets[:-1], strict=True))


def transformed_scores(scores: np.ndarray, post_transform: int) -> np.ndarray:
    """Scores after softmax (1), the logistic function (2), softmax of what is not zero (3) or probit (4)."""
    found = scores
    if post_transform in (1, 3):
        found = np.exp(scores - scores.max(axis=1, keepdims=True))
        if post_transform == 3:
            found = np.where(scores == 0, 0, found)
        total = found.sum(axis=1, keepdims=True)
        found = np.where(total == 0, 0.5, found / np.where(total == 0, 1, total))
    elif post_transform == 2:
        found = 0.5 * (1 + np.tanh(0.5 * scores))
    elif post_transform == 4:
        # The inverse of the normal distribution's cumulative function, by Winitzki's approximation as elsewhere.
        log = np.log(4 * scores * (1 - scores))
        half = 2 / (np.pi * 0.147) + log / 2
        found = np.sqrt(2) * np.sign(scores - 0.5) * np.sqrt(np.sqrt(half**2 - log / 0.147) - half)
    return found.astype(scores.dtype)
