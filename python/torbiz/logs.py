"""One line a fact: the log format of the seeder and the ask server."""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO

FORMAT = "%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s"


class OneLineFormatter(logging.Formatter):
    """Times in UTC, every record on a line of its own, and secrets blanked out.

    A traceback keeps its lines, as it is only logged for what nobody expected.
    """

    converter = staticmethod(time.gmtime)

    def __init__(self, secrets: tuple[str, ...] = ()) -> None:
        super().__init__(FORMAT, datefmt="%Y-%m-%dT%H:%M:%S")
        self._secrets = tuple(secret for secret in secrets if secret)

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = " ".join(record.message.split("\n"))
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text


def _told_already(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith("Announced that blocks")


def configure_logging(*, secrets: tuple[str, ...] = (), stream: TextIO | None = None) -> None:
    """Sends everything of level INFO and up to ``stream`` (stderr by default), and nothing anywhere else.

    hivemind and transformers bring handlers of their own; those are taken away so that each fact is told once.
    """
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(OneLineFormatter(secrets))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("hivemind", "petals", "transformers"):
        logger = logging.getLogger(name)
        logger.handlers = []
        logger.propagate = True
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    # Told by the stages already, or of no use to anybody.
    logging.getLogger("petals.server.from_pretrained").setLevel(logging.WARNING)
    logging.getLogger("petals.models.llama.config").setLevel(logging.WARNING)
    logging.getLogger("petals.server.server").addFilter(_told_already)
    # asyncio reports every closed peer connection as an error: Petals silences it the same way.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
