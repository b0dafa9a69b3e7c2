"""The real seeder, which looks after its relay every second, and gives up and tries again just as soon.

python hasty_seeder.py SEEDER_OPTIONS...
"""

from __future__ import annotations

import functools
import logging
import os
import sys

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from torbiz import reach, seeder

reach.WATCH_SECONDS = 1.0
reach.RELAY_WATCH_SECONDS = 1.0
reach.wait_for_relay = functools.partial(reach.wait_for_relay, limit=20.0)
seeder.RETURN_SECONDS = 1.0

code = seeder.main(sys.argv[1:])
logging.shutdown()
os._exit(code)  # as the seeder's own end
