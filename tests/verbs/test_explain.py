"""What `explain` says of a model, and that the defaults it holds against it are those of the installed frameworks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from assay import nn
from assay.cli import main
from assay.frameworks.defaults import defaults
from assay.verbs.explain import Place, explain, out_of_the_box
from assay.workloads import WORKLOADS

ALL = ("pytorch", "tensorflow", "keras", "jax")

# What each framework's own signatures say, asked in a process of its own: (of, attribute) → value.
ASK = {
    "pytorch": """
import inspect, torch
from torch import nn
of = lambda call, name: inspect.signature(call).parameters[name].default
found = {
    "BatchNormalization epsilon": of(nn.BatchNorm2d, "eps"),
    "BatchNormalization momentum": 1 - of(nn.BatchNorm2d, "momentum"),
    "LayerNormalization epsilon": of(nn.LayerNorm, "eps"),
    "GroupNormalization epsilon": of(nn.GroupNorm, "eps"),
    "RMSNormalization epsilon": torch.finfo(torch.float32).eps if of(nn.RMSNorm, "eps") is None else of(nn.RMSNorm, "eps"),
    "AveragePool count_include_pad": int(of(nn.AvgPool2d, "count_include_pad")),
    "Gelu approximate": of(nn.GELU, "approximate"),
    "LeakyRelu alpha": of(nn.LeakyReLU, "negative_slope"),
    "Adam epsilon": of(torch.optim.Adam, "eps"),
    "AdamW weight_decay": of(torch.optim.AdamW, "weight_decay"),
    "RMSprop rho": of(torch.optim.RMSprop, "alpha"),
    "RMSprop epsilon": of(torch.optim.RMSprop, "eps"),
}
""",
    "tensorflow": """
import inspect, numpy as np, tensorflow as tf
of = lambda call, name: inspect.signature(call).parameters[name].default
ones = tf.ones((1, 2, 2, 1))
found = {
    "BatchNormalization epsilon": of(tf.compat.v1.nn.fused_batch_norm, "epsilon"),
    "AveragePool count_include_pad": int(float(tf.nn.avg_pool2d(ones, 3, 1, "SAME")[0, 0, 0, 0]) < 1),
    "Gelu approximate": "tanh" if of(tf.nn.gelu, "approximate") else "none",
    "LeakyRelu alpha": of(tf.nn.leaky_relu, "alpha"),
}
""",
    "keras": """
import inspect, keras, numpy as np
from keras import layers, optimizers
of = lambda call, name: inspect.signature(call).parameters[name].default
ones = np.ones((1, 2, 2, 1), "float32")
pool = layers.AveragePooling2D(3, 1, padding="same")
found = {
    "BatchNormalization epsilon": of(layers.BatchNormalization, "epsilon"),
    "BatchNormalization momentum": of(layers.BatchNormalization, "momentum"),
    "LayerNormalization epsilon": of(layers.LayerNormalization, "epsilon"),
    "GroupNormalization epsilon": of(layers.GroupNormalization, "epsilon"),
    "RMSNormalization epsilon": of(layers.RMSNormalization, "epsilon"),
    "AveragePool count_include_pad": int(float(np.asarray(pool(ones))[0, 0, 0, 0]) < 1),
    "Gelu approximate": "tanh" if of(keras.activations.gelu, "approximate") else "none",
    "LeakyRelu alpha": of(layers.LeakyReLU, "negative_slope"),
    "Adam epsilon": of(optimizers.Adam, "epsilon"),
    "AdamW weight_decay": of(optimizers.AdamW, "weight_decay"),
    "RMSprop rho": of(optimizers.RMSprop, "rho"),
    "RMSprop epsilon": of(optimizers.RMSprop, "epsilon"),
}
""",
    "jax": """
import inspect, jax.numpy as jnp, optax
from flax import nnx
of = lambda call, name: inspect.signature(call).parameters[name].default
pool = nnx.avg_pool(jnp.ones((1, 2, 2, 1)), (3, 3), padding="SAME")
found = {
    "BatchNormalization epsilon": of(nnx.BatchNorm.__init__, "epsilon"),
    "BatchNormalization momentum": of(nnx.BatchNorm.__init__, "momentum"),
    "LayerNormalization epsilon": of(nnx.LayerNorm.__init__, "epsilon"),
    "GroupNormalization epsilon": of(nnx.GroupNorm.__init__, "epsilon"),
    "RMSNormalization epsilon": of(nnx.RMSNorm.__init__, "epsilon"),
    "AveragePool count_include_pad": int(float(pool[0, 0, 0, 0]) < 1),
    "Gelu approximate": "tanh" if of(nnx.gelu, "approximate") else "none",
    "LeakyRelu alpha": of(nnx.leaky_relu, "negative_slope"),
    "Adam epsilon": of(optax.adam, "eps"),
    "AdamW weight_decay": of(optax.adamw, "weight_decay"),
    "RMSprop rho": of(optax.rmsprop, "decay"),
    "RMSprop epsilon": of(optax.rmsprop, "eps"),
}
""",
}


@pytest.mark.parametrize("framework", ALL)
def test_the_defaults_are_those_of_the_framework(framework: str, need: Callable[..., None]) -> None:
    need({"pytorch": "torch", "jax": "flax"}.get(framework, framework))
    text = ASK[framework] + "\nimport json; print(json.dumps(found))"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    said = {f"{item.of} {item.attribute}": item.value for item in defaults(framework) if item.attribute is not None}
    asked = json.loads(done.stdout.splitlines()[-1])
    assert said.keys() == asked.keys()
    for name, value in asked.items():
        assert said[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-12)), name


def found(places: tuple[Place, ...], of: str, what: str) -> Place:
    return next(item for item in places if (item.of, item.what) == (of, what))


def test_batch_norm_of_a_residual_network() -> None:
    places = explain(WORKLOADS["mnist-cnn"].model(), ALL)
    epsilon = found(places, "BatchNormalization", "epsilon")
    assert epsilon.meant == "1e-05"
    assert set(epsilon.differs) == {"tensorflow", "keras"}
    assert "epsilon=1e-5" in epsilon.written["keras"]
    assert len(epsilon.where) == 10
    kept = found(places, "BatchNormalization", "share of the running statistics that is kept")
    assert set(kept.differs) == {"keras", "jax"}
    assert {item.meant for item in places if (item.of, item.what) == ("Conv", "padding")} == {
        "same",
        "none",
        "(1, 1) at both ends",
    }


def test_what_nobody_does_otherwise_is_not_told() -> None:
    model = nn.build(nn.Sequential(nn.LeakyReLU(0.01)), [nn.Input("x", (3,))], name="slope")
    places = explain(model, ("pytorch", "jax"))
    assert not [item for item in places if item.of == "LeakyRelu"]
    assert set(found(explain(model, ALL), "LeakyRelu", "slope").differs) == {"tensorflow", "keras"}


def test_the_optimizer_and_the_loss() -> None:
    places = explain(WORKLOADS["topics-lm"].model(), ALL)
    assert found(places, "AdamW", "weight decay").differs["keras"].value == 4e-3
    assert "from_logits=True" in found(places, "CrossEntropy", "input of the loss").written["keras"]


def test_out_of_the_box_takes_the_frameworks_numbers_and_leaves_the_model_alone() -> None:
    model = WORKLOADS["topics-lm"].model()
    before = model.training
    changed, said = out_of_the_box(model, "keras")
    assert said == ("LayerNormalization: epsilon 0.001 (9 times)", "AdamW: epsilon 1e-07", "AdamW: weight_decay 0.004")
    norms = [node for node in changed.graph if node.op_type == "LayerNormalization"]
    assert {round(node.attributes["epsilon"].as_float(), 9) for node in norms} == {1e-3}
    assert model.training is before
    assert not [item for item in explain(changed, ("keras",)) if item.what in ("epsilon", "weight decay")]
    assert out_of_the_box(changed, "keras")[1] == ()


def test_the_command(need: Callable[..., None]) -> None:
    done = CliRunner().invoke(main, ["explain", "vowels-rnn", "-f", "keras"])
    assert done.exit_code == 0, done.output
    assert "RMSprop: place of epsilon: outside the root" in done.output
    assert "pytorch" not in done.output
    unknown = CliRunner().invoke(main, ["explain", "vowels-rnn", "-f", "kersa"])
    assert unknown.exit_code == 2
    assert "keras" in unknown.output
