"""JAX with Flax NNX and Optax: facts that need no import of it."""

from assay.frameworks.base import Framework, Target

FRAMEWORK = Framework(
    name="jax",
    title="JAX",
    extra="jax",
    distributions=("jax", "jaxlib", "flax", "optax"),
    companions=("flax", "optax"),
    targets=(
        Target(
            "jax",
            None,
            ("jit", "eager"),
            ("jax", "flax", "optax", "safetensors"),
            compile_cache={
                "JAX_COMPILATION_CACHE_DIR": "{folder}",
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",  # eager execution compiles many small programs
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            },
        ),
    ),
    channels_last=True,
    brings=("flax.nnx.module.Module",),
)
