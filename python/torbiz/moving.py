"""Moves to other blocks, for a swarm that lacks them: not before their files are here.

Petals looks every few minutes whether the swarm would be better off with its server elsewhere. By itself it then gives
its blocks up, and only after that it learns whether the hub has the others: without a hub the share would end.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

from torbiz.download_job import DownloadError
from torbiz.status import StatusFile

logger = logging.getLogger("torbiz.moving")

MOMENT_SECONDS = 1.0
"""Files that are here are found in less."""


def without(infos: Sequence[Any], peers: Collection[Any]) -> list[Any]:
    """Petals' ``RemoteModuleInfo`` of each block, as if some servers had announced nothing."""
    return [
        dataclasses.replace(info, servers={peer: server for peer, server in info.servers.items() if peer not in peers})
        for info in infos
    ]


class Moves:
    """Petals' server's choice of blocks, in the place of ``petals.server.block_selection`` (2.2.0.post1).

    That itself stays as it is: others choose by it as well, and must not take what was prepared for a move.

    Args:
        selection: That module.
        bring_blocks: Brings the files of blocks; what is here costs nothing.
        status: Has the blocks that are served, and is told why others can't be.
    """

    def __init__(self, selection: Any, bring_blocks: Callable[[range], None], status: StatusFile) -> None:
        self._should_move = selection.should_choose_other_blocks
        self._choose = selection.choose_best_blocks
        self._bring = bring_blocks
        self._status = status
        self._guard = threading.Lock()
        self._bringing: threading.Thread | None = None
        self._here: range | None = None
        self._planned: list[int] | None = None
        self._said: str | None = None

    def bring(self, blocks: range) -> None:
        """Brings the files of blocks, one caller at a time.

        Raises:
            DownloadError: As ``ModelFiles.bring_blocks``.
            OSError: The folder can't be written.
        """
        with self._guard:
            self._bring(blocks)

    def should_choose_other_blocks(self, peer_id: Any, infos: Sequence[Any], balance_quality: float) -> bool:
        """Whether to give up the blocks that are served, now. Never waits for a hub: sessions and stops go on."""
        # Petals takes it for impossible that the swarm has forgotten this server, as after a cut of the network.
        is_known = any(peer_id in info.servers for info in infos)
        served = self._status.status.blocks
        if not is_known or served is None or not self._should_move(peer_id, infos, balance_quality):
            self._say(None)
            return False
        # What it would choose as soon as it has left.
        chosen = self._choose(served.total, without(infos, {peer_id}))
        blocks = range(chosen[0], chosen[-1] + 1)
        if blocks == range(served.start, served.end):
            return False
        if self._bringing is None or not self._bringing.is_alive():
            self._here = None
            self._bringing = threading.Thread(target=self._prepare, args=(blocks,), name="move", daemon=True)
            self._bringing.start()
            self._bringing.join(MOMENT_SECONDS)
        if self._here != blocks:
            return False  # Petals asks again
        self._planned = chosen
        return True

    def choose_best_blocks(self, count: int, infos: Sequence[Any]) -> list[int]:
        """The blocks that were prepared, where a move is under way; else as Petals does."""
        planned, self._planned = self._planned, None
        chosen: list[int] = planned or self._choose(count, infos)
        return chosen

    def _prepare(self, blocks: range) -> None:
        try:
            self.bring(blocks)
        except (DownloadError, OSError) as error:
            self._say(
                f"The swarm needs blocks {blocks.start} to {blocks.stop - 1} more than those served here, but their "
                f"files can't come: {error} Serving goes on as before."
            )
        else:
            self._say(None)
            self._here = blocks

    def _say(self, message: str | None) -> None:
        if message and message != self._said:
            logger.warning("%s", message)
        if message or self._said:
            self._status.update(message=message)
        self._said = message
