"""Ten architectures of the transformers package, made from small configurations: nothing opaque, and as many
operations in products as torch's FlopCounterMode counts.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from lightbound.workloads.cascade import Cascade
from lightbound.workloads.trace import trace

transformers = pytest.importorskip("transformers", reason="needs the transformers package: pip install transformers")

LAYERS = {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 128, "num_attention_heads": 4}
DECODER = {
    **LAYERS,
    "num_key_value_heads": 2,
    "vocab_size": 100,
    "use_cache": False,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
PLAIN = {"vocab_size": 100, "use_cache": False, "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0}
GPT2 = {"n_layer": 2, "n_embd": 64, "n_head": 4}
WHISPER = {
    "encoder_layers": 2, "decoder_layers": 2, "d_model": 64, "encoder_attention_heads": 4, "encoder_ffn_dim": 128,
    "decoder_attention_heads": 4, "decoder_ffn_dim": 128, "decoder_start_token_id": 1, "max_source_positions": 100,
    "suppress_tokens": [], "begin_suppress_tokens": [],
}  # fmt: skip


def tokens(length: int = 32) -> torch.Tensor:
    return torch.zeros(2, length, dtype=torch.long)


def image() -> torch.Tensor:
    return torch.zeros(2, 3, 64, 64)


ARCHITECTURES: dict[str, tuple[str, dict[str, Any], Callable[[], dict[str, torch.Tensor]]]] = {
    "BertModel": ("BertConfig", {**LAYERS, "vocab_size": 100}, lambda: {"input_ids": tokens()}),
    "GPT2LMHeadModel": ("GPT2Config", {**PLAIN, **GPT2}, lambda: {"input_ids": tokens()}),
    "LlamaForCausalLM": ("LlamaConfig", DECODER, lambda: {"input_ids": tokens()}),
    "MistralForCausalLM": ("MistralConfig", {**DECODER, "sliding_window": 8}, lambda: {"input_ids": tokens()}),
    "MixtralForCausalLM": (
        "MixtralConfig", {**DECODER, "num_local_experts": 4, "experts_implementation": "batched_mm"},
        lambda: {"input_ids": tokens()},
    ),
    "T5ForConditionalGeneration": (
        "T5Config", {**PLAIN, "num_layers": 2, "d_model": 64, "d_ff": 128, "d_kv": 16, "num_heads": 4},
        lambda: {"input_ids": tokens(), "decoder_input_ids": tokens(16)},
    ),
    "ViTModel": ("ViTConfig", {**LAYERS, "image_size": 64}, lambda: {"pixel_values": image()}),
    "SwinModel": (
        "SwinConfig", {"depths": [2, 2], "num_heads": [2, 4], "embed_dim": 32, "image_size": 64, "window_size": 4},
        lambda: {"pixel_values": image()},
    ),
    "MambaForCausalLM": (
        "MambaConfig", {**PLAIN, "num_hidden_layers": 2, "hidden_size": 64}, lambda: {"input_ids": tokens(8)}
    ),
    "WhisperForConditionalGeneration": (
        "WhisperConfig", {**PLAIN, **WHISPER},
        lambda: {"input_features": torch.zeros(2, 80, 200), "decoder_input_ids": tokens(8)},
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


def built(name: str, **changes: Any) -> tuple[Any, dict[str, Any]]:
    config, sizes, inputs = ARCHITECTURES[name]
    torch.manual_seed(0)
    return getattr(transformers, name)(getattr(transformers, config)(**sizes, **changes)), inputs()


def forward_flops(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def backward_flops(grad: Any, query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_backward_flop_count(grad, query, key, value)


def counted_by_torch(module: torch.nn.Module, inputs: dict[str, torch.Tensor], train: bool) -> int:
    """FlopCounterMode, told by its own formulas of the one fused attention it does not know: that of CPUs."""
    fused = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
    known = {fused: forward_flops, torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: backward_flops}
    module.train(train)
    with FlopCounterMode(display=False, custom_mapping=known) as counter, torch.set_grad_enabled(train):
        outputs = [one for one in tree_leaves(dict(module(**inputs))) if isinstance(one, torch.Tensor)]
        if train:
            graded = [one for one in outputs if one.requires_grad]
            torch.autograd.backward(graded, [torch.ones_like(one) for one in graded])
    return counter.get_total_flops()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_traced_whole_and_counted_as_torch_counts(name: str) -> None:
    module, inputs = built(name)
    traced = trace(module, **inputs)
    assert traced.opaque == ()
    assert traced.product_flops == counted_by_torch(module, inputs, train=False)
    assert Cascade.parse(traced.text).structure == traced.structure


@pytest.mark.parametrize("name", ["BertModel", "LlamaForCausalLM", "SwinModel"])
def test_a_training_step_is_counted_as_torch_counts(name: str) -> None:
    module, inputs = built(name)
    traced = trace(module, train=True, **inputs)
    assert traced.opaque_share < 0.01
    assert traced.product_flops == counted_by_torch(module, inputs, train=True)


def test_experts_as_one_grouped_product_count_every_token_once_for_each_expert_it_goes_to() -> None:
    module, inputs = built("MixtralForCausalLM")
    batched = trace(module, **inputs)
    module.config._experts_implementation = "grouped_mm"
    grouped = trace(module.to(torch.bfloat16), **inputs)
    assert grouped.opaque == ()
    assert grouped.product_flops == batched.product_flops


def test_a_residual_network_is_counted_as_torch_counts() -> None:
    class Bottleneck(torch.nn.Module):
        def __init__(self, width: int, inner: int, out: int, stride: int) -> None:
            super().__init__()
            convolution, norm = torch.nn.Conv2d, torch.nn.BatchNorm2d
            self.body = torch.nn.Sequential(
                convolution(width, inner, 1, bias=False), norm(inner), torch.nn.ReLU(inplace=True),
                convolution(inner, inner, 3, stride, 1, bias=False), norm(inner), torch.nn.ReLU(inplace=True),
                convolution(inner, out, 1, bias=False), norm(out),
            )  # fmt: skip
            self.shortcut = torch.nn.Sequential(convolution(width, out, 1, stride, bias=False), norm(out))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.relu(self.body(x) + self.shortcut(x))

    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 16, 7, 2, 3, bias=False), torch.nn.BatchNorm2d(16), torch.nn.ReLU(inplace=True),
        torch.nn.MaxPool2d(3, 2, 1), Bottleneck(16, 8, 32, 1), Bottleneck(32, 16, 64, 2),
        torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(64, 10),
    )  # fmt: skip
    x = torch.zeros(2, 3, 64, 64)
    for train in (False, True):
        traced = trace(network, x, train=train)
        network.train(train)
        with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(train):
            out = network(x)
            if train:
                out.backward(torch.ones_like(out))
        assert traced.opaque == ()
        assert traced.product_flops == counter.get_total_flops()
