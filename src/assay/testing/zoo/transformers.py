"""Architectures of the transformers library, each in a tiny configuration with random weights.

The sizes are small, the structure is the library's: two layers, four heads, grouped keys where the architecture has them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from assay.nn.losses import CrossEntropy, MeanSquaredError
from assay.testing.zoo.case import Batch, Case, Made

FRAMEWORK = "pytorch"
DISTRIBUTIONS = ("torch", "transformers")
ENVIRONMENT = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "USE_TORCHVISION": "0"}

VOCABULARY, STEPS, LATER_STEPS = 99, 10, 7
_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 37}
_TEXT = {
    **_SIZES,
    **{"vocab_size": VOCABULARY, "max_position_embeddings": 64, "use_cache": False},
    **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2},
}
_GPT = {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
_GROUPED = {"num_key_value_heads": 2, "head_dim": 8}
_T5 = {"d_model": 32, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
_BART = {
    **{"d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4},
    **{"decoder_attention_heads": 4, "encoder_ffn_dim": 37, "decoder_ffn_dim": 37, "decoder_start_token_id": 2},
}
_STAGES = {"hidden_sizes": [8, 16, 16, 16], "depths": [1, 2, 1, 1]}
_WINDOWS = {
    **{"image_size": 32, "patch_size": 2, "embed_dim": 16, "depths": [2, 2], "num_heads": [2, 4], "window_size": 4},
}
_AUDIO = {
    **_SIZES,
    **{"conv_dim": [16, 16, 16], "conv_kernel": [5, 3, 3], "conv_stride": [3, 2, 2], "num_feat_extract_layers": 3},
    **{"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2, "vocab_size": 20},
}
_CLIP_TEXT = {
    **_SIZES,
    **{"vocab_size": VOCABULARY, "max_position_embeddings": 64, "projection_dim": 24},
    **{"bos_token_id": 0, "eos_token_id": VOCABULARY - 1, "pad_token_id": 1},
}
_CLIP_VISION = {**_SIZES, "image_size": 32, "patch_size": 8, "projection_dim": 24}

# Encoders that classify a sequence, or fill in its words.
_ENCODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "albert": ("AlbertForSequenceClassification", {"embedding_size": 16}),
    "bert": ("BertForSequenceClassification", {}),
    "bert-masked-lm": ("BertForMaskedLM", {}),
    "camembert": ("CamembertForMaskedLM", {}),
    "deberta": (
        "DebertaForSequenceClassification",
        {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False},
    ),
    "deberta-v2": (
        "DebertaV2ForSequenceClassification",
        {
            **{"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_buckets": 8},
            **{"norm_rel_ebd": "layer_norm", "share_att_key": True},
        },
    ),
    "distilbert": (
        "DistilBertForSequenceClassification",
        {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 37},
    ),
    "electra": ("ElectraForSequenceClassification", {"embedding_size": 16}),
    "ernie": ("ErnieForSequenceClassification", {}),
    "funnel": (
        "FunnelForSequenceClassification",
        {"block_sizes": [1, 1], "d_model": 32, "n_head": 4, "d_head": 8, "d_inner": 37},
    ),
    "modernbert": ("ModernBertForSequenceClassification", {}),
    "mpnet": ("MPNetForSequenceClassification", {}),
    "roberta": ("RobertaForSequenceClassification", {}),
    "xlm-roberta": ("XLMRobertaForSequenceClassification", {}),
}
_TRANSLATORS: dict[str, tuple[str, dict[str, Any]]] = {
    "bart": ("BartForConditionalGeneration", _BART),
    "marian": ("MarianMTModel", _BART),
    "mbart": ("MBartForConditionalGeneration", _BART),
    "pegasus": ("PegasusForConditionalGeneration", _BART),
    "t5": ("T5ForConditionalGeneration", _T5),
}
_DECODERS: dict[str, tuple[str, dict[str, Any]]] = {
    "bloom": ("BloomForCausalLM", {"n_layer": 2, "n_head": 4}),
    "codegen": ("CodeGenForCausalLM", {**_GPT, "rotary_dim": 4}),
    "falcon": ("FalconForCausalLM", {}),
    "gemma": ("GemmaForCausalLM", _GROUPED),
    "gemma2": ("Gemma2ForCausalLM", {**_GROUPED, "sliding_window": 4, "query_pre_attn_scalar": 8}),
    "gpt2": ("GPT2LMHeadModel", _GPT),
    "gpt-neox": ("GPTNeoXForCausalLM", {}),
    "gptj": ("GPTJForCausalLM", {**_GPT, "rotary_dim": 4}),
    "llama": ("LlamaForCausalLM", _GROUPED),
    "mamba": ("MambaForCausalLM", {"state_size": 8}),
    "mistral": ("MistralForCausalLM", {**_GROUPED, "sliding_window": 4}),
    "opt": ("OPTForCausalLM", {"ffn_dim": 37, "word_embed_proj_dim": 32}),
    "phi": ("PhiForCausalLM", {}),
    "phi3": ("Phi3ForCausalLM", {"num_key_value_heads": 2}),
    "qwen2": ("Qwen2ForCausalLM", _GROUPED),
    "qwen3": ("Qwen3ForCausalLM", _GROUPED),
    "stablelm": ("StableLmForCausalLM", {"num_key_value_heads": 2}),
}
# Models of images: class, size of the image, configuration.
_VISION: dict[str, tuple[str, int, dict[str, Any]]] = {
    "beit": ("BeitForImageClassification", 32, {**_SIZES, "patch_size": 8, "use_relative_position_bias": True}),
    "convnext": ("ConvNextForImageClassification", 32, _STAGES),
    "convnextv2": ("ConvNextV2ForImageClassification", 32, _STAGES),
    "deit": ("DeiTForImageClassification", 32, {**_SIZES, "patch_size": 8}),
    "dinov2": ("Dinov2ForImageClassification", 32, {**_SIZES, "patch_size": 8}),
    "mobilevit": (
        "MobileViTForImageClassification",
        64,
        {
            "hidden_sizes": [16, 24, 32],
            "neck_hidden_sizes": [8, 16, 16, 24, 24, 32, 48],
            "num_attention_heads": 4,
        },
    ),
    "resnet": ("ResNetForImageClassification", 32, {**_STAGES, "embedding_size": 8, "layer_type": "basic"}),
    "segformer": (
        "SegformerForSemanticSegmentation",
        64,
        {
            **{"hidden_sizes": [8, 16, 16, 16], "depths": [1, 1, 1, 1], "num_attention_heads": [1, 2, 2, 2]},
            "decoder_hidden_size": 16,
        },
    ),
    "swin": ("SwinForImageClassification", 32, _WINDOWS),
    "vit": ("ViTForImageClassification", 32, {**_SIZES, "patch_size": 8}),
}
_SPEECH: dict[str, tuple[str, dict[str, Any]]] = {
    "hubert": ("HubertForCTC", _AUDIO),
    "wav2vec2": ("Wav2Vec2ForCTC", _AUDIO),
}


def cases() -> tuple[Case, ...]:
    words = {"input_ids": _words(STEPS), "attention_mask": _lengths(STEPS)}
    pairs = {**words, "decoder_input_ids": _words(LATER_STEPS)}
    image = {"pixel_values": _floats(3, 32, 32)}
    found = [Case(name, partial(_made, kind, _TEXT | more, words)) for name, (kind, more) in _ENCODERS.items()]
    found += [Case(name, partial(_made, kind, _TEXT | more, pairs)) for name, (kind, more) in _TRANSLATORS.items()]
    for name, (kind, more) in _DECODERS.items():
        inputs = {"input_ids": words["input_ids"]} if name == "mamba" else words
        found.append(Case(name, partial(_made, kind, _TEXT | more, inputs)))
    for name, (kind, size, more) in _VISION.items():
        sized = {} if "hidden_sizes" in more and name not in ("mobilevit", "segformer") else {"image_size": size}
        found.append(
            Case(
                name, partial(_made, kind, {**more, **sized, "num_labels": 5}, {"pixel_values": _floats(3, size, size)})
            )
        )
    found += [
        Case(name, partial(_made, kind, more, {"input_values": _floats(400)})) for name, (kind, more) in _SPEECH.items()
    ]
    spectrum = {
        **_SIZES,
        **{"patch_size": 4, "frequency_stride": 4, "time_stride": 4, "max_length": 32, "num_mel_bins": 16},
        "num_labels": 5,
    }
    whisper = _BART | {
        **{"vocab_size": VOCABULARY, "num_mel_bins": 16, "max_source_positions": 20, "max_target_positions": 30},
        **{"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2, "decoder_start_token_id": 1, "use_cache": False},
    }
    both = {"text_config": _CLIP_TEXT, "vision_config": _CLIP_VISION}
    seen_and_said = {"input_ids": words["input_ids"], **image}
    found += [
        Case("ast", partial(_made, "ASTForAudioClassification", spectrum, {"input_values": _floats(32, 16)})),
        Case(
            "whisper",
            partial(
                _made,
                "WhisperForConditionalGeneration",
                whisper,
                {
                    **{"input_features": _floats(16, 40), "decoder_input_ids": _words(LATER_STEPS)},
                    "decoder_attention_mask": _lengths(LATER_STEPS),
                },
            ),
        ),
        Case("clip-text", partial(_made, "CLIPTextModelWithProjection", _CLIP_TEXT, words)),
        Case("clip-vision", partial(_made, "CLIPVisionModelWithProjection", _CLIP_VISION, image)),
        Case(
            "clip",
            partial(
                _made, "CLIPModel", {**both, "projection_dim": 24}, {**seen_and_said, "attention_mask": _lengths(STEPS)}
            ),
        ),
        Case("siglip", partial(_made, "SiglipModel", both, seen_and_said)),
    ]
    return tuple(sorted(found, key=lambda case: case.name))


# Inputs ---------------------------------------------------------------------------------------------------------------

Draw = Callable[[np.random.Generator, int], np.ndarray]


def _words(steps: int) -> Draw:
    """Words that are none of the special ones."""
    return lambda generator, examples: generator.integers(3, VOCABULARY - 1, (examples, steps))


def _lengths(steps: int) -> Draw:
    """A mask of sequences of different lengths, none of them empty."""

    def draw(generator: np.random.Generator, examples: int) -> np.ndarray:
        return (np.arange(steps) < generator.integers(steps // 2, steps + 1, (examples, 1))).astype(np.int64)

    return draw


def _floats(*shape: int) -> Draw:
    return lambda generator, examples: generator.standard_normal((examples, *shape))


def _batch(inputs: Mapping[str, Draw]) -> Batch:
    return lambda generator, examples: tuple(draw(generator, examples) for draw in inputs.values())


def _made(kind: str, options: Mapping[str, Any], inputs: Mapping[str, Draw]) -> Made:
    """A model of the library by the name of its class, and how it is called."""
    import torch

    library = _library()
    model_class = getattr(library, kind)
    module = model_class(model_class.config_class(**_understood(kind, options)))
    drawn = _batch(inputs)(np.random.Generator(np.random.Philox(key=[0, 0x200])), 2)
    tensors = [torch.from_numpy(array.astype(np.float32) if array.dtype == np.float64 else array) for array in drawn]
    loss = MeanSquaredError() if kind in ("CLIPModel", "SiglipModel") else CrossEntropy()
    return Made(module, dict(zip(inputs, tensors, strict=True)), loss, _batch(inputs))


def _understood(kind: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without those that this family derives from others, and refuses to be given."""
    refused = {"Funnel": ("num_hidden_layers",)}
    names = next((names for family, names in refused.items() if kind.startswith(family)), ())
    return {name: value for name, value in options.items() if name not in names}


def _library() -> Any:
    """The transformers package. It imports torchvision where that is installed, which wants help (see there)."""
    import importlib.util

    from assay.testing.zoo import torchvision

    if importlib.util.find_spec("torchvision") is not None:
        torchvision.library()
    return importlib.import_module("transformers")
