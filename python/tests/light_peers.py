"""Many light peers in one process: DHT nodes that announce blocks as Petals' servers do, and serve nothing.

    python light_peers.py DHT_PREFIX BLOCKS

For each line of stdin, a number of peers, it starts more until there are so many, and prints ``{"peers", "seconds",
"address"}`` when all have announced. They announce again every minute, as Petals' servers do by default.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.dht import DHTNode
from hivemind.utils import get_dht_time
from petals.data_structures import ServerInfo, ServerState
from petals.utils.dht import _declare_active_modules

BLOCKS_EACH = 4
STARTED_AT_ONCE = 5
PATIENCE_SECONDS = 60.0
"""For a program to start and for a peer to answer: many at once on one computer have to wait for each other."""
ANNOUNCE_EVERY_SECONDS = 60.0
EXPIRATION_SECONDS = 600.0
"""Longer than Petals' own, which is twice the time between announcements: a busy computer must not thin the swarm."""


async def announce(node: DHTNode, number: int, prefix: str, blocks: int) -> None:
    """Announces a peer's blocks, which follow those of the peer before it round the model."""
    start = min(number * BLOCKS_EACH % blocks, blocks - BLOCKS_EACH)
    end = start + BLOCKS_EACH
    info = ServerInfo(
        state=ServerState.ONLINE, throughput=100.0, start_block=start, end_block=end, public_name=f"light {number}"
    )
    uids = [f"{prefix}.{block}" for block in range(start, end)]
    # Petals runs it in the process of a ``hivemind.DHT``: of that it asks for what a node has, too.
    stored = await _declare_active_modules(node, node, uids, info, get_dht_time() + EXPIRATION_SECONDS)
    assert all(stored.values()), stored


async def start(first: list[str], number: int, prefix: str, blocks: int) -> DHTNode:
    """A peer that has announced, and goes on announcing."""
    node = await DHTNode.create(
        initial_peers=first or None,
        host_maddrs=["/ip4/127.0.0.1/tcp/0"],
        num_workers=32,
        startup_timeout=PATIENCE_SECONDS,
        wait_timeout=PATIENCE_SECONDS,
        bootstrap_timeout=3,
    )
    await announce(node, number, prefix, blocks)

    async def go_on() -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_EVERY_SECONDS)
            await announce(node, number, prefix, blocks)

    tasks.add(asyncio.create_task(go_on()))
    return node


tasks: set[asyncio.Task[None]] = set()
"""asyncio itself holds tasks only weakly."""


async def main() -> None:
    """Grows the swarm as told until stdin ends."""
    prefix, blocks = sys.argv[1], int(sys.argv[2])
    nodes: list[DHTNode] = []
    first: list[str] = []
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        began = time.perf_counter()
        while len(nodes) < int(line):
            numbers = range(len(nodes), min(int(line), len(nodes) + (STARTED_AT_ONCE if nodes else 1)))
            nodes += await asyncio.gather(*(start(first, number, prefix, blocks) for number in numbers))
            first = first or [str(address) for address in await nodes[0].get_visible_maddrs()]
        seconds = time.perf_counter() - began
        sys.stdout.write(json.dumps({"peers": len(nodes), "seconds": seconds, "address": first[0]}) + "\n")
        sys.stdout.flush()
    for node in nodes:
        await node.shutdown()


if __name__ == "__main__":
    asyncio.run(main())
