"""What a functional model of Keras does in training, whatever `training=` was given when its graph was made."""

from __future__ import annotations

from typing import Any

import pytest

import assay

keras = pytest.importorskip("keras")


def _model(first: Any) -> Any:
    inputs = keras.Input((4,))
    x = first(inputs)
    return keras.Model(inputs, keras.layers.BatchNormalization()(x))


@pytest.mark.parametrize("kind", ["plain", "after dropout", "training=False"])
def test_batch_normalisation_takes_part(kind: str) -> None:
    """Keras gives every layer of a graph the model's own `training`: in `fit` all of them train."""
    layers = keras.layers
    first = {
        "plain": layers.Dense(4),
        "after dropout": layers.Dropout(0.3),
        "training=False": lambda x: layers.BatchNormalization()(x, training=False),
    }[kind]
    source = _model(first)
    model = assay.load(source)
    assert not [note for note in model.notes if "in evaluation" in note]
    expected = sum(isinstance(layer, layers.BatchNormalization) for layer in source.layers)
    assert [node.op_type for node in model.graph].count("BatchNormalization") == expected


def test_what_is_not_trainable_does_not() -> None:
    model = assay.load(_model(keras.layers.BatchNormalization(trainable=False)))
    assert len([note for note in model.notes if "in evaluation" in note]) == 1
    assert [node.op_type for node in model.graph].count("BatchNormalization") == 1


def test_a_variable_without_a_name_is_called_by_its_attribute() -> None:
    class Scale(keras.layers.Layer):  # type: ignore[misc]
        def build(self, shape: Any) -> None:
            self.gamma = self.add_weight(shape=(shape[-1],), initializer="ones")

        def call(self, x: Any) -> Any:
            return x * self.gamma

    inputs = keras.Input((4,))
    found = assay.load(keras.Model(inputs, Scale(name="second")(Scale(name="first")(inputs))))
    assert sorted(found.weights()) == ["first.gamma", "second.gamma"]
    text = found.write("pytorch").files["model.py"]
    assert text.count("class Scale(nn.Module):") == 1 and "self.gamma = nn.Parameter(torch.zeros(4))" in text
    assert "self.first = Scale()" in text and "self.second = Scale()" in text


def test_average_pooling_that_leaves_out_its_padding_trains_in_jax() -> None:
    for name in ("torch", "flax"):
        pytest.importorskip(name)
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.AveragePooling2D(3, strides=1, padding="same")(keras.layers.Conv2D(4, 3)(inputs))
    source = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Flatten()(x)))
    model = assay.load(source, loss="cross-entropy")
    lines = [line.strip().partition("  #")[0] for line in model.write("jax").files["model.py"].splitlines()]
    assert "x = x" not in lines  # no change of layout is written as none
    for proof in assay.prove(model, ["jax", "pytorch"], ["default"]):
        assert proof.status == "equal", proof.reason
