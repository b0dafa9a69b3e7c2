"""llama.cpp in a bare process, with the settings of ``torbiz.engines.local``: what its answers are measured against.

    python bare_llama.py MODEL_FILE

Prints ``{"importSeconds", "loadSeconds", "microBatch"}`` when the model is there. Then each line of stdin
``{"messages", "maxTokens"}`` is answered, greedily, with
``{"firstTokenSeconds", "tokensPerSecond", "tokens", "cachedTokens", "text"}``.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

began = time.perf_counter()

from torbiz.engines import local  # noqa: E402  (its time is what is measured)
from torbiz.engines.base import LocalModel  # noqa: E402


def say(**values: object) -> None:
    """Prints one line of JSON."""
    sys.stdout.write(json.dumps(values) + "\n")
    sys.stdout.flush()


def answer(server: Any, messages: list[dict[str, str]], most: int) -> None:
    """Answers one chat, and prints the answer with its times."""
    pieces: list[str] = []
    times: list[float] = []
    timings: dict[str, Any] = {}

    def take(chunk: str) -> bool:
        data = json.loads(chunk)
        timings.update(data.get("timings") or {})
        for choice in data["choices"]:
            if text := choice["delta"].get("content"):
                pieces.append(text)
                times.append(time.perf_counter())
        return False

    body = {"messages": messages, "stream": True, "temperature": 0, "max_tokens": most}
    start = time.perf_counter()
    server.handle_chat_completions(json.dumps(body), take)
    say(
        firstTokenSeconds=times[0] - start,
        tokensPerSecond=(len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else None,
        tokens=timings["predicted_n"],
        cachedTokens=timings["cache_n"],
        text="".join(pieces),
    )


def main() -> None:
    """Runs the command."""
    imported = time.perf_counter()
    server = local.load(local.parameters(LocalModel(Path(sys.argv[1]), None)))
    loaded = time.perf_counter()
    say(importSeconds=imported - began, loadSeconds=loaded - imported, microBatch=local.micro_batch())
    for line in sys.stdin:
        question = json.loads(line)
        answer(server, question["messages"], question["maxTokens"])


if __name__ == "__main__":
    main()
