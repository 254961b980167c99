"""JAX with Flax NNX and Optax: facts that need no import of it."""

from assay.frameworks.base import Framework, Target

FRAMEWORK = Framework(
    name="jax",
    title="JAX",
    extra="jax",
    distributions=("jax", "jaxlib", "flax", "optax"),
    targets=(Target("jax", None, ("jit", "eager"), ("jax", "flax", "optax", "safetensors")),),
    channels_last=True,
)
