"""The ask server: answers questions over OpenAI's interface on a private unix socket.

    python -m torbiz.ask_server --socket FILE --lock FILE --log FILE --build ID
                                [--model FILE] [--idle-seconds 300] [--detach]

One server runs for each lock file; another that finds the lock taken exits with code 0, and its client uses the first.
It leaves after some idle minutes, on SIGTERM or SIGINT, on POST /torbiz/shutdown, and when its engine hangs. With
``--detach`` the server goes on in a session of its own, and the command ends when the server answers (0) or could not
start (1).
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import fcntl
import logging
import os
import signal
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import uvicorn

from torbiz import __version__
from torbiz.ask_api import AskApi, Identity
from torbiz.ask_engines import Engines
from torbiz.ask_jobs import Generations
from torbiz.bounded import run_bounded
from torbiz.logs import configure_logging

logger = logging.getLogger("torbiz.ask_server")

LOG_LIMIT = 1 << 20
LOG_KEPT = 1 << 18
GRACE_SECONDS = 3
"""For requests that run when the server is told to leave."""
END_SECONDS = 12.0
"""For everything after that. A swarm's client that can't be closed in time is killed."""


@dataclass(frozen=True)
class Options:
    """The command line."""

    socket: Path
    lock: Path
    log: Path
    build: str
    model: Path | None
    idle_seconds: float
    detach: bool


def parse_options(arguments: list[str]) -> Options:
    """Reads the command line; wrong ones end the process with code 2."""
    parser = argparse.ArgumentParser(prog="torbiz.ask_server", description="Answer questions.")
    parser.add_argument("--socket", type=Path, required=True, help="unix socket to listen on")
    parser.add_argument("--lock", type=Path, required=True, help="file that is locked while the server runs")
    parser.add_argument("--log", type=Path, required=True, help="log file")
    parser.add_argument("--build", default="", help="told by /health: stands for the server's code and packages")
    parser.add_argument("--model", type=Path, help="GGUF file that the first question will be for")
    parser.add_argument("--idle-seconds", type=float, default=300.0, help="leave after so long without a question")
    parser.add_argument("--detach", action="store_true", help="go on in the background; return when the server answers")
    return Options(**vars(parser.parse_args(arguments)))


def take_lock(path: Path) -> int | None:
    """The locked file's descriptor, or None when another server has it. The file tells the owner's process id."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return descriptor


def bind(path: Path) -> socket.socket:
    """A listening socket that only its owner can connect to.

    Call it with the lock held: then a file in the way is a dead server's.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listener.bind(str(path))
    finally:
        os.umask(before)
    listener.listen(64)
    return listener


def open_log(path: Path) -> None:
    """Sends standard output and error to the log file, and cuts off its oldest part when it has grown large."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
    size = os.fstat(descriptor).st_size
    if size > LOG_LIMIT:
        kept = os.pread(descriptor, LOG_KEPT, size - LOG_KEPT)
        os.ftruncate(descriptor, 0)
        os.write(descriptor, kept[kept.find(b"\n") + 1 :])
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    os.close(descriptor)


class Server(uvicorn.Server):
    """uvicorn's, which tells when it answers, and ends the generations before it leaves.

    :param ready: a descriptor to write one byte to when the server answers
    """

    def __init__(self, config: uvicorn.Config, generations: Generations, ready: int | None) -> None:
        super().__init__(config)
        self._generations = generations
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        tell(self._ready)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await self._generations.end_all()
        await super().shutdown(sockets)


async def serve(options: Options, listener: socket.socket, ready: int | None, engines: Engines) -> None:
    """Serves until told to leave or idle for long, then closes everything."""

    def stop() -> None:
        # uvicorn sees it a moment later. A question of this moment must not be taken and stopped.
        generations.leaving = True
        server.should_exit = True

    def leave_stuck() -> None:
        logger.error("Leaving: the engine hangs")
        stop()

    generations = Generations(engines, leave_stuck)
    api = AskApi(generations, Identity(options.build), lambda: engines.loaded, stop)
    config = uvicorn.Config(
        api.app(),
        log_config=None,
        access_log=False,
        lifespan="off",
        loop="none",
        http="h11",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config, generations, ready)

    async def leave_when_idle() -> None:
        while generations.idle_seconds < (limit := generations.idle_limit or options.idle_seconds):
            await asyncio.sleep(min(1.0, limit / 4))
        logger.info("Leaving: no question for %.0f s", limit)
        stop()

    if options.model:
        engines.prepare(options.model)
    idle = asyncio.create_task(leave_when_idle())
    try:
        await server.serve(sockets=[listener])
    finally:
        idle.cancel()
        # From here on a client must not find us any more: it starts the next server, which waits for our lock.
        options.socket.unlink(missing_ok=True)
        with suppress(Exception):
            await asyncio.to_thread(run_bounded, engines.discard, END_SECONDS)


def tell(ready: int | None) -> None:
    """Lets the one who waits in ``detach`` go."""
    if ready is not None:
        os.write(ready, b"1")
        os.close(ready)


def run(options: Options, ready: int | None) -> int:
    """The server's life. Returns its exit code."""
    lock = take_lock(options.lock)
    if lock is None:
        logger.info("Another server runs already")
        tell(ready)
        return 0
    open_log(options.log)
    # A crash of native code leaves its place there: names of functions and files, no values.
    faulthandler.enable()
    configure_logging()
    listener = bind(options.socket)
    logger.info("Starting: version %s, build %s, process %d", __version__, options.build, os.getpid())
    # uvicorn raises the signal that ended it once more when it is done: that must not cut the end short.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    engines = Engines(lock, options.socket)
    asyncio.run(serve(options, listener, ready, engines))
    engines.end_processes()
    logger.info("Stopped")
    return 0


def detach(options: Options) -> int:
    """Runs the server as a grandchild in a session of its own.

    Returns 0 when it answers (or another one has the lock), 1 when it ended before that.

    The caller gets to wait for a short-lived process, and the server belongs to init: nobody has to collect it.
    """
    receive, send = os.pipe()
    if os.fork() == 0:
        os.close(receive)
        os.setsid()
        if os.fork() == 0:
            end(run_logged(options, send))
        os._exit(0)
    os.close(send)
    os.wait()
    answer = os.read(receive, 1)
    return 0 if answer else 1


def run_logged(options: Options, ready: int | None) -> int:
    """``run``, with what nobody expected written to the log."""
    configure_logging()
    try:
        return run(options, ready)
    except Exception:
        logger.exception("The server failed")
        return 1


def end(code: int) -> None:
    """Leaves without Python's own end: hivemind's objects print tracebacks in it, as their event loops are gone."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Runs the command."""
    options = parse_options(sys.argv[1:])
    if options.detach:
        sys.exit(detach(options))
    end(run_logged(options, None))


if __name__ == "__main__":
    main()
