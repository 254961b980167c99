"""The float64 gradient of a channels-last kernel with one filter raises, if the input is channels-last too.

torch 2.13.0, CPU. Measured in November 2026. float32 takes another path and is right.
The same message: https://github.com/pytorch/vision/issues/6001
"""

import sys

import torch

x = torch.ones(1, 5, 5, 2, dtype=torch.float64).permute(0, 3, 1, 2)
kernel = torch.ones(3, 3, 2, 1, dtype=torch.float64, requires_grad=True)
try:
    torch.nn.functional.conv2d(x, kernel.permute(3, 2, 0, 1)).sum().backward()
    observed = f"every element {kernel.grad.unique().tolist()}"
except RuntimeError as error:
    observed = f"RuntimeError: {error}"
expected = "every element [9.0]"

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(observed != expected)))
