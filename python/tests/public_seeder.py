"""The real seeder, where other peers stand in for the first ones of Petals' public network.

    python public_seeder.py PEERS RELAY_SECONDS SEEDER_OPTIONS...

PEERS: multiaddrs, with commas between them. RELAY_SECONDS: how long it waits for a relay.
"""

from __future__ import annotations

import functools
import logging
import os
import sys

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
import petals.constants

from torbiz import reach, seeder

peers, relay_seconds, *options = sys.argv[1:]
petals.constants.PUBLIC_INITIAL_PEERS[:] = peers.split(",")
reach.wait_for_relay = functools.partial(reach.wait_for_relay, limit=float(relay_seconds))

code = seeder.main(options)
logging.shutdown()
os._exit(code)  # as the seeder's own end
