"""Numbers as strings and back."""

import numpy as np
from keras import ops

from assay.frameworks.keras.local.indexing import as_host


def from_text(x, dtype):
    """The numbers that strings spell."""
    words = as_host(x)
    if "float" in dtype:
        values = np.array([float(word) for word in words.reshape(-1)], np.float64)
    elif dtype == "bool":
        values = np.array([word.lower() in ("1", "true") for word in words.reshape(-1)])
    else:
        values = np.array([int(float(word)) if "." in word else int(word) for word in words.reshape(-1)])
    return ops.cast(ops.convert_to_tensor(values.reshape(words.shape)), dtype)


def to_text(x):
    """Numbers as strings, floats with as many digits as they need."""
    array = as_host(x)
    words = [str(item) for item in (array.astype(np.float32) if array.dtype.kind == "V" else array).reshape(-1)]
    return np.array(words, dtype=object).reshape(array.shape)
