"""The eager gradient of hardsigmoid in float64 is the float32 nearest to 1/6.

torch 2.13.0, CPU. Measured in November 2026. Compiled code has it exact.
https://github.com/pytorch/pytorch/blob/v2.13.0/aten/src/ATen/native/cpu/Activation.cpp
"""

import sys

import torch

x = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
torch.nn.functional.hardsigmoid(x).backward()
observed, expected = x.grad.item(), 1 / 6

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(abs(observed - expected) > 1e-12)))
