"""Serves blocks of a model in a Petals swarm until it is told to stop.

    python -m torbiz.seeder --model smollm2-135m-instruct --model-path /model --dht-prefix smollm2-135m-instruct-hf \
        --new-swarm --port 31330 --announce /ip4/127.0.0.1/tcp/31330

It runs Petals' own ``Server``. Around it: true stages in a status file, blocks planned from the memory that there is, a
stable identity, and a graceful end by SIGINT or SIGTERM at any moment: peers are told, exit code 0.

An expected failure is one log line ``ERROR torbiz.seeder: [code] sentence`` and exit code 1; the code is one of
Torbiz's error codes.
"""

from __future__ import annotations

import argparse
import functools
import gc
import json
import logging
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from torbiz import contribution, memory
from torbiz.counters import Counters
from torbiz.download_job import DownloadError
from torbiz.finishing import FINISH_SECONDS, Finish
from torbiz.hub import Hub
from torbiz.hub_download import ModelFiles, require_safetensors
from torbiz.logs import configure_logging
from torbiz.moving import Moves
from torbiz.serving import ServingReport, bound_messages, is_slow, watch_sessions
from torbiz.status import Blocks, Download, Status, StatusFile, now
from torbiz.web import Way

if TYPE_CHECKING:
    from torbiz.reach import Access

logger = logging.getLogger("torbiz.seeder")

NUM_HANDLERS = 4
"""Processes that take requests. Petals' default of 8 is meant for GPU servers; each costs memory and a share of the
CPU."""

FLOAT32_BYTES = 4
ATTN_CACHE_TOKENS = 8192
"""Tokens of attention cache a block, for all sessions together. Petals' default (16384) suits the memory of a GPU."""

NETWORK_BITS_PER_SECOND = 100e6
"""Assumed speed of the network: Petals' own default where its speed test fails. The test itself asks strangers'
servers."""

STOP_RETRY_SECONDS = 1.0
STDIN_SECONDS = 30.0
READ_SECONDS = 15.0
"""How long the swarm may take to tell what it knows."""
RETURN_SECONDS = 30.0
MOST_RETURN_SECONDS = 600.0
"""Between two tries to find a swarm that was lost, the first two and at most: each can load all blocks in vain."""


class SeederError(Exception):
    """A failure with a name: ``code`` is one of Torbiz's error codes, the text one sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Options:
    """What to serve, where and how."""

    model: str
    model_path: str
    """A folder, or the name of a repository on a model hub."""
    revision: str
    """Of the repository: a branch, tag or commit."""
    dht_prefix: str
    initial_peers: list[str] | None
    """None is the public swarm, an empty list a new swarm of one's own."""
    port: int
    announce: list[str]
    """Multiaddrs that peers are told; empty for those that Petals finds itself."""
    blocks: int | range | None
    """How many, or which; None for as many as fit."""
    max_disk_space: int | None
    """Bytes that all models fetched from a hub may take in the cache. None is all the disk has."""
    cache_dir: Path
    status_file: Path
    hub_from_stdin: bool
    finish_seconds: int
    """How long a finish lets answers on their way go on."""


def parse_options(arguments: list[str]) -> Options:
    """The command line as options; argparse ends the process for wrong ones, with exit code 2."""
    parser = argparse.ArgumentParser(prog="torbiz.seeder", description="Serve blocks of a model in a Petals swarm.")
    parser.add_argument("--model", required=True, help="name to report in the status")
    parser.add_argument("--model-path", required=True, help="folder of the model, or its repository on a hub")
    parser.add_argument("--revision", default="main", help="branch, tag or commit of the repository")
    parser.add_argument("--dht-prefix", required=True, help="name of the model's blocks in the DHT")
    swarm = parser.add_mutually_exclusive_group()
    swarm.add_argument("--new-swarm", action="store_true", help="start a swarm of one's own")
    swarm.add_argument("--initial-peer", action="append", metavar="ADDR", help="join by this peer (repeatable)")
    parser.add_argument("--port", type=int, required=True, help="TCP port to listen on")
    parser.add_argument("--announce", action="append", default=[], metavar="ADDR", help="multiaddr to tell peers")
    parser.add_argument(
        "--blocks", type=parse_blocks, help="blocks to serve: how many, or START:END (default: what fits)"
    )
    parser.add_argument("--max-disk-space", type=int, metavar="BYTES", help="disk for fetched blocks (default: all)")
    parser.add_argument("--cache-dir", type=Path, default=Path("/cache"))
    parser.add_argument("--status-file", type=Path, default=Path("/tmp/torbiz/status.json"))
    parser.add_argument(
        "--hub-stdin", action="store_true", help="read how to reach the model hub from stdin's first line (HubAccess)"
    )
    parser.add_argument(
        "--finish-seconds",
        type=int,
        default=FINISH_SECONDS,
        metavar="N",
        help="on SIGUSR1, how long answers may take to their end",
    )
    args = parser.parse_args(arguments)
    return Options(
        model=args.model,
        model_path=args.model_path,
        revision=args.revision,
        dht_prefix=args.dht_prefix,
        initial_peers=[] if args.new_swarm else args.initial_peer,
        port=args.port,
        announce=args.announce,
        blocks=args.blocks,
        max_disk_space=args.max_disk_space,
        cache_dir=args.cache_dir,
        status_file=args.status_file,
        hub_from_stdin=args.hub_stdin,
        finish_seconds=args.finish_seconds,
    )


def parse_blocks(text: str) -> int | range:
    """How many blocks ("4"), or which ("12:16": 12 to 15, as Petals' --block_indices)."""
    start, colon, end = text.partition(":")
    if not colon:
        return int(text)
    blocks = range(int(start), int(end))
    if not blocks or blocks.start < 0:
        raise ValueError
    return blocks


class StopSignals:
    """Turns SIGINT and SIGTERM into KeyboardInterrupt, the one thing on which Petals shuts down gracefully.

    The exception is lost where Python can't let one through (in destructors), so it is raised again every second until
    ``end_begins`` says that it arrived; from then on signals are ignored. It isn't raised while this process is forked:
    lost in a callback of ``os.register_at_fork``, it would leave what that was to release locked for ever, as the
    ``logging`` module for all other threads.

    Forked children ignore SIGINT and keep SIGTERM's default, by which Petals ends them; with the parent's handler they
    would print tracebacks instead of ending.
    """

    def __init__(self) -> None:
        self.requested = False
        self._ending = threading.Event()
        self._held = False
        self._forks: list[None] = []
        """As many as there are threads in a fork."""

    def install(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)
        # Without any Python of their own, at which the handler could run.
        forks, forked = functools.partial(self._forks.append, None), self._forks.pop
        os.register_at_fork(before=forks, after_in_parent=forked, after_in_child=self._reset_in_child)
        report = sys.unraisablehook
        # Destructors of what the exception left half-made complain: nobody can act on that, and the exception comes
        # again.
        sys.unraisablehook = lambda lost: None if self.requested else report(lost)
        # Petals' threads break on what is taken from under them at the end, as a request in a queue.
        report_thread = threading.excepthook
        threading.excepthook = lambda failed: None if self._ending.is_set() else report_thread(failed)

    def end_begins(self) -> None:
        self._ending.set()

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._ending.is_set():
            return
        if not self.requested:
            self.requested = True
            logger.info("Stopping: received %s", signal.Signals(number).name)
            threading.Thread(target=self._insist, args=(threading.get_ident(),), name="stop", daemon=True).start()
        if self._held or self._forks:
            return  # where it came by another thread, `_insist` sends it to this one, where it waits while held
        raise KeyboardInterrupt

    def _insist(self, main_thread: int) -> None:
        while not self._ending.wait(STOP_RETRY_SECONDS):
            signal.pthread_kill(main_thread, signal.SIGINT)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Puts a stop off until the block is over: for code that a signal, or the exception, would break."""
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        self._held = True
        try:
            yield
        finally:
            self._held = False
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})

    @staticmethod
    def _reset_in_child() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@dataclass
class Announcements:
    """What the DHT was really told: set by the results of Petals' own announcements."""

    announcer: Any = None
    until: float = 0.0
    """What was announced last expires then, in seconds since 1970."""
    joining: threading.Event = field(default_factory=threading.Event)
    online: threading.Event = field(default_factory=threading.Event)
    offline: threading.Event = field(default_factory=threading.Event)

    def of(self, state: Any) -> threading.Event:
        """The one of Petals' ``ServerState``."""
        return {"JOINING": self.joining, "ONLINE": self.online, "OFFLINE": self.offline}[state.name]

    def ensure_offline(self) -> None:
        """Announces OFFLINE where Petals had no chance to, for example when stopped between loading and serving."""
        if self.announcer is None or self.offline.is_set() or not self.announcer.is_alive():
            return
        from petals.data_structures import ServerState

        self.announcer.announce(ServerState.OFFLINE)

    def again(self) -> None:
        """Tells the swarm at once what it was told last: it may have forgotten."""
        if self.announcer is not None:
            self.announcer.trigger.set()


def main(arguments: list[str] | None = None) -> int:
    """Runs the seeder. The exit code is 0 after a stop, 1 after a failure; for wrong options argparse exits with 2."""
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    configure_logging()
    signals = StopSignals()
    signals.install()
    try:
        with signals.held():  # from the moment on that it tells of itself, a stop is told of as well
            status = StatusFile(options.status_file, Status(stage="starting", model=options.model))
            counters = Counters(NUM_HANDLERS)
            finish = Finish(options.finish_seconds, options.cache_dir, status, counters)
            finish.install()
        logger.info("Starting: model %s", options.model)
        access = read_access() if options.hub_from_stdin else HubAccess()
        configure_logging(secrets=access.secrets)
        serve(options, access, status, signals, counters, finish)
    except KeyboardInterrupt:
        signals.end_begins()
    except Exception as error:
        code, message = explain(error, is_public=options.initial_peers is None)
        if code == "unexpected":
            logger.exception("This was not expected")
        fail(status, code, message)
        return 1
    status.update(stage="stopped", sessions=0, active=0)
    logger.info("Stopped")
    return 0


@dataclass(frozen=True)
class HubAccess:
    """What the host knows of the way to the hub. It comes by stdin, as it may hold secrets."""

    token: str | None = None
    way: Way = field(default_factory=Way)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What no log may show."""
        logins = [proxy.split("://")[-1].rpartition("@")[0] for proxy in (self.way.proxies or {}).values()]
        return tuple({secret for secret in (self.token, *logins, *map(unquote, logins)) if secret})


def read_access() -> HubAccess:
    """From stdin's first line: ``{"token"?: "hf_…", "proxies": {"https": "http://…", "no": "…"}, "authorities": "…"}``.

    :raises SeederError: share-failed when nobody writes one, as after a bare ``docker start`` of the container
    """
    ready, _, _ = select.select([sys.stdin], [], [], STDIN_SECONDS)
    line = sys.stdin.readline() if ready else ""
    if not line:
        raise SeederError(
            "share-failed",
            "Nobody told how the model hub is reached. Share again with Torbiz instead of starting the container.",
        )
    told = json.loads(line)
    return HubAccess(told.get("token"), Way(told["proxies"], told["authorities"]))


def fail(status: StatusFile, code: str, message: str) -> None:
    """Tells a failure once in the log and leaves it in the status."""
    logger.error("[%s] %s", code, message)
    status.update(stage="stopped", message=message)


def serve(
    options: Options,
    access: HubAccess,
    status: StatusFile,
    signals: StopSignals,
    counters: Counters,
    finish: Finish,
) -> None:
    """Builds Petals' server and runs it until KeyboardInterrupt or the end of a finish.

    In the end peers are told and the status says so.
    """
    prepare_cache(options.cache_dir)
    # Importing torch and Petals takes seconds: only now, so that the status file is there and a stop is heard before.
    from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

    # isort: split
    import petals.server.server as petals_server
    import torch
    from hivemind.p2p import P2P

    configure_logging(secrets=access.secrets)  # again: the imports brought handlers of their own
    if threads := os.environ.get("OMP_NUM_THREADS"):
        torch.set_num_threads(int(threads))
    with signals.held():
        # Starts torch's manager of shared memory, which hivemind needs next: a signal at that moment leaves torch 2.13
        # in an endless loop (libshm's start_manager takes an interrupted read for an answer).
        torch.zeros(1).share_memory_()  # type: ignore[no-untyped-call]
    announcements = Announcements()
    report = ServingReport(counters, status, contribution.Contribution(options.cache_dir / contribution.FILE))
    with report:
        folder, bring_blocks = find_model(options, access, status)
        watch_petals(petals_server, status, announcements, signals, finish, report, bring_blocks)
        watch_sessions(petals_server.TransformerConnectionHandler, counters, finish)
        handlers = Handlers(petals_server.TransformerConnectionHandler)
        bound_messages(P2P)
        config = load_config(options, folder)
        blocks = plan_blocks(options, config)
        serving = (status, announcements, signals, counters, finish, report, handlers)
        Membership(options, folder, config, blocks, *serving).last()


@dataclass
class Membership:
    """The server's time in the swarm. Where peers lose the way to it, it joins anew, as after a cut of the network."""

    options: Options
    folder: Path
    config: Any
    blocks: int | range
    status: StatusFile
    announcements: Announcements
    signals: StopSignals
    counters: Counters
    finish: Finish
    report: ServingReport
    handlers: Handlers

    def last(self) -> None:
        """Until KeyboardInterrupt or the end of a finish. In the end peers are told and the status says so."""
        pause = RETURN_SECONDS
        try:
            again = self._serve()
            while again and not self.finish.wanted:
                logger.info("Joining the swarm anew")
                try:
                    again = self._serve()
                    pause = RETURN_SECONDS
                except Exception as error:
                    self._wait_unless_lasting(error, pause)
                    pause = min(2 * pause, MOST_RETURN_SECONDS)
        finally:
            self._end()
            if self.announcements.offline.is_set():
                logger.info("Peers were told that this server is offline")

    def _wait_unless_lasting(self, error: Exception, seconds: float) -> None:
        """Before the next try. A swarm that isn't there now may be later: this server has been in it.

        :raises Exception: the same, unless it can pass by itself
        """
        code, message = explain(error, is_public=self.options.initial_peers is None)
        if code not in PASSING:
            raise error
        logger.warning("Trying again in %.0f s: %s", seconds, message)
        self.status.update(stage="connecting", message=message)
        time.sleep(seconds)

    def _serve(self) -> bool:
        """From the search for a way in until there is none any more, which is True, or until a finish is over."""
        import petals.server.server as petals_server

        from torbiz import reach
        from torbiz.relay import Relay
        from torbiz.swarm_look import SwarmWatch

        options, status = self.options, self.status
        peers = public_peers() if options.initial_peers is None else options.initial_peers
        lost = threading.Event()
        server: Any = None
        gc.collect()  # the blocks of a server before
        status.update(stage="connecting")
        try:
            access = find_access(options, peers)
            reach.probe_enters_at(options.port)
            petals_server.validate_reachability = functools.partial(check_relays, access, status)
            server = petals_server.Server(
                initial_peers=peers,
                dht_prefix=options.dht_prefix,
                converted_model_name_or_path=str(self.folder),
                throughput="auto",
                num_blocks=self.blocks if isinstance(self.blocks, int) else None,
                block_indices=None if isinstance(self.blocks, int) else f"{self.blocks.start}:{self.blocks.stop}",
                num_handlers=NUM_HANDLERS,
                attn_cache_tokens=ATTN_CACHE_TOKENS,
                inference_max_length=ATTN_CACHE_TOKENS,
                torch_dtype="float32",
                device="cpu",
                cache_dir=str(options.cache_dir / "petals"),
                **place(options),
                **access.options,
                # A server that serves every block has nowhere to move to, so one alone need not wait before it chooses.
                mean_block_selection_delay=5 if peers else 0,
            )
            server.should_validate_reachability = bool(access.circuits)
            if self.folder != Path(options.model_path):
                # Petals tells it where it is given the repository itself.
                server.model_info.repository = f"https://huggingface.co/{options.model_path}"
            status.update(
                peerId=str(server.dht.peer_id),
                addresses=[str(address) for address in server.dht.get_visible_maddrs(latest=True)],
                reachability=access.reachability if not access.circuits else "unknown",
                throughput=round(float(server.server_info.throughput), 1),
                message=None,
            )
            model_blocks = self.config.num_hidden_layers
            self.report.is_slow = is_slow(server.server_info.inference_rps, model_blocks)
            self.finish.stop_serving = server.stop.set

            def leave() -> None:
                lost.set()
                server.stop.set()

            def tell_clock(differs: bool) -> None:
                self.report.clock_differs = differs

            def clock_was_set() -> None:
                self.announcements.again()
                swarm.again()

            relay: AbstractContextManager[None] = nullcontext()
            if access.relays:
                relay = Relay(server.dht, is_closing=lambda: self.finish.wanted)
                self.counters.relayed = relay.answers
            swarm = SwarmWatch(server.dht, server.dht_prefix, model_blocks, status, tell_clock)
            self.report.on_clock_set = clock_was_set
            with (
                swarm,
                relay,
                reach.ReachWatch(server, access, peers, status, on_return=self.announcements.again, on_lost=leave),
            ):
                server.run()
        finally:
            for_good = self.signals.requested or self.finish.wanted
            if for_good:
                self._end()
            elif lost.is_set():
                status.update(stage="connecting")  # from now on a finish is a stop
            with self.signals.held():  # half a shutdown would leave processes
                self.announcements.ensure_offline()
                self.handlers.end(for_good=for_good)
                if server is not None:
                    server.shutdown()
        return lost.is_set()

    def _end(self) -> None:
        self.signals.end_begins()
        self.status.update(stage="stopping")


class Handlers:
    """Petals' processes that answer peers.

    A thread of its own starts them, and a stop may meet it there: those that are left then, or begin only now, would
    complain of the DHT's end.
    """

    def __init__(self, handler_class: Any) -> None:
        self._class = handler_class
        self._starting = threading.Lock()
        self._over = False
        start = handler_class.start

        @functools.wraps(start)
        def start_unless_over(handler: Any) -> None:
            with self._starting:
                if not self._over:
                    start(handler)

        handler_class.start = start_unless_over

    def end(self, *, for_good: bool) -> None:
        """Ends those that are left, and for good also those that are to begin."""
        with self._starting:
            self._over = for_good
        for process in multiprocessing.active_children():
            if isinstance(process, self._class):
                process.kill()


def prepare_cache(folder: Path) -> None:
    """Makes the cache folder's rooms and points the hub's own cache into it.

    :raises SeederError: home-not-writable when the volume can't be written
    """
    os.environ["HF_HOME"] = str(folder / "huggingface")
    os.environ["PETALS_CACHE"] = str(folder / "petals")
    # What Petals is to read is brought before: it and its libraries have nothing to ask a hub.
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        for name in ("huggingface", "petals"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        identity = folder / "identity.key"
        if identity.exists() and identity.stat().st_size == 0:
            identity.unlink()  # left by a crash while it was written; p2pd can't start with it
    except OSError as error:
        raise SeederError("home-not-writable", f"The cache volume can't be written: {error.strerror}.") from error


def find_model(options: Options, access: HubAccess, status: StatusFile) -> tuple[Path, Callable[[range], None]]:
    """The model's folder with its config, and what brings the weights of blocks there.

    :raises DownloadError: what a hub refuses or doesn't answer, and a folder without safetensors
    """
    if Path(options.model_path).is_dir():
        require_safetensors(options.model, Path(options.model_path))
        return Path(options.model_path), lambda _: None

    def tell(download: Download | None) -> None:
        if status.status.stage not in ("joining", "downloading", "loading"):
            return  # the config and the index are small; and what comes for a move keeps nobody waiting
        status.update(stage="loading" if download is None else "downloading", download=download)

    def say(message: str | None) -> None:
        if message and not status.status.message:
            logger.warning("%s", message)
        status.update(message=message)

    files = ModelFiles(
        options.cache_dir / "petals",
        Hub(options.model_path, token=access.token, way=access.way, say=say),
        options.revision,
        tell=tell,
        say=say,
        max_disk_space=options.max_disk_space,
    )
    return files.open(), files.bring_blocks


def public_peers() -> list[str]:
    """Petals' own bootstrap peers."""
    from petals.constants import PUBLIC_INITIAL_PEERS

    return list(PUBLIC_INITIAL_PEERS)


def load_config(options: Options, folder: Path) -> Any:
    """The model's config (Petals' class for its architecture).

    :raises SeederError: model-unsupported for an architecture that Petals can't serve, model-broken for damaged files
    """
    from petals.utils.auto_config import AutoDistributedConfig

    try:
        return AutoDistributedConfig.from_pretrained(str(folder))
    except ValueError as error:
        raise SeederError("model-unsupported", f"Petals can't serve {options.model}: {first_line(error)}.") from error
    except OSError as error:
        raise SeederError("model-broken", f"The files of {options.model} can't be read.") from error


def weight_bytes(config: Any) -> int:
    """A block's weights in memory at float32, as ``petals.server.block_utils.get_block_size`` counts them.

    That one also makes a block's buffers without their memory. For that PyTorch 2.13 imports its whole compiler, which
    takes three seconds of a start.
    """
    from accelerate import init_empty_weights

    with init_empty_weights():
        block = config.block_class(config)
    values: int = sum(parameter.numel() for parameter in block.parameters())
    return round(values * FLOAT32_BYTES * 1.01)  # Petals' allowance for what else a block has


def plan_blocks(options: Options, config: Any) -> int | range:
    """The blocks to serve, or how many: as told, else all that fit into the container's memory.

    :raises SeederError: not-enough-memory when not even one fits, blocks-invalid for some that the model hasn't
    """
    weights = weight_bytes(config)
    cache_values = 2 * config.hidden_size * ATTN_CACHE_TOKENS // config.num_key_value_groups
    limit = memory.memory_limit()
    fitting = memory.blocks_that_fit(limit, weights, cache_values * FLOAT32_BYTES, config.num_hidden_layers)
    if isinstance(options.blocks, range):
        if options.blocks.stop > config.num_hidden_layers:
            raise SeederError("blocks-invalid", f"{options.model} has {config.num_hidden_layers} blocks.")
        wanted = len(options.blocks)
    else:
        wanted = min(options.blocks or fitting, config.num_hidden_layers)
    if wanted < 1:
        raise SeederError(
            "not-enough-memory",
            f"Not even one block of {options.model} fits into the {limit / 1e9:.1f} GB that the container has.",
        )
    if wanted > fitting:
        logger.warning("%d blocks were asked for, but only %d fit into %.1f GB", wanted, fitting, limit / 1e9)
    logger.info(
        "Serving %d of %d blocks: %.0f MB each in memory, %.1f GB in the container",
        wanted,
        config.num_hidden_layers,
        weights / 1e6,
        limit / 1e9,
    )
    return options.blocks if isinstance(options.blocks, range) else int(wanted)


def place(options: Options) -> dict[str, Any]:
    """Where the server listens and who it is, as Petals' ``Server`` takes it."""
    return {
        "host_maddrs": [f"/ip4/0.0.0.0/tcp/{options.port}"],
        "identity_path": str(options.cache_dir / "identity.key"),
    }


def find_access(options: Options, peers: Sequence[str]) -> Access:
    """By what way peers will come; those of a swarm that is joined are asked to try."""
    from torbiz import reach

    if options.initial_peers == []:
        return reach.access_to_own_swarm(options.announce)
    return reach.access_to_joined_swarm(peers, options.announce, **place(options))


def check_relays(access: Access, status: StatusFile, peer_id: Any) -> None:
    """Takes the place of Petals' own check, which asks one web site about servers of the public swarm only.

    :raises SeederError: not-reachable
    """
    from torbiz import reach

    status.update(stage="checking")
    if not reach.wait_for_relay(access.circuits, str(peer_id)):
        raise SeederError("not-reachable", "No peer can reach this computer, neither directly nor through a relay.")
    status.update(reachability=access.reachability)


def watch_petals(
    petals_server: Any,
    status: StatusFile,
    announcements: Announcements,
    signals: StopSignals,
    finish: Finish,
    report: ServingReport,
    bring_blocks: Callable[[range], None],
) -> None:
    """Lets Petals itself tell the stages, by the functions that ``petals.server.server`` (2.2.0.post1) calls in turn.

    Also leaves out its speed test, which asks servers outside the swarm: the network's speed is taken as
    ``NETWORK_BITS_PER_SECOND``; computing is measured as Petals does, once for a model, a number of processors and a
    version of PyTorch, and kept in the cache.
    """
    import petals.server.from_pretrained as petals_loading
    import petals.server.throughput as petals_throughput
    import torch
    from hivemind import get_dht_time
    from petals.data_structures import ServerState

    measure = petals_server.get_server_throughput

    def measure_here(model: str, *args: Any, **kwargs: Any) -> Any:
        status.update(stage="measuring")
        # Petals keeps the figure by this name alone, in a volume that outlives the limits it was measured with.
        # scripts/try-arm64.ts knows it, too.
        return measure(f"{model} {memory.processor_limit():g} processors torch {torch.__version__}", *args, **kwargs)

    def network_rps(config: Any) -> float:
        return NETWORK_BITS_PER_SECOND / (int(config.hidden_size) * 16)

    petals_throughput.measure_network_rps = network_rps
    petals_server.get_server_throughput = measure_here

    read_weights = petals_loading._load_state_dict_from_local_file

    def read_weights_whole(*args: Any, **kwargs: Any) -> Any:
        # Where the exception comes while safetensors makes a tensor, torch turns it into a ValueError, and Petals takes
        # the file for damaged and goes to the hub for another, for ever.
        with signals.held():
            return read_weights(*args, **kwargs)

    petals_loading._load_state_dict_from_local_file = read_weights_whole

    moves = Moves(petals_server.block_selection, bring_blocks, status)
    petals_server.block_selection = moves
    load_block = petals_server.load_pretrained_block

    def load_and_count(*args: Any, **kwargs: Any) -> Any:
        blocks = status.status.blocks
        if blocks is not None and blocks.loaded == 0:
            moves.bring(range(blocks.start, blocks.end))  # peers know by now that these blocks are coming
        block = load_block(*args, **kwargs)
        if blocks is not None:
            status.update(stage="loading", blocks=Blocks(blocks.loaded + 1, blocks.total, blocks.start, blocks.end))
        return block

    petals_server.load_pretrained_block = load_and_count

    declare = petals_server.declare_active_modules

    def declare_and_tell(dht: Any, uids: list[str], server_info: Any, expiration_time: float) -> Any:
        state = server_info.state
        if state == ServerState.OFFLINE and signals.requested:
            signals.end_begins()  # a second interruption would cut this announcement off
        # Of two announcements, the DHT takes that for the newer one which expires later. What was announced before the
        # clock was set back would stay for as long, even after the server has gone.
        announcements.until = max(expiration_time, announcements.until + 1)
        stored = declare(dht, uids, server_info, announcements.until)
        if not all(stored.values()):
            logger.warning("The swarm did not take the announcement %s of %d blocks", state.name, len(uids))
        elif not announcements.of(state).is_set():
            logger.info("Announced %s: blocks %d:%d", state.name, server_info.start_block, server_info.end_block)
            announcements.of(state).set()
        return stored

    petals_server.declare_active_modules = declare_and_tell

    announcer_class = petals_server.ModuleAnnouncerThread

    class KnownAnnouncer(announcer_class):  # type: ignore[misc,valid-type]
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            announcements.announcer = self
            for event in (announcements.joining, announcements.online, announcements.offline):
                event.clear()

        def run(self) -> None:
            announcements.until = max(announcements.until, announced_until(self.dht, self.module_uids[0]))
            super().run()
            # Petals' loop leaves without a word when it is to say OFFLINE while it still says something else.
            if not announcements.offline.is_set():
                until = get_dht_time() + self.expiration
                declare_and_tell(self.dht, self.module_uids, self.server_info, expiration_time=until)

    petals_server.ModuleAnnouncerThread = KnownAnnouncer

    container_class = petals_server.ModuleContainer

    class KnownContainer(container_class):  # type: ignore[misc,valid-type]
        @classmethod
        def create(cls, *, block_indices: Sequence[int], **kwargs: Any) -> Any:
            if finish.wanted:
                raise KeyboardInterrupt  # Petals was about to serve other blocks when the finish came
            blocks = Blocks(0, len(block_indices), min(block_indices), max(block_indices) + 1)
            before = status.status.blocks
            report.has_moved |= before is not None and (before.start, before.end) != (blocks.start, blocks.end)
            status.update(stage="joining", blocks=blocks)
            return super().create(block_indices=block_indices, **kwargs)

        def run_in_background(self, await_ready: bool = True, timeout: float | None = None) -> None:
            super().run_in_background(await_ready=await_ready, timeout=timeout)
            # Ready to compute; ready to share only once the swarm knows it.
            if not announcements.online.wait(timeout=60):
                super().shutdown()  # nobody else knows this container yet
                raise SeederError("swarm-unreachable", "The swarm did not take the announcement of our blocks.")
            status.update(stage="online", since=status.status.since or now())

        def shutdown(self) -> None:
            try:
                if finish.wanted and not signals.requested:
                    finish.wait(lambda: self.dht_announcer.announce(ServerState.OFFLINE))
            finally:
                if signals.requested or finish.wanted:
                    signals.end_begins()
                super().shutdown()

    petals_server.ModuleContainer = KnownContainer


def announced_until(dht: Any, uid: str) -> float:
    """When the swarm will forget what this server announced of a block, in seconds since 1970; 0 where it has."""
    try:
        found = dht.get(uid, latest=True, return_future=True).result(READ_SECONDS)
    except Exception as error:  # mostly there is nothing
        logger.warning("What the swarm knows of this server could not be read: %s", str(error) or type(error).__name__)
        return 0.0
    by_peer = found.value if found else None
    own = by_peer.get(dht.peer_id.to_base58()) if isinstance(by_peer, dict) else None
    return float(own.expiration_time) if own else 0.0


PASSING = (
    *("swarm-unreachable", "public-swarm-silent", "not-reachable"),
    *("clock-skew", "hub-unreachable", "port-in-use"),
)
"""Codes of failures that may pass by themselves, as after a computer has slept."""

NO_FIRST_PEER = (
    "bootstrap failed",
    "none of the initial_peers",
    "failed to connect to bootstrap",
    "failed to start in",
)
"""What hivemind says where no first peer answers, or none in time."""


def explain(error: Exception, *, is_public: bool = False) -> tuple[str, str]:
    """(code, sentence) of a failure that comes out of Petals or hivemind as a bare exception."""
    if isinstance(error, SeederError | DownloadError):
        return error.code, str(error)
    text = f"{type(error).__name__}: {error}"
    if any(words in text for words in NO_FIRST_PEER):
        if is_public:
            return "public-swarm-silent", "None of the first peers of Petals' public network answered."
        return "swarm-unreachable", "None of the swarm's first peers answered."
    if "within 3 seconds" in text or "local time" in text.lower():
        return "clock-skew", "This computer's clock differs from the swarm's by more than 3 seconds."
    if "address already in use" in text:
        return "port-in-use", "The port is in use inside the container."
    if isinstance(error, MemoryError) or "allocate memory" in text:
        return "not-enough-memory", "The container ran out of memory while it loaded the model."
    if isinstance(error, OSError) and error.errno == 28:
        return "disk-full", "No space is left on the cache volume."
    return "unexpected", first_line(error)


def first_line(error: BaseException) -> str:
    """An exception's words without what follows them, as the start of a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    sys.stdout.flush()
    # Petals leaves daemon threads and hivemind prints tracebacks from destructors at interpreter exit: the work is
    # done, peers were told, and the container's end takes the rest.
    os._exit(code)
