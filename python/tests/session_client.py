"""Opens an inference session, computes one step of 7 tokens, and closes it at a line on stdin."""

from __future__ import annotations

import sys

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
import torch
from petals import AutoDistributedModelForCausalLM

folder, prefix, address = sys.argv[1:]
model = AutoDistributedModelForCausalLM.from_pretrained(
    folder, initial_peers=[address], dht_prefix=prefix, torch_dtype=torch.float32, max_retries=2
)
with model.inference_session(max_length=16) as session, torch.inference_mode():
    session.step(torch.zeros(1, 7, model.config.hidden_size))
    sys.stdout.write("stepped 7 tokens\n")
    sys.stdout.flush()
    sys.stdin.readline()
