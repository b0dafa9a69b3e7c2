"""The real seeder, which looks after its relay every second, and gives up and tries again just as soon.

python hasty_seeder.py SEEDER_OPTIONS...
"""

from __future__ import annotations

import itertools
import logging
import os
import sys
from collections.abc import Sequence

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from torbiz import reach, seeder

reach.WATCH_SECONDS = 1.0
reach.RELAY_WATCH_SECONDS = 1.0
limits = itertools.chain([60.0], itertools.repeat(20.0))  # the first has to come to be reached
wait_for_relay = reach.wait_for_relay


def wait_shorter(circuits: Sequence[str], peer_id: str, limit: float = 0.0) -> bool:
    return wait_for_relay(circuits, peer_id, next(limits, limit))


reach.wait_for_relay = wait_shorter
seeder.RETURN_SECONDS = 1.0

code = seeder.main(sys.argv[1:])
logging.shutdown()
os._exit(code)  # as the seeder's own end
