"""What the container really has of memory and processors, and how many blocks fit into it."""

from __future__ import annotations

import os
from pathlib import Path

import psutil

RUNTIME_BYTES = 1_200_000_000
"""What the seeder needs besides blocks: torch and Petals in the main process, the DHT, the handlers and pools forked
from it. Measured with 4 handlers on Linux x86_64 while it answered: 0.8 GB resident with 0.43 GB of weights loaded, so
some 0.4 GB; the rest is head-room for the activations of larger models and for more sessions at once."""

_CGROUP_LIMITS = ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes")
"""cgroup v2, then v1."""


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes of memory this process may use: the container's limit where one is set, else what the machine has."""
    total = int(psutil.virtual_memory().total)
    for name in _CGROUP_LIMITS:
        try:
            value = (root / name).read_text().strip()
        except OSError:
            continue
        if value.isdigit():
            return min(int(value), total)  # v1 says "no limit" by a number near 2**63
    return total


def processor_limit(root: Path = Path("/")) -> float:
    """Processors this process may use at a time: a part of what the machine has where the container's limit is less."""
    total = float(os.cpu_count() or 1)
    for folder, names in (("", ("cpu.max",)), ("cpu", ("cpu.cfs_quota_us", "cpu.cfs_period_us"))):
        try:
            texts = [(root / "sys/fs/cgroup" / folder / name).read_text() for name in names]
        except OSError:
            continue
        quota, period = " ".join(texts).split()
        if quota.isdigit():  # else "max", or -1
            return min(int(quota) / int(period), total)
    return total


def blocks_that_fit(memory_bytes: int, block_bytes: int, cache_bytes: int, model_blocks: int) -> int:
    """How many blocks fit, at most ``model_blocks``, possibly 0.

    :param memory_bytes: what the container has
    :param block_bytes: weights of one block in memory
    :param cache_bytes: attention cache of one block when it is full
    """
    free = memory_bytes - RUNTIME_BYTES
    return max(0, min(model_blocks, free // (block_bytes + cache_bytes)))
