"""The real seeder, which looks every second whether to move to other blocks, and soon gives a hub up.

python restless_seeder.py SEEDER_OPTIONS...
"""

from __future__ import annotations

import functools
import logging
import os
import sys

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from petals.server.server import Server

from torbiz import hub, seeder

Server.__init__ = functools.partialmethod(Server.__init__, mean_balance_check_period=0.5)
hub.Limits = functools.partial(hub.Limits, start=0.5, retry=0.1)  # type: ignore[assignment,misc]

code = seeder.main(sys.argv[1:])
logging.shutdown()
os._exit(code)  # as the seeder's own end
