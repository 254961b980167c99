"""Keras 3 on each of its backends: facts that need no import of it."""

from assay.frameworks.base import Framework, Target

FRAMEWORK = Framework(
    name="keras",
    title="Keras",
    extra="keras",
    distributions=("keras",),
    targets=(
        Target("keras", "tensorflow", ("graph", "eager"), ("keras", "tensorflow", "safetensors")),
        Target(
            "keras",
            "jax",
            ("jit", "eager"),
            ("keras", "jax", "safetensors"),
            default=False,
            compile_cache={
                "JAX_COMPILATION_CACHE_DIR": "{folder}",
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # eager execution compiles many small programs
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            },
        ),
        Target("keras", "torch", ("eager",), ("keras", "torch", "safetensors"), default=False),
    ),
    channels_last=True,
    environment={"TF_CPP_MIN_LOG_LEVEL": "3"},
    brings=("keras.src.layers.layer.Layer",),
    files=(".keras",),
    trains=("keras",),
)
