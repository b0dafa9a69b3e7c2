"""The real ask server, as a program, with other limits for swarms: SWARM_LIMITS names them, as JSON."""

from __future__ import annotations

import json
import os

from torbiz import ask_server
from torbiz.engines import swarm

if __name__ == "__main__":
    for name, value in json.loads(os.environ["SWARM_LIMITS"]).items():
        assert hasattr(swarm, name)
        setattr(swarm, name, value)
    ask_server.main()
