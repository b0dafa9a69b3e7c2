"""The real seeder on a computer whose clock can be set.

python unsteady_seeder.py CLOCK_FILE SEEDER_OPTIONS...

By how many seconds it is off is in the file, as a double; what it says holds at once in all of the seeder's processes.
What it announces holds for a few seconds instead of minutes.
"""

from __future__ import annotations

import functools
import logging
import mmap
import os
import struct
import sys
import time
from pathlib import Path

with Path(sys.argv[1]).open("rb") as file:
    offset = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
true_time = time.time
time.time = lambda: true_time() + struct.unpack("d", offset[:8])[0]

from torbiz import petals_compat  # noqa: E402, F401  (its import is its effect; it must come before petals)

# isort: split
from petals.server.server import Server  # noqa: E402

from torbiz import seeder  # noqa: E402

Server.__init__ = functools.partialmethod(Server.__init__, update_period=3.0)

code = seeder.main(sys.argv[2:])
logging.shutdown()
os._exit(code)  # as the seeder's own end
