"""Identifiers for written code, from names that may come from anywhere."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Iterable

_LONGEST = 64
# What written files import: an argument of that name would hide it.
_MODULES = {
    "F",
    "Path",
    "Tensor",
    "io",
    "jax",
    "jnp",
    "keras",
    "lax",
    "math",
    "nn",
    "nnx",
    "np",
    "ops",
    "re",
    "tf",
    "torch",
}
_TAKEN = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *_MODULES, "self"}


def identifier(name: str, fallback: str = "value") -> str:
    """A valid, lower-case-first Python identifier that reads like `name`; never a keyword or builtin."""
    text = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")
    text = re.sub(r"__+", "_", text)[:_LONGEST].strip("_")
    if not text:
        text = fallback
    if text[0].isdigit():
        text = f"{fallback}_{text}"
    return f"{text}_" if text in _TAKEN else text


def attribute(name: str, fallback: str = "value") -> str:
    """Like `identifier`, for what stands after `self.`: there a builtin's name, or `self`, hides nothing."""
    text = identifier(name, fallback)
    plain = text.removesuffix("_")
    return plain if text != name and plain == name and not keyword.iskeyword(plain) else text


def class_name(name: str) -> str:
    """`mnist-cnn` → `MnistCNN`: words joined, well-known abbreviations in capitals."""
    words = re.split(r"[^0-9A-Za-z]+", name)
    known = {
        "cnn": "CNN",
        "rnn": "RNN",
        "lm": "LM",
        "mlp": "MLP",
        "lstm": "LSTM",
        "gru": "GRU",
        "vit": "ViT",
        "gpt": "GPT",
    }
    joined = "".join(known.get(word.lower(), word[:1].upper() + word[1:]) for word in words if word)
    text = identifier(joined, "Model")
    return text[:1].upper() + text[1:]


def unique(name: str, taken: Iterable[str]) -> str:
    """`name`, or `name_2`, `name_3` … if it is taken."""
    used = set(taken)
    if name not in used:
        return name
    number = 2
    while f"{name}_{number}" in used:
        number += 1
    return f"{name}_{number}"


def singular(name: str) -> str:
    """`blocks` → `block`: what one element of a list is called. A list that could not have its own name is `layers_list`."""
    name = name.removesuffix("_list")
    if name.endswith("ies"):
        return name[:-3] + "y"
    if name.endswith("s") and not name.endswith("ss"):
        return name[:-1]
    return f"one_{name}"


def plural(name: str) -> str:
    """`block` → `blocks`, `entry` → `entries`: the inverse of `singular`."""
    if name.endswith("y") and name[-2:-1] not in ("", *"aeiou_"):
        return f"{name[:-1]}ies"
    return name if name.endswith("s") else f"{name}s"
