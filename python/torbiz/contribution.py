"""What this computer gave to others, day by day, in a small file beside the cached blocks.

    {"id": "5f0c...", "days": {"2026-01-31": {"sessions": 3, "tokens": 512, "onlineSeconds": 60, "blockSeconds": 1800}}}

Days are UTC. ``id`` is new with each file: the figures of two files (the volume was deleted, another engine is used)
are to be added up, those of two copies of one file are not.
"""

from __future__ import annotations

import json
import logging
import os
import time
import uuid
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

logger = logging.getLogger("torbiz.contribution")

FILE = "contribution.json"
SAVE_SECONDS = 60.0
"""What a kill loses at most."""
MAX_DAYS = 400
"""How many days stay in the file. The host keeps what it has copied for good."""


@dataclass
class Day:
    """One day's figures: sessions that began, tokens served (prompts included), and time online."""

    sessions: int = 0
    tokens: int = 0
    onlineSeconds: float = 0.0
    blockSeconds: float = 0.0
    """Time online multiplied by the number of blocks served."""


class Contribution:
    """Adds to the file's figures; writes them once a minute while they change, and by ``save``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._id, self._days = _read(path)
        self._saved = time.monotonic()
        self._unsaved = False

    def add(self, *, sessions: int = 0, tokens: int = 0, online_seconds: float = 0.0, blocks: int = 0) -> None:
        """Adds to today's figures.

        :param online_seconds: with so many ``blocks``
        """
        if sessions or tokens or online_seconds:
            day = self._days.setdefault(datetime.now(UTC).date().isoformat(), Day())
            day.sessions += sessions
            day.tokens += tokens
            day.onlineSeconds += online_seconds
            day.blockSeconds += online_seconds * blocks
            self._unsaved = True
        if time.monotonic() - self._saved >= SAVE_SECONDS:
            self.save()

    def save(self) -> None:
        """Writes the file, whole or not at all. A full disk is no reason to stop serving: it is tried again."""
        self._saved = time.monotonic()
        if not self._unsaved:
            return
        days = {name: asdict(self._days[name]) for name in sorted(self._days)[-MAX_DAYS:]}
        for day in days.values():
            day.update(onlineSeconds=round(day["onlineSeconds"]), blockSeconds=round(day["blockSeconds"]))
        aside = self._path.with_suffix(".new")
        try:
            with aside.open("w", encoding="utf-8") as file:
                json.dump({"id": self._id, "days": days}, file, separators=(",", ":"))
                file.flush()
                os.fsync(file.fileno())
            aside.replace(self._path)
            self._unsaved = False
        except OSError as error:
            logger.warning("What was contributed can't be written: %s", error.strerror)


def _read(path: Path) -> tuple[str, dict[str, Day]]:
    """The file's id and days; new ones where there is no file. A damaged one is set aside."""
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
        return str(value["id"]), {str(name): _day(figures) for name, figures in value["days"].items()}
    except FileNotFoundError:
        pass
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        aside = path.with_suffix(".damaged.json")
        logger.warning("%s is damaged (%s): it is kept as %s", path.name, type(error).__name__, aside.name)
        path.replace(aside)
    return uuid.uuid4().hex, {}


def _day(figures: dict[str, Any]) -> Day:
    """:raises ValueError: when something is no figure"""
    known = {field.name: figures.get(field.name, 0) for field in fields(Day)}
    if not all(isinstance(number, int | float) and number >= 0 for number in known.values()):
        raise ValueError
    return Day(**known)
