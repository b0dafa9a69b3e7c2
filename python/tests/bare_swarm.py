"""Petals' own client in a bare loop: what swarm answers are measured against.

    python bare_swarm.py MODEL_FOLDER DHT_PREFIX ADDRESS...

Prints ``{"loadSeconds"}`` when it is connected. Then each line of stdin ``{"messages", "maxTokens"}`` is answered,
greedily and in an inference session of its own, with ``{"firstTokenSeconds", "tokensPerSecond", "tokens", "text"}``.
It calls the model itself: Petals' ``generate`` with a token at a time costs more.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

began = time.perf_counter()

from torbiz import petals_compat  # noqa: E402, F401  (its import is its effect; it must come before petals)

# isort: split
import torch  # noqa: E402
from petals import AutoDistributedModelForCausalLM  # noqa: E402
from transformers import AutoTokenizer  # noqa: E402


def say(**values: object) -> None:
    """Prints one line of JSON."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


@torch.inference_mode()
def answer(model: Any, tokenizer: Any, messages: list[dict[str, str]], most: int) -> None:
    """Answers one chat, and prints the answer with its times."""
    start = time.perf_counter()
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True)
    made: list[int] = []
    times: list[float] = []
    with model.inference_session(max_length=len(prompt) + most):
        tokens = prompt
        while len(made) < most and tokenizer.eos_token_id not in made[-1:]:
            hidden = model.transformer(torch.tensor([tokens])).last_hidden_state
            tokens = [int(model.lm_head(hidden[:, -1]).argmax())]
            made += tokens
            times.append(time.perf_counter())
    say(
        firstTokenSeconds=times[0] - start,
        tokensPerSecond=(len(made) - 1) / (times[-1] - times[0]) if len(made) > 1 else None,
        tokens=len(made),
        text=tokenizer.decode(made, skip_special_tokens=True, clean_up_tokenization_spaces=False),
    )


def main() -> None:
    """Runs the command."""
    folder, prefix, *addresses = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    model = AutoDistributedModelForCausalLM.from_pretrained(
        folder,
        local_files_only=True,
        initial_peers=addresses,
        dht_prefix=prefix,
        torch_dtype=torch.float32,
        show_route=False,
        max_retries=2,
    )
    say(loadSeconds=time.perf_counter() - began)
    for line in sys.stdin:
        question = json.loads(line)
        answer(model, tokenizer, question["messages"], question["maxTokens"])
    os._exit(0)  # hivemind's objects print tracebacks when Python ends: their event loops are gone


if __name__ == "__main__":
    main()
