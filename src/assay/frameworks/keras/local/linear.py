"""Matrix products."""

from keras import ops


def matmul_in_float32(a, b):
    """The product of matrices of a narrow type, rounded once: TensorFlow adds up in the narrow type on a CPU."""
    return ops.cast(ops.matmul(ops.cast(a, "float32"), ops.cast(b, "float32")), a.dtype)
