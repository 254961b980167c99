"""Attention with what torch's own lacks: caches, windows, soft caps, and a look at the scores."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attend_to_keys(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None = None,
    past_key: Tensor | None = None,
    past_value: Tensor | None = None,
    lengths: Tensor | None = None,
    scale: float | None = None,
    causal: bool = False,
    softcap: float = 0.0,
    left: int = -1,
    right: int = -1,
    precision: torch.dtype | None = None,
    shown: int = 0,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Attention over (batch, heads, length, features); also all keys and values, and the scores.

    `lengths`: how many keys of each sample count. `shown`: the scores as they are (0), capped (1), with the mask (2),
    or as probabilities (3).
    """
    offset: Tensor | int = 0  # how many keys come before the first query
    if past_key is not None:
        offset = past_key.shape[2]
        key, value = torch.cat([past_key, key], 2), torch.cat([past_value, value], 2)
    elif lengths is not None:
        offset = lengths.reshape(-1, 1, 1, 1) - query.shape[2]
    groups = query.shape[1] // key.shape[1]
    keys, values = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    root = query.new_tensor((query.shape[-1] ** -0.5 if scale is None else scale) ** 0.5)
    scores = (query * root) @ (keys * root).transpose(-1, -2)
    capped = softcap * torch.tanh(scores / softcap) if softcap else scores
    bias = bias_of_scores(scores, mask, lengths, offset, causal, left, right)
    biased = capped + bias
    weights = F.softmax(biased if precision is None else biased.to(precision), -1)
    weights = weights.masked_fill(bias.isneginf().all(-1, keepdim=True), 0).to(query.dtype)  # nothing to attend to
    return weights @ values, key, value, (scores, capped, biased, weights)[shown]


def bias_of_scores(
    scores: Tensor,
    mask: Tensor | None,
    lengths: Tensor | None,
    offset: Tensor | int,
    causal: bool,
    left: int,
    right: int,
) -> Tensor:
    """What is added to the scores: the mask, and -inf where a query must not look."""
    count = scores.shape[-1]
    if mask is None:
        bias = scores.new_zeros(scores.shape[-2:])
    elif mask.dtype == torch.bool:
        bias = scores.new_zeros(mask.shape).masked_fill(~mask, -torch.inf)
    else:
        bias = mask.to(scores.dtype)
    bias = F.pad(bias, (0, count - bias.shape[-1]), value=-torch.inf)
    places = torch.arange(count, device=scores.device)
    distance = torch.arange(scores.shape[-2], device=scores.device).unsqueeze(1) + offset - places
    allowed = torch.ones_like(distance, dtype=torch.bool)
    if causal:
        allowed = allowed & (distance >= 0)
    if left >= 0:
        allowed = allowed & (distance <= left)
    if right >= 0:
        allowed = allowed & (-distance <= right)
    if lengths is not None:
        allowed = allowed & (places < lengths.reshape(-1, 1, 1, 1))
    return torch.where(allowed, bias, -torch.inf)


def rotate_by_position(
    x: Tensor,
    cosines: Tensor,
    sines: Tensor,
    positions: Tensor | None = None,
    heads: int = 0,
    size: int = 0,
    interleaved: bool = False,
) -> Tensor:
    """Rotary position embedding of the first `size` features of each head (all of them: 0)."""
    shape = x.shape
    x = x.unflatten(-1, (heads, -1)) if heads else x.transpose(1, 2)  # (batch, length, heads, features)
    size = size or x.shape[-1]
    if positions is not None:
        cosines, sines = cosines[positions], sines[positions]
    cosines, sines = cosines.unsqueeze(2)[..., : size // 2], sines.unsqueeze(2)[..., : size // 2]
    turned, rest = x[..., :size], x[..., size:]
    pairs = turned.unflatten(-1, (-1, 2)).unbind(-1) if interleaved else turned.chunk(2, -1)
    first, second = pairs[0] * cosines - pairs[1] * sines, pairs[0] * sines + pairs[1] * cosines
    turned = torch.stack([first, second], -1).flatten(-2) if interleaved else torch.cat([first, second], -1)
    x = torch.cat([turned, rest], -1)
    return x.reshape(shape) if heads else x.transpose(1, 2)
