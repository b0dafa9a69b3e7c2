"""Compares what a swarm computes with what transformers computes here, from the same files.

    python compare_with_transformers.py MODEL_FOLDER DHT_PREFIX ADDRESS TEXT TOKENS

Prints one line of JSON. ``block`` is the first block's output for the text's embeddings, ``logits`` that of all blocks
for its last token: ``difference`` is the largest absolute one between the two, ``largest`` the largest absolute value
that transformers has. ``goesOn`` is how the text goes on, by TOKENS tokens at most, made greedily in an inference
session; ``expected`` is how transformers goes on.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
import torch
from petals import AutoDistributedModelForCausalLM
from transformers import AutoModelForCausalLM, AutoTokenizer

from torbiz.processes import ForkGuard, descendants, kill


def compare(found: torch.Tensor, expected: torch.Tensor, seconds: float) -> dict[str, float]:
    """How far two tensors are from each other."""
    return {
        "difference": float((found - expected).abs().max()),
        "largest": float(expected.abs().max()),
        "seconds": seconds,
    }


@torch.no_grad()
def main() -> None:
    """Runs the command."""
    folder, prefix, address, text, count = sys.argv[1:]
    guard = ForkGuard()
    here: Any = AutoModelForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)
    swarm: Any = AutoDistributedModelForCausalLM.from_pretrained(
        folder,
        initial_peers=[address],
        dht_prefix=prefix,
        torch_dtype=torch.float32,
        show_route=False,
        request_timeout=900,  # an emulated server is some hundred times slower than Petals expects
        max_retries=1,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = tokenizer(text, return_tensors="pt").input_ids

    expected = here(prompt, output_hidden_states=True)
    began = time.perf_counter()
    block = swarm.transformer.h[:1](expected.hidden_states[0])
    after_block = time.perf_counter()
    logits = swarm(prompt).logits[:, -1]
    after_logits = time.perf_counter()

    whole = here.generate(prompt, do_sample=False, max_new_tokens=int(count))
    began_session = time.perf_counter()
    made: list[int] = []
    with swarm.inference_session(max_length=prompt.shape[1] + int(count)):
        tokens = prompt
        while len(made) < int(count) and tokenizer.eos_token_id not in made[-1:]:
            hidden = swarm.transformer(tokens).last_hidden_state
            tokens = swarm.lm_head(hidden[:, -1]).argmax(-1, keepdim=True)
            made.append(int(tokens))
    report = {
        "client": f"{platform.machine()}, torch {torch.__version__}",
        "block": compare(block, expected.hidden_states[1], after_block - began),
        "logits": compare(logits, expected.logits[:, -1], after_logits - after_block),
        "goesOn": tokenizer.decode(made),
        "expected": tokenizer.decode(whole[0, prompt.shape[1] :]),
        "goesOnSeconds": time.perf_counter() - began_session,
    }
    sys.stdout.write(json.dumps(report) + "\n")
    sys.stdout.flush()
    kill(descendants(os.getpid()))
    del guard
    os._exit(0)  # hivemind's objects print tracebacks when Python ends: their event loops are gone


if __name__ == "__main__":
    main()
