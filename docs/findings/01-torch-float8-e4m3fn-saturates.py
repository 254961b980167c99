"""torch.float8_e4m3fn saturates where the three other float8 types overflow to NaN or infinity, and so does infinity itself.

torch 2.13.0, CPU. Measured in November 2026. Deliberate for finite values since April 2026, see the link.
https://github.com/pytorch/pytorch/pull/178817
"""

import sys

import torch

kinds = ["float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz"]
values = torch.tensor([1e6, float("inf")])
observed = {kind: values.to(getattr(torch, kind)).float().tolist() for kind in kinds}
expected = {kind: [float("inf")] * 2 if kind == "float8_e5m2" else [float("nan")] * 2 for kind in kinds}

print("observed", observed)
print("expected", expected)
sys.exit(int(bool(repr(observed) != repr(expected))))
