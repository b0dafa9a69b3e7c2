"""Joins a swarm again and again, and reads its map.

    python look_often.py DHT_PREFIX BLOCKS PEERS ADDRESS JOINS LOOKS

Each of ``JOINS`` clients joins, reads the map first and then ``LOOKS`` times more. Prints the seconds that each took:
``{"join": [...], "first": [...], "again": [...]}``. A map without one of the ``PEERS`` ends it with an error.
"""

from __future__ import annotations

import json
import sys
import time

from torbiz.swarm_look import ask_first_peers, join, read_swarm

LIMIT_SECONDS = 120.0


def main() -> None:
    """Runs the command."""
    prefix, blocks, peers, address, joins, looks = sys.argv[1:]
    times: dict[str, list[float]] = {"join": [], "first": [], "again": []}
    for _ in range(int(joins)):
        began = time.perf_counter()
        dht = join([address], LIMIT_SECONDS)
        ask_first_peers(dht, [address], LIMIT_SECONDS)
        times["join"].append(time.perf_counter() - began)
        for look in range(int(looks) + 1):
            began = time.perf_counter()
            swarm = read_swarm(dht, prefix, int(blocks), timeout=LIMIT_SECONDS)
            times["again" if look else "first"].append(time.perf_counter() - began)
            assert len(swarm.servers) == int(peers), f"{len(swarm.servers)} of {peers} peers were found"
            assert sum(swarm.online) == sum(server.end - server.start for server in swarm.servers)
        dht.shutdown()
    sys.stdout.write(json.dumps(times) + "\n")


if __name__ == "__main__":
    main()
