"""How fast this computer answers with a model's blocks, before anything of the model is downloaded.

    python -m torbiz.speed_test --config '{"model_type": "llama", "hidden_size": 2048, ...}' --seconds 10

Petals' own measure, by which its servers tell a swarm how fast they are: one block of the model's shape, with random
weights, makes one token after another. One line of JSON on standard output tells the tokens a second of one block:
``{"tokensPerSecond": 123.4}``. A server of N blocks makes about the N-th part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from typing import Any

PROBE_STEPS = 2
"""Enough to know how long a step takes; the first step, in which memory is taken, isn't counted by Petals."""
MAX_STEPS = 100
"""As many as Petals' servers take at their start."""


def measure(config: Any, seconds: float) -> float:
    """Tokens a second through one block, at float32 on the CPU, as the seeder serves it.

    :param config: Petals' config of the model
    :param seconds: how long the measuring may take, besides making a block with random weights twice
    """
    import torch
    from petals.server.throughput import measure_compute_rps
    from petals.utils.convert_block import QuantType

    device = torch.device("cpu")

    def steps_per_second(steps: int) -> float:
        return float(
            measure_compute_rps(
                config,
                device,
                torch.float32,
                quant_type=QuantType.NONE,
                tensor_parallel_devices=(device,),
                n_tokens=1,
                n_steps=steps,
                inference=True,
            )
        )

    began = time.monotonic()
    probed = steps_per_second(PROBE_STEPS)
    steps = min(MAX_STEPS, int((seconds - (time.monotonic() - began)) * probed))
    return steps_per_second(steps) if steps > PROBE_STEPS else probed


def config_of(fields: dict[str, Any]) -> Any:
    """Petals' config for the fields of a ``config.json``.

    :raises ValueError: for a family that Petals has no blocks for
    """
    from petals.models.bloom.config import DistributedBloomConfig
    from petals.models.falcon.config import DistributedFalconConfig
    from petals.models.llama.config import DistributedLlamaConfig

    classes = {"llama": DistributedLlamaConfig, "falcon": DistributedFalconConfig, "bloom": DistributedBloomConfig}
    family = fields.get("model_type")
    if family not in classes:
        raise ValueError(f"Petals has no blocks of {family}")
    return classes[family](**{name: value for name, value in fields.items() if name != "model_type"})


def main(arguments: list[str] | None = None) -> None:
    """Measures; argparse ends the process for wrong options, with exit code 2."""
    parser = argparse.ArgumentParser(prog="torbiz.speed_test", description="Measure the speed of a model's block.")
    parser.add_argument("--config", type=json.loads, required=True, help="fields of the model's config.json, as JSON")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args(arguments)

    from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

    # isort: split
    import torch

    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    speed = measure(config_of(options.config), options.seconds)
    sys.stdout.write(f"{json.dumps({'tokensPerSecond': round(speed, 2)})}\n")


if __name__ == "__main__":
    main()
