"""TensorFlow: facts that need no import of it."""

from assay.frameworks.base import Framework, Target

FRAMEWORK = Framework(
    name="tensorflow",
    title="TensorFlow",
    extra="tensorflow",
    distributions=("tensorflow", "tensorflow-cpu"),
    targets=(Target("tensorflow", None, ("graph", "eager", "xla"), ("tensorflow", "safetensors")),),
    channels_last=True,
    environment={"TF_CPP_MIN_LOG_LEVEL": "3"},
    brings=(
        "tensorflow.python.module.module.Module",
        "tensorflow.python.eager.polymorphic_function.concrete_function.ConcreteFunction",
        "tensorflow.python.eager.polymorphic_function.polymorphic_function.Function",
    ),
    folder="saved_model.pb",
)
