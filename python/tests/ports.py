from __future__ import annotations

import random
import socket


def free_port() -> int:
    """A port that nobody has, below those that the system gives to whoever asks for any: it stays free for a while."""
    while True:
        port = random.randrange(20_000, 30_000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
