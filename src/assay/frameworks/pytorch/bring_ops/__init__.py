"""ATen operators as ONNX operators, by family. None of these files needs torch: an operator is known by its name."""
