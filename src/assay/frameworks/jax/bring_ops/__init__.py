"""Operations of jax and layers of Flax as ONNX operators, by family."""
