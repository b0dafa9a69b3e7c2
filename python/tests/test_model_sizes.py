"""The sizes that ``src/lib/model-config.ts`` computes, held to Petals' own and to the seeder's plan."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from torbiz import memory, petals_compat  # noqa: F401  (petals_compat before petals)

# isort: split
import torch
from petals.models.bloom.config import DistributedBloomConfig
from petals.models.falcon.config import DistributedFalconConfig
from petals.models.llama.config import DistributedLlamaConfig
from petals.server.block_utils import get_block_size
from transformers import CONFIG_MAPPING, AutoModelForCausalLM

from torbiz import seeder

ROOT = Path(__file__).parents[2]
COMMON = {"hidden_size": 128, "num_hidden_layers": 3, "num_attention_heads": 8, "vocab_size": 500}
LLAMA = COMMON | {"intermediate_size": 352, "num_key_value_heads": 2}
NEW_FALCON = COMMON | {"new_decoder_architecture": True, "num_kv_heads": 2}
CONFIGS = [
    DistributedLlamaConfig(**LLAMA),
    DistributedLlamaConfig(**LLAMA | {"num_key_value_heads": 8}),
    DistributedLlamaConfig(**LLAMA | {"num_key_value_heads": 1, "attention_bias": True, "tie_word_embeddings": True}),
    DistributedFalconConfig(**NEW_FALCON),
    DistributedFalconConfig(**NEW_FALCON | {"bias": True}),
    DistributedFalconConfig(**COMMON | {"multi_query": True}),
    DistributedFalconConfig(**COMMON | {"multi_query": False, "parallel_attn": False, "alibi": True, "bias": True}),
    DistributedBloomConfig(**COMMON),
]
PROGRAM = """
import { blockBytes, blockFileBytes, cacheBytes, readConfig, weightBytes } from "./src/lib/model-config.ts";
const configs = JSON.parse(process.argv[1]).map((config) => readConfig(config, "test"));
const sizes = configs.map((config) => [
    blockBytes(config), blockFileBytes({ ...config, torch_dtype: "bfloat16" }), cacheBytes(config), weightBytes(config),
]);
process.stdout.write(JSON.stringify(sizes));
"""


@pytest.fixture(scope="module")
def computed() -> list[tuple[int, int, int, int]]:
    """Bytes of a block, of one in files at bfloat16, of its cache and of all weights, by the order of ``CONFIGS``."""
    configs = json.dumps([config.to_dict() for config in CONFIGS])
    command = ["node", "--import", "tsx", "--input-type=module", "--eval", PROGRAM, "--", configs]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    return [tuple(sizes) for sizes in json.loads(result.stdout)]


@pytest.mark.parametrize("index", range(len(CONFIGS)))
def test_a_block_is_as_large_as_petals_says(index: int, computed: list[tuple[int, int, int, int]]) -> None:
    in_memory, in_files, *_ = computed[index]
    assert in_memory == get_block_size(CONFIGS[index], "memory", dtype=torch.float32)
    assert round(in_files * 1.01) == get_block_size(CONFIGS[index], "memory", dtype=torch.bfloat16)


@pytest.mark.parametrize("index", range(len(CONFIGS)))
def test_as_many_blocks_fit_as_the_seeder_plans(
    index: int, computed: list[tuple[int, int, int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    block_bytes, _, cache_bytes, _ = computed[index]
    options: Any = SimpleNamespace(model="test", blocks=None)
    two = memory.RUNTIME_BYTES + 2 * (block_bytes + cache_bytes)
    for limit, blocks in ((two, 2), (two - 1, 1)):
        monkeypatch.setattr(memory, "memory_limit", lambda limit=limit: limit)
        assert seeder.plan_blocks(options, CONFIGS[index]) == blocks


@pytest.mark.parametrize("index", range(len(CONFIGS)))
def test_all_weights_together_are_those_of_the_model(index: int, computed: list[tuple[int, int, int, int]]) -> None:
    plain = CONFIG_MAPPING[CONFIGS[index].model_type].from_dict(CONFIGS[index].to_dict())
    model = AutoModelForCausalLM.from_config(plain)
    assert computed[index][3] == 4 * sum(parameter.numel() for parameter in model.parameters())
