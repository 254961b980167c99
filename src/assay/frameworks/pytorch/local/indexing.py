"""Functions that gather, scatter, sort and search in ways that torch has no single word for."""

import torch
from torch import Tensor


def gather_nd(x: Tensor, indices: Tensor, batch_axes: int = 0) -> Tensor:
    """x at the places that the last axis of `indices` names; the first axes of both are a batch."""
    shape = indices.shape[batch_axes:-1]
    x_flat, where = x.flatten(0, batch_axes - 1) if batch_axes else x.unsqueeze(0), indices.long()
    where = where.reshape(x_flat.shape[0], -1, indices.shape[-1])
    batch = torch.arange(x_flat.shape[0], device=x.device).unsqueeze(1)
    found = x_flat[(batch, *where.unbind(-1))]
    return found.reshape(*x.shape[:batch_axes], *shape, *x.shape[batch_axes + indices.shape[-1] :])


def scatter_nd(x: Tensor, indices: Tensor, updates: Tensor, reduction: str | None = None) -> Tensor:
    """x with updates at the places that the last axis of `indices` names."""
    depth = indices.shape[-1]
    if reduction is None:
        return x.index_put(tuple(indices.long().unbind(-1)), updates)
    sizes, rest = x.shape[:depth], x.shape[depth:]
    place = torch.zeros_like(indices[..., 0])
    for axis, size in enumerate(sizes):
        place = place * size + indices[..., axis] % size
    rows = x.reshape(-1, rest.numel())
    places = place.reshape(-1, 1).expand(-1, rest.numel())
    return rows.scatter_reduce(0, places, updates.reshape(places.shape), reduction).reshape(x.shape)


def write_into_cache(
    cache: Tensor, update: Tensor, start: Tensor | None = None, axis: int = -2, circular: bool = False
) -> Tensor:
    """A cache (batch first) with the update written in along an axis, for each sample from its own start on."""
    cache, update = cache.movedim(axis, 1), update.movedim(axis, 1)
    first = torch.zeros(len(cache), dtype=torch.int64, device=cache.device) if start is None else start.long()
    places = first.unsqueeze(1) + torch.arange(update.shape[1], device=cache.device)
    places = places % cache.shape[1] if circular else places
    batch = torch.arange(len(cache), device=cache.device).unsqueeze(1)
    return cache.index_put((batch, places), update).movedim(1, axis)


def one_hot_of(indices: Tensor, depth: int, values: Tensor, axis: int = -1) -> Tensor:
    """`values` (off, on) along a new axis; negative indices count from the end, those out of range are all off."""
    places = indices.unsqueeze(axis)
    places = torch.where(places < 0, places + depth, places)
    shape = [1] * places.ndim
    shape[axis] = depth
    numbers = torch.arange(depth, device=indices.device).reshape(shape)
    return torch.where(places == numbers, values[1], values[0])


def first_of_sorted(x: Tensor, count: int, dim: int = -1, largest: bool = True) -> tuple[Tensor, Tensor]:
    """The largest (or smallest) values and their places; of equal ones the first comes first, unlike in `topk`."""
    values, places = x.sort(dim=dim, descending=largest, stable=True)
    return values.narrow(dim, 0, count), places.narrow(dim, 0, count)


def cumulate_sum(x: Tensor, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Sums of everything up to a place (from the end on: `reverse`), without the place itself (`exclusive`)."""
    x = x.flip(axis) if reverse else x
    if exclusive:
        x = torch.cat([torch.zeros_like(x.narrow(axis, 0, 1)), x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    sums = x.cumsum(axis, dtype=x.dtype)
    return sums.flip(axis) if reverse else sums


def cumulate_product(x: Tensor, axis: int, exclusive: bool = False, reverse: bool = False) -> Tensor:
    """Products of everything up to a place (from the end on: `reverse`), without the place itself (`exclusive`)."""
    x = x.flip(axis) if reverse else x
    if exclusive:
        x = torch.cat([torch.ones_like(x.narrow(axis, 0, 1)), x.narrow(axis, 0, x.shape[axis] - 1)], axis)
    products = x.cumprod(axis, dtype=x.dtype)
    return products.flip(axis) if reverse else products


def unique_of(x: Tensor, axis: int | None = None, ordered: bool = True) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Each value once, the place where it comes first, the value's number at each place, and how often it comes."""
    x, axis = (x.flatten(), 0) if axis is None else (x, axis)
    values, inverse, counts = torch.unique(x, return_inverse=True, return_counts=True, dim=axis)
    places = torch.arange(x.shape[axis], device=x.device)
    first = torch.full_like(counts, x.shape[axis]).scatter_reduce(0, inverse, places, "amin")
    if ordered:
        return values, first, inverse, counts
    order = first.argsort()  # as they come
    return values.index_select(axis, order), first[order], order.argsort()[inverse], counts[order]


def suppress_overlapping(
    boxes: Tensor,
    scores: Tensor,
    limit: int = 0,
    overlap: float = 0.0,
    lowest: float | None = None,
    centred: bool = False,
) -> Tensor:
    """Rows (batch, class, box) of the best boxes; no two of a class overlap by more than a share of their union."""
    if centred:
        centre, size = boxes[..., :2], boxes[..., 2:]
        boxes = torch.cat([centre - size / 2, centre + size / 2], -1)
    low, high = torch.minimum(boxes[..., :2], boxes[..., 2:]), torch.maximum(boxes[..., :2], boxes[..., 2:])
    shared = torch.minimum(high.unsqueeze(2), high.unsqueeze(1)) - torch.maximum(low.unsqueeze(2), low.unsqueeze(1))
    common, area = shared.clamp(min=0).prod(-1), (high - low).prod(-1)
    shares = common / (area.unsqueeze(2) + area.unsqueeze(1) - common)
    chosen: list[list[int]] = []
    for batch, sample in enumerate(scores):
        for kind, row in enumerate(sample):
            kept: list[int] = []
            for box in row.argsort(descending=True, stable=True).tolist():
                if len(kept) == limit or (lowest is not None and row[box] <= lowest):
                    break
                if not kept or not (shares[batch, box, kept] > overlap).any():
                    kept.append(box)
            chosen.extend([batch, kind, box] for box in kept)
    return torch.tensor(chosen, dtype=torch.int64, device=boxes.device).reshape(-1, 3)
