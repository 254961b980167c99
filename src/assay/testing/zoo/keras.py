"""The models of keras.applications, one or more of each family, with random weights."""

from __future__ import annotations

from functools import partial
from typing import Any

from assay.testing.zoo.case import Case, Made

FRAMEWORK = "keras"
DISTRIBUTIONS = ("keras", "tensorflow-cpu")
ENVIRONMENT = {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}  # float64 is whole on this backend

CLASSES = 10

# By the smallest image that all of their strides leave something of.
_MODELS = {
    64: """
        ConvNeXtTiny ConvNeXtSmall DenseNet121 DenseNet169 EfficientNetB0 EfficientNetB1 EfficientNetB2
        EfficientNetV2B0 EfficientNetV2B1 EfficientNetV2S MobileNet MobileNetV2 MobileNetV3Large MobileNetV3Small
        NASNetMobile ResNet50 ResNet50V2 ResNet101 ResNet101V2 VGG16 VGG19
    """,
    96: "InceptionResNetV2 InceptionV3 Xception",
}


def cases() -> tuple[Case, ...]:
    found = [_case(name, size) for size, names in _MODELS.items() for name in names.split()]
    return tuple(sorted(found, key=lambda case: case.name))


def _case(name: str, size: int) -> Case:
    return Case(name, partial(_model, name, size), f"image of {size}×{size}, {CLASSES} classes, logits")


def _model(name: str, size: int) -> Made:
    import keras

    options: dict[str, Any] = {"weights": None, "classes": CLASSES, "classifier_activation": None}
    return Made(getattr(keras.applications, name)(input_shape=(size, size, 3), **options))
