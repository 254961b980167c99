"""torch.compile computes wrong gradients where a convolution's output goes into max_pool2d and past it.

torch 2.13.0, CPU. Measured in November 2026. Outputs agree with eager mode;
torch.use_deterministic_algorithms(True) is right. Reported in May 2026.
https://github.com/pytorch/pytorch/issues/185509
"""

import sys

import torch
from torch.nn import functional


def f(x, kernel):
    y = functional.conv2d(x, kernel, padding=1)
    pooled = functional.max_pool2d(y, 3, 1, 1)
    return torch.where(y > pooled.mean((2, 3), keepdim=True), y, pooled)


def gradient(function):
    torch.manual_seed(0)
    x, kernel = torch.randn(2, 4, 8, 9, requires_grad=True), torch.ones(4, 4, 3, 3)
    return torch.autograd.grad((function(x, kernel) * torch.arange(576.0).reshape(2, 4, 8, 9)).sum(), x)[0]


eager, compiled = gradient(f), gradient(torch.compile(f))
observed = (
    f"largest difference from eager mode {(compiled - eager).abs().max():.3g}, gradients to {eager.abs().max():.3g}"
)
expected = "largest difference below 1"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool((compiled - eager).abs().max() > 1)))
