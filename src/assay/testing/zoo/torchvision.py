"""torchvision's classification and segmentation models, with random weights."""

from __future__ import annotations

from functools import partial
from typing import Any

from assay.nn.losses import MeanSquaredError
from assay.testing.zoo.case import Case, Made

FRAMEWORK = "pytorch"
DISTRIBUTIONS = ("torch", "torchvision")
ENVIRONMENT: dict[str, str] = {}

CLASSES = 10  # fewer than ImageNet's 1000: the layer is the same, and small models are not dominated by it
PLAIN_SIZE = 64

# Families that take an image of any size, by the smallest that all of their strides leave something of.
_CLASSIFIERS = {
    64: """
        convnext_tiny convnext_small convnext_base convnext_large
        densenet121 densenet161 densenet169 densenet201
        efficientnet_b0 efficientnet_b1 efficientnet_b2 efficientnet_b3 efficientnet_b4 efficientnet_b5 efficientnet_b6
        efficientnet_b7 efficientnet_v2_s efficientnet_v2_m efficientnet_v2_l
        googlenet mnasnet0_5 mnasnet0_75 mnasnet1_0 mnasnet1_3 mobilenet_v2 mobilenet_v3_small mobilenet_v3_large
        regnet_x_400mf regnet_x_800mf regnet_x_1_6gf regnet_x_3_2gf regnet_x_8gf regnet_x_16gf regnet_x_32gf
        regnet_y_400mf regnet_y_800mf regnet_y_1_6gf regnet_y_3_2gf regnet_y_8gf regnet_y_16gf regnet_y_32gf
        regnet_y_128gf
        resnet18 resnet34 resnet50 resnet101 resnet152 resnext50_32x4d resnext101_32x8d resnext101_64x4d
        shufflenet_v2_x0_5 shufflenet_v2_x1_0 shufflenet_v2_x1_5 shufflenet_v2_x2_0 squeezenet1_0 squeezenet1_1
        swin_t swin_s swin_b swin_v2_t swin_v2_s swin_v2_b
        vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn wide_resnet50_2 wide_resnet101_2
    """,
    80: "alexnet",
    96: "inception_v3",
}
# Models that are made for one size of image: those of the patches, or of the windows.
_SIZED = {
    "vit_b_16": 64,
    "vit_b_32": 64,
    "vit_l_16": 32,
    "vit_l_32": 64,
    "vit_h_14": 28,
}
_SEGMENTATION = (
    "fcn_resnet50",
    "fcn_resnet101",
    "deeplabv3_resnet50",
    "deeplabv3_resnet101",
    "deeplabv3_mobilenet_v3_large",
    "lraspp_mobilenet_v3_large",
)


def cases() -> tuple[Case, ...]:
    found = [_case(name, size) for size, names in _CLASSIFIERS.items() for name in names.split()]
    found += [_case(name, size, image_size=size) for name, size in _SIZED.items()]
    found.append(Case("maxvit_t", _maxvit, f"image of {PLAIN_SIZE}×{PLAIN_SIZE}, {CLASSES} classes, windows of 2×2"))
    found += [
        Case(name, partial(_segment, name), f"image of {PLAIN_SIZE}×{PLAIN_SIZE}, {CLASSES} classes")
        for name in _SEGMENTATION
    ]
    return tuple(sorted(found, key=lambda case: case.name))


def _case(name: str, size: int, **options: Any) -> Case:
    said = f", {', '.join(f'{key}={value}' for key, value in options.items())}" if options else ""
    return Case(name, partial(_classify, name, size, options), f"image of {size}×{size}, {CLASSES} classes{said}")


def _classify(name: str, size: int, options: dict[str, Any]) -> Made:
    import torch

    models = library()
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False, **options}  # or scipy draws thousands of truncated normals
    module = models.get_model(name, weights=None, num_classes=CLASSES, **options)
    return Made(module, (torch.randn(1, 3, size, size),))


def _maxvit() -> Made:
    """`maxvit_t` with smaller windows: they must divide every stage's map, and 64 pixels are 16, 8, 4 and 2 wide maps.
    The function of that name takes no other size of windows."""
    import torch

    library()
    from torchvision.models.maxvit import MaxVit

    module = MaxVit(
        input_size=(PLAIN_SIZE, PLAIN_SIZE),
        stem_channels=64,
        block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2],
        head_dim=32,
        stochastic_depth_prob=0.2,
        partition_size=2,
        num_classes=CLASSES,
    )
    return Made(module, (torch.randn(1, 3, PLAIN_SIZE, PLAIN_SIZE),))


def _segment(name: str) -> Made:
    import torch

    module = library().get_model(name, weights=None, weights_backbone=None, num_classes=CLASSES)
    return Made(module, (torch.randn(1, 3, PLAIN_SIZE, PLAIN_SIZE),), MeanSquaredError())


_KEPT: list[Any] = []  # a torch library lives as long as its object


def library() -> Any:
    """`torchvision.models`. Beside a CPU build of torch its compiled part does not load, and it imports only once two
    operators of that, which these models never call, are declared."""
    import importlib

    import torch

    try:
        return importlib.import_module("torchvision.models")
    except RuntimeError:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _KEPT.append(library)
        return importlib.import_module("torchvision.models")
