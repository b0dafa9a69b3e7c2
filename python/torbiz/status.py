"""The seeder's status file: what a health check prints, and so what one ``docker inspect`` tells.

Docker keeps the first 4,096 bytes of a health check's output (moby, ``daemon/health.go``, ``maxOutputLen``); the file
stays under 2,048 so that it is never cut.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

Stage = Literal[
    "starting",
    "connecting",
    "measuring",
    "joining",
    "downloading",
    "loading",
    "checking",
    "online",
    "finishing",
    "stopping",
    "stopped",
]
Reachability = Literal["local", "direct", "relayed", "unreachable", "unknown"]
"""How peers reach a server: none has to, as it isn't open to others; as peers found out by trying; not known while
nobody is there who could try."""
Notice = Literal["unreachable", "relayed", "slow", "out-of-memory", "moved", "clock"]
"""What a person should know about a server that serves: no peer reaches it; peers reach it through relays only; it
would slow the swarm; a session found no room in its attention cache lately; it serves other blocks than at first; its
clock differs from those of most peers, so that they may not find it."""

logger = logging.getLogger("torbiz.status")

MAX_BYTES = 2048
HEARTBEAT_SECONDS = 5.0
"""How old ``time`` may get while nothing changes. A reader takes a much older one for a frozen seeder."""


@dataclass(frozen=True)
class Blocks:
    """The blocks this server serves: ``start`` (inclusive) to ``end`` (exclusive), ``loaded`` of them so far."""

    loaded: int
    total: int
    start: int
    end: int


@dataclass(frozen=True)
class Glance:
    """The swarm in few words: how many other servers are ONLINE, and how many ONLINE servers each block has.

    ``coverage`` is run-length coded: ``[(1, 12), (0, 4)]`` are 12 blocks with one server, then 4 with none.
    """

    peers: int
    coverage: list[tuple[int, int]]


@dataclass(frozen=True)
class Download:
    """A file that comes from a model hub: ``done`` of ``total`` bytes, after ``filesDone`` others of ``files``."""

    file: str
    done: int
    total: int
    files: int
    filesDone: int
    bytesPerSecond: int | None
    """None until it is known."""

    def describe(self) -> str:
        """One phrase: ``1/2 model-00001-of-00002.safetensors 1200000/3500000 at 250000`` (bytes, bytes a second)."""
        speed = "" if self.bytesPerSecond is None else f" at {self.bytesPerSecond}"
        return f"{self.filesDone}/{self.files} {self.file} {self.done}/{self.total}{speed}"


@dataclass(frozen=True)
class Status:
    """What the seeder says of itself. Times are ISO-8601 in UTC, speeds are tokens a second."""

    stage: Stage
    model: str
    time: str = ""
    message: str | None = None
    blocks: Blocks | None = None
    download: Download | None = None
    peerId: str | None = None
    addresses: list[str] = field(default_factory=list)
    reachability: Reachability = "unknown"
    sessions: int = 0
    """Open ones."""
    active: int = 0
    """Answers on their way: of these, and of others that only pass through this server."""
    tokens: int = 0
    throughput: float | None = None
    """As announced to peers, which choose by it."""
    served: float | None = None
    """As measured while serving: what one session got."""
    since: str | None = None
    lastActivity: str | None = None
    finishBy: str | None = None
    """When a finish breaks off what is still on its way."""
    notices: list[Notice] = field(default_factory=list)
    swarm: Glance | None = None
    """None while nobody knows."""

    def describe_stage(self) -> str:
        """The stage as one phrase, with how far it is: ``loading 3/30``."""
        if self.stage == "loading" and self.blocks is not None:
            return f"loading {self.blocks.loaded}/{self.blocks.total}"
        if self.stage == "downloading" and self.download is not None:
            return f"downloading {self.download.describe()}"
        return self.stage


def now() -> str:
    """The time as ``time_text`` writes it."""
    return time_text(time.time())


def time_text(seconds: float) -> str:
    """A time in seconds since 1970 as ISO-8601 to the millisecond: ``2026-01-31T12:00:00.000Z``."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _moved(text: str | None, seconds: float) -> str | None:
    return None if text is None else time_text(datetime.fromisoformat(text).timestamp() + seconds)


class StatusFile:
    """Keeps one status and its file in step: every change is written at once, and whole or not at all."""

    def __init__(self, path: Path, status: Status) -> None:
        self._path = path
        self._status = status
        self._lock = threading.RLock()
        self._set_back = 0.0
        self._written = 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        self.update()

    @property
    def status(self) -> Status:
        return self._status

    @property
    def age(self) -> float:
        """Seconds since the last ``update``, whatever the clock was set to meanwhile."""
        return time.monotonic() - self._written

    def move_times(self, seconds: float) -> None:
        """Takes times along with the clock, which was set by so much.

        What is to come stays as far ahead as it is. What was noted goes back with a clock that is set back, and returns
        with it. Further ahead a clock is set after a sleep, and that time did pass.
        """
        with self._lock:
            before, self._set_back = self._set_back, min(0.0, self._set_back + seconds)
            by = {"since": self._set_back - before, "lastActivity": self._set_back - before, "finishBy": seconds}
            self.update(**{name: _moved(getattr(self._status, name), far) for name, far in by.items()})

    def update(self, **changes: Any) -> None:
        """Changes the named fields and writes the file; without fields it only renews ``time``.

        A new stage is logged as well (``Stage: loading 3/30``): a log is followed at once, a health check every 5 s.
        """
        with self._lock:
            before, self._status = self._status, replace(self._status, **changes, time=now())
            if self._status.describe_stage() != before.describe_stage() or not before.time:
                logger.info("Stage: %s", self._status.describe_stage())
            text = self._render()
            aside = self._path.with_suffix(".new")
            aside.write_text(text, encoding="utf-8")
            aside.replace(self._path)
            self._written = time.monotonic()

    def _render(self) -> str:
        values = asdict(self._status)
        text = json.dumps(values, separators=(",", ":"))
        while len(text.encode()) > MAX_BYTES and values["addresses"]:
            values["addresses"].pop()  # a host with very many addresses: the first ones do
            text = json.dumps(values, separators=(",", ":"))
        if len(text.encode()) > MAX_BYTES:
            values["swarm"] = None  # a model of very many blocks: its map is read by itself
            text = json.dumps(values, separators=(",", ":"))
        if len(text.encode()) > MAX_BYTES and values["message"]:
            values["message"] = values["message"][:200]
            text = json.dumps(values, separators=(",", ":"))
        return text
