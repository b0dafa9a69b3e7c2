"""Holds inference sessions of Petals' own client, as its stdin says, a line an order; each is answered by a line.

    python session_client.py MODEL_FOLDER DHT_PREFIX ADDRESS BLOCKS

``forward N`` computes N tokens without a session, and ``train N`` also their gradients. ``open`` opens a session over
the first BLOCKS blocks; ``step N`` computes N tokens in the newest, which opens it at the server; ``close`` closes the
newest; ``state`` tells what the DHT says of the first block's servers. What fails is answered with
``failed: REASON``.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
import torch
from petals import AutoDistributedModelForCausalLM
from petals.client.inference_session import InferenceSession
from petals.client.routing.sequence_manager import RemoteSequenceManager
from petals.utils.dht import get_remote_module_infos

folder, prefix, address, blocks = sys.argv[1:]
model: Any = AutoDistributedModelForCausalLM.from_pretrained(
    folder, initial_peers=[address], dht_prefix=prefix, torch_dtype=torch.float32, max_retries=1, update_period=3600
)
RemoteSequenceManager.on_request_failure = lambda *_: None  # to be refused by the same server again
sequence = model.transformer.h[: int(blocks)]
sessions: list[Any] = []


@torch.inference_mode(False)
def compute(count: int, *, with_gradients: bool) -> str:
    """Computes tokens without a session."""
    inputs = torch.zeros(1, count, model.config.hidden_size, requires_grad=with_gradients)
    outputs = sequence(inputs)
    if with_gradients:
        outputs.sum().backward()
        assert inputs.grad is not None
    return f"computed {outputs.shape[1]} tokens"


@torch.inference_mode()
def do(order: str, count: int = 0) -> str:
    """Does what a line says, and answers it."""
    if order in ("forward", "train"):
        return compute(count, with_gradients=order == "train")
    if order == "open":
        sessions.append(InferenceSession(sequence.sequence_manager, max_length=1024))
        return "opened"
    if order == "step":
        sessions[-1].step(torch.zeros(1, count, model.config.hidden_size))
        return f"stepped {count} tokens"
    if order == "close":
        sessions.pop().close()
        return "closed"
    [info] = get_remote_module_infos(sequence.sequence_manager.dht, [f"{prefix}.0"], latest=True)
    return " ".join(server.state.name for server in info.servers.values())


for line in sys.stdin:
    words = line.split()
    try:
        answer = do(words[0], *map(int, words[1:]))
    except Exception as error:
        answer = f"failed: {error}"
    sys.stdout.write(" ".join(answer.split()) + "\n")
    sys.stdout.flush()
os._exit(0)  # hivemind's objects print tracebacks when Python ends: their event loops are gone
