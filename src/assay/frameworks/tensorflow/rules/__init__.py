"""TensorFlow's lowering table by families of operators; `assay.frameworks.tensorflow.write` puts it together."""
