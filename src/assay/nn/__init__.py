"""The neutral API: a model in a few lines, without any framework.

>>> from assay import nn
>>> net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
>>> model = nn.build(net, [nn.Input("x", (4,))], name="tiny")

Each layer, loss and optimizer has one stated meaning, in its docstring, that the written code of every framework keeps.
"""

from assay.nn.functional import (
    absolute,
    concat,
    elu,
    exp,
    flatten,
    gelu,
    hard_sigmoid,
    hard_swish,
    largest,
    leaky_relu,
    log,
    log_softmax,
    maximum,
    mean,
    minimum,
    mish,
    narrow,
    pad,
    relu,
    reshape,
    selu,
    sigmoid,
    silu,
    softmax,
    softplus,
    split,
    sqrt,
    squeeze,
    tanh,
    total,
    transpose,
    unsqueeze,
)
from assay.nn.layers import (
    ELU,
    GELU,
    SELU,
    BatchNorm,
    Conv1d,
    Conv2d,
    ConvTranspose1d,
    ConvTranspose2d,
    Dropout,
    Embedding,
    Flatten,
    GroupNorm,
    HardSigmoid,
    HardSwish,
    Identity,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Mish,
    PReLU,
    ReLU,
    RMSNorm,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from assay.nn.losses import (
    L1,
    MSE,
    BinaryCrossEntropy,
    CrossEntropy,
    Huber,
    Loss,
    MeanAbsoluteError,
    MeanSquaredError,
)
from assay.nn.module import (
    Input,
    Module,
    ModuleList,
    Parameter,
    Sequential,
    build,
    glorot,
    he,
    normal,
    ones,
    uniform,
    zeros,
)
from assay.nn.optimizers import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    Optimizer,
    RMSprop,
    Schedule,
    Step,
    Training,
    Warmup,
)
from assay.nn.pooling import (
    AdaptiveAveragePool1d,
    AdaptiveAveragePool2d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool2d,
    AveragePool1d,
    AveragePool2d,
    GlobalAveragePool,
    GlobalMaxPool,
    MaxPool1d,
    MaxPool2d,
)
from assay.nn.sequence import GRU, LSTM, MultiHeadAttention
from assay.nn.tensor import Tensor

__all__ = [name for name in dir() if not name.startswith("_")]
