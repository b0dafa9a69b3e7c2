"""The real seeder: Petals' own server with the real model, in a process of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests import tiny_llama
from tests.hub import Fault, HubStandIn, commit_of, hub
from tests.ports import free_port
from tests.prepare import PYTHON
from tests.warm import WarmProcess
from torbiz import memory
from torbiz.seeder import Handlers, parse_blocks, parse_options

PREFIX = "starter-test-hf"
BLOCKS = 30
LIMIT_SECONDS = 180
NOBODY = "http://127.0.0.1:9"
"""No hub is there: what needs none asks none."""
MEASURED: dict[str, bytes] = {}
"""Petals' own files of how fast this computer is with which model: each seeder has what those before it measured."""


class Seeder:
    """A seeder process, its status file and its log."""

    def __init__(
        self,
        folder: Path,
        model: Path | str,
        *options: str,
        port: int | None = None,
        announce: str | None = None,
        hub: str = NOBODY,
        program: Sequence[str] = ("-m", "torbiz.seeder"),
        measures: bool = False,
    ) -> None:
        """``model``: the folder of a prepared model, or what ``--model-path`` takes.

        ``measures``: it doesn't take over what another one has measured.
        """
        self.status_file = folder / "run" / "status.json"
        self.status_file.unlink(missing_ok=True)
        self.log_file = folder / "seeder.log"
        port = port or free_port()
        path = model if isinstance(model, str) else str(model / "petals")
        self.cache = folder / "cache"
        if not measures:
            self._bring_measured()
        announce = announce or f"/ip4/127.0.0.1/tcp/{port}"
        command = [
            *(*program, "--model", "starter", "--model-path", path),
            *("--dht-prefix", PREFIX, "--port", str(port), "--announce", announce),
            *("--cache-dir", str(self.cache), "--status-file", str(self.status_file), *options),
        ]
        with self.log_file.open("w") as log:
            self.process = WarmProcess(command, {**os.environ, "HF_ENDPOINT": hub}, log)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    @property
    def status(self) -> dict[str, Any]:
        try:
            value: dict[str, Any] = json.loads(self.status_file.read_text())
        except FileNotFoundError:
            return {"stage": "none"}
        return value

    def wait_for(self, fits: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        end = time.monotonic() + LIMIT_SECONDS
        while time.monotonic() < end:
            status = self.status
            if fits(status):
                return status
            if self.process.poll() is not None:
                pytest.fail(f"the seeder ended: {self.log}")
            time.sleep(0.05)
        pytest.fail(f"it never came: {self.status} {self.log}")

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=LIMIT_SECONDS)

    def _bring_measured(self) -> None:
        petals = self.cache / "petals"
        petals.mkdir(parents=True, exist_ok=True)
        for name, content in MEASURED.items():
            (petals / name).write_bytes(content)

    def clean_up(self) -> None:
        # In a container whatever is left ends with it; here nothing may stay of a seeder that was stopped half-way.
        self.process.kill_group()
        for file in (self.cache / "petals").glob("throughput_v*.json"):
            content = file.read_bytes()
            with suppress(ValueError):  # it was killed while it wrote
                json.loads(content)
                MEASURED[file.name] = content


class SessionClient:
    """A process with Petals' own client, which does what it is told."""

    def __init__(self, model: Path, address: str, blocks: int) -> None:
        script = Path(__file__).parent / "session_client.py"
        self.process = WarmProcess([str(script), str(model / "petals"), PREFIX, address, str(blocks)], os.environ)

    def do(self, order: str) -> str:
        self.process.stdin.write(order + "\n")
        return self.process.stdout.readline().strip()

    def end(self) -> None:
        self.process.kill_group()


@pytest.fixture
def start_seeder(tmp_path: Path, model: Path) -> Iterator[Callable[..., Seeder]]:
    started: list[Seeder] = []

    def begin(*options: str, model: Path | str = model, hub: str = NOBODY, measures: bool = False) -> Seeder:
        started.append(Seeder(tmp_path, model, *options, hub=hub, measures=measures))
        return started[-1]

    yield begin
    for seeder in started:
        seeder.clean_up()


def online(status: dict[str, Any]) -> bool:
    return bool(status["stage"] == "online")


def test_it_serves_all_blocks_then_tells_peers_and_ends(start_seeder: Callable[..., Seeder]) -> None:
    seeder = start_seeder("--new-swarm")
    status = seeder.wait_for(online)
    assert status["blocks"] == {"loaded": BLOCKS, "total": BLOCKS, "start": 0, "end": BLOCKS}
    assert status["addresses"][0].endswith(f"/p2p/{status['peerId']}")
    assert status["reachability"] == "local"
    assert status["throughput"] > 0

    assert seeder.end(signal.SIGINT) == 0
    assert seeder.status["stage"] == "stopped"
    stages = list(dict.fromkeys(re.findall(r"Stage: (\w+)", seeder.log)))
    assert stages == [
        *("starting", "connecting", "measuring", "joining", "loading", "online", "stopping", "stopped"),
    ]
    # Peers knew before anything was called online, and knew again before the end.
    log = seeder.log
    assert log.index("Announced ONLINE: blocks 0:30") < log.index("Stage: online")
    assert log.index("Announced OFFLINE: blocks 0:30") < log.index("Stage: stopped")
    assert "Traceback" not in log
    for line in log.splitlines():
        assert re.match(r"\d{4}-\d\d-\d\dT[\d:.]+Z (INFO|WARN|WARNING|ERROR) [\w.]+: \S", line), line


def test_the_peer_is_the_same_after_a_restart_that_goes_by_what_was_measured_and_sigterm_ends_it_too(
    monkeypatch: pytest.MonkeyPatch, start_seeder: Callable[..., Seeder]
) -> None:
    peers = []
    # What this start tells, and what the next finds as measured: two tokens a second through all blocks, then a half.
    for notices, following in ((None, BLOCKS * 2), ([], BLOCKS / 2), (["slow"], BLOCKS)):
        seeder = start_seeder("--new-swarm", "--blocks", "2")
        peers.append(seeder.wait_for(online)["peerId"])
        assert seeder.end(signal.SIGTERM) == 0
        assert "Announced OFFLINE" in seeder.log
        if notices is not None:
            assert seeder.status["notices"] == notices
        (file,) = (seeder.cache / "petals").glob("throughput_v*.json")
        figures = json.loads(file.read_bytes())
        for name, measured in figures.items():  # of each model that was served
            assert f" {memory.processor_limit():g} processors torch " in name
            measured["inference_rps"] = following
        monkeypatch.setitem(MEASURED, file.name, json.dumps(figures).encode())
    assert len(set(peers)) == 1


def test_it_serves_the_very_blocks_that_are_named_and_tells_what_the_swarm_has(
    start_seeder: Callable[..., Seeder],
) -> None:
    seeder = start_seeder("--new-swarm", "--blocks", "12:16")
    status = seeder.wait_for(online)
    assert status["blocks"] == {"loaded": 4, "total": 4, "start": 12, "end": 16}
    status = seeder.wait_for(lambda status: status["swarm"] is not None)
    assert status["swarm"] == {"peers": 0, "coverage": [[0, 12], [1, 4], [0, 14]]}
    assert seeder.end() == 0
    assert "Announced OFFLINE: blocks 12:16" in seeder.log
    assert "Traceback" not in seeder.log


def test_blocks_that_the_model_has_not_are_told_in_words(start_seeder: Callable[..., Seeder]) -> None:
    seeder = start_seeder("--new-swarm", "--blocks", "28:31")
    assert seeder.process.wait(timeout=LIMIT_SECONDS) == 1
    assert "ERROR torbiz.seeder: [blocks-invalid] starter has 30 blocks." in seeder.log


@pytest.mark.parametrize(("text", "blocks"), [("4", 4), ("12:16", range(12, 16)), ("0:1", range(0, 1))])
def test_blocks_are_a_number_or_a_range(text: str, blocks: int | range) -> None:
    assert parse_blocks(text) == blocks


@pytest.mark.parametrize("text", ["", "x", "4:4", "5:4", "-1:3", ":3", "3:", "1:2:3"])
def test_other_blocks_are_refused(text: str) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_options(["--model", "m", "--model-path", "m", "--dht-prefix", "m", "--port", "1", f"--blocks={text}"])
    assert ended.value.code == 2


STAGES = ("starting", "connecting", "measuring", "joining", "loading")


def test_a_handler_that_is_to_start_when_all_ends_does_not() -> None:
    started: list[str] = []

    class Handler:
        def start(self) -> None:
            started.append("handler")

    handlers = Handlers(Handler)
    Handler().start()
    handlers.end(for_good=False)  # it joins anew
    Handler().start()
    handlers.end(for_good=True)
    Handler().start()
    assert len(started) == 2


@pytest.mark.parametrize("told", [*(f"Stage: {stage}" for stage in STAGES), "Announced ONLINE"])
def test_it_can_be_stopped_while_it_starts(start_seeder: Callable[..., Seeder], told: str) -> None:
    seeder = start_seeder("--new-swarm", measures=told == "Stage: measuring")
    seeder.wait_for(lambda _: told in seeder.log)  # a stage may be over before the next look at the status
    assert seeder.end() == 0
    log = seeder.log
    assert "Traceback" not in log
    assert seeder.status["stage"] == "stopped"
    # What was announced was also taken back. In the first moments of joining nothing is announced yet.
    assert "Announced OFFLINE" in log or told not in ("Stage: loading", "Announced ONLINE")
    assert "Announced OFFLINE" in log or "Announced JOINING" not in log


STOPPED_IN_A_FORK = """
import functools, os, signal
# The first that is registered is called last, after which the process is forked at once: the signal comes in that fork.
os.register_at_fork(before=functools.partial(os.killpg, 0, signal.SIGINT))
import logging, threading, time
from torbiz.seeder import StopSignals
signals = StopSignals()
signals.install()
try:
    if os.fork() == 0:
        os._exit(0)
    assert signals.requested
    time.sleep(60)
except KeyboardInterrupt:
    signals.end_begins()
    other = threading.Thread(target=lambda: logging.getLogger("another").info("It can log"), daemon=True)
    other.start()
    other.join(20)
    print("stopped", "blocked" if other.is_alive() else "free")
"""


def test_a_stop_in_the_middle_of_a_fork_leaves_nothing_locked() -> None:
    command = [sys.executable, "-c", STOPPED_IN_A_FORK]
    ended = subprocess.run(command, cwd=PYTHON, capture_output=True, text=True, timeout=60, start_new_session=True)
    assert (ended.stdout, ended.stderr) == ("stopped free\n", "")


def test_what_it_serves_is_counted_told_and_kept(start_seeder: Callable[..., Seeder], model: Path) -> None:
    seeder = start_seeder("--new-swarm", "--blocks", "2")
    status = seeder.wait_for(online)
    assert (status["active"], status["served"], status["lastActivity"]) == (0, None, None)
    client = SessionClient(model, status["addresses"][0], 2)
    assert client.do("open") == "opened"
    assert client.do("step 7") == "stepped 7 tokens"
    seeder.wait_for(lambda status: (status["sessions"], status["active"], status["tokens"]) == (1, 1, 7))
    for _ in range(3):
        assert client.do("step 1") == "stepped 1 tokens"
    assert client.do("close") == "closed"
    status = seeder.wait_for(lambda status: (status["sessions"], status["active"], status["tokens"]) == (0, 0, 10))
    assert status["served"] > 0
    assert status["lastActivity"] >= status["since"]
    client.end()
    assert seeder.end() == 0
    [day] = json.loads((seeder.cache / "contribution.json").read_text())["days"].values()
    assert (day["sessions"], day["tokens"]) == (1, 10)
    assert day["onlineSeconds"] > 0
    assert day["blockSeconds"] == pytest.approx(2 * day["onlineSeconds"], abs=2)


def test_no_room_for_a_block_is_one_plain_line(start_seeder: Callable[..., Seeder], model: Path) -> None:
    config_file = model / "petals" / "config.json"
    config = config_file.read_text()
    huge = json.dumps({**json.loads(config), "hidden_size": 576 * 64, "intermediate_size": 1536 * 64})
    config_file.write_text(huge)
    try:
        seeder = start_seeder("--new-swarm")
        assert seeder.process.wait(timeout=LIMIT_SECONDS) == 1
    finally:
        config_file.write_text(config)
    assert "ERROR torbiz.seeder: [not-enough-memory] Not even one block of starter fits" in seeder.log
    assert "Traceback" not in seeder.log
    assert seeder.status["message"].startswith("Not even one block")


def test_a_swarm_that_does_not_answer_is_told_in_bounded_time(start_seeder: Callable[..., Seeder]) -> None:
    nobody = f"/ip4/127.0.0.1/tcp/{free_port()}/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2"
    seeder = start_seeder("--initial-peer", nobody)
    assert seeder.process.wait(timeout=LIMIT_SECONDS) == 1
    assert "[swarm-unreachable] None of the swarm's first peers answered." in seeder.log
    assert "Traceback" not in seeder.log


REPOSITORY = "maker/tiny-llama"


@pytest.fixture(scope="module")
def hub_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hub")
    tiny_llama.make(folder / REPOSITORY)
    return folder


@pytest.fixture
def stand_in(hub_folder: Path) -> Iterator[HubStandIn]:
    with hub(hub_folder) as stand_in:
        yield stand_in


def test_a_model_of_a_hub_is_downloaded_once_for_its_blocks(
    start_seeder: Callable[..., Seeder], stand_in: HubStandIn, hub_folder: Path
) -> None:
    stand_in.fail(Fault("*.safetensors", cut_after=1_000_000, times=1))
    seeder = start_seeder("--new-swarm", model=REPOSITORY, hub=stand_in.url)
    status = seeder.wait_for(online)
    assert status["blocks"] == {"loaded": 4, "total": 4, "start": 0, "end": 4}
    assert status["download"] is None
    assert status["message"] is None
    assert seeder.end() == 0
    stages = list(dict.fromkeys(re.findall(r"Stage: (\w+)", seeder.log)))
    assert stages[3:7] == ["joining", "downloading", "loading", "online"]
    assert re.search(rf"Stage: downloading 1/2 {tiny_llama.SHARDS[1]} \d+/\d+", seeder.log)
    assert "broke off. Trying again." in seeder.log

    # The next start asks nobody, wherever the branch is by now.
    stand_in.fail(Fault(silent_after=0))
    for options in ([], ["--revision", commit_of(hub_folder / REPOSITORY)]):
        seeder = start_seeder("--new-swarm", *options, model=REPOSITORY, hub=stand_in.url)
        seeder.wait_for(online)
        assert seeder.end() == 0
        assert "Traceback" not in seeder.log
    assert stand_in.requests == []


def test_only_the_files_of_its_blocks_come_and_a_stop_in_the_middle_is_at_once(
    start_seeder: Callable[..., Seeder], stand_in: HubStandIn, tmp_path: Path
) -> None:
    stand_in.fail(Fault("*.safetensors", bytes_per_second=300_000))
    seeder = start_seeder("--new-swarm", "--blocks", "2", model=REPOSITORY, hub=stand_in.url)
    status = seeder.wait_for(lambda status: (status.get("download") or {"done": 0})["done"] > 500_000)
    file = tiny_llama.SHARDS[0]
    assert status["stage"] == "downloading"
    assert (status["download"]["file"], status["download"]["files"], status["download"]["filesDone"]) == (file, 1, 0)
    assert seeder.end() == 0
    assert "Traceback" not in seeder.log
    assert "Announced OFFLINE" in seeder.log
    (partial,) = tmp_path.rglob("*.incomplete")
    came = partial.stat().st_size
    assert came > 400_000

    stand_in.fail()
    seeder = start_seeder("--new-swarm", "--blocks", "2", model=REPOSITORY, hub=stand_in.url)
    seeder.wait_for(online)
    assert [(request.file, request.range) for request in stand_in.requests if request.place == "store"] == [
        (file, f"bytes={came}-")
    ]


def test_the_way_to_the_hub_is_read_from_stdin_and_no_secret_is_logged(
    start_seeder: Callable[..., Seeder], stand_in: HubStandIn
) -> None:
    def told(**access: Any) -> Seeder:
        seeder = start_seeder("--new-swarm", "--hub-stdin", model=REPOSITORY, hub=access.pop("hub"))
        seeder.process.stdin.write(json.dumps({"proxies": {}, "authorities": "", **access}) + "\n")
        seeder.process.stdin.close()
        return seeder

    stand_in.state.token = "hf_canary0123456789"
    seeder = told(hub=stand_in.url, token=stand_in.state.token)
    seeder.wait_for(lambda status: status["stage"] == "connecting")  # it has the config
    assert seeder.end() == 0
    assert "hf_canary" not in seeder.log

    seeder = told(hub="http://models.test", proxies={"http": "socks5://me:canary-98765@127.0.0.1:9"})
    assert seeder.process.wait(timeout=LIMIT_SECONDS) == 1
    assert (
        "[hub-unreachable] models.test can't be reached: the proxy that is set isn't an http:// address." in seeder.log
    )
    assert "Traceback" not in seeder.log
    assert "canary" not in seeder.log + json.dumps(seeder.status)


def test_a_hub_that_refuses_is_one_plain_line_before_anything_is_joined(
    start_seeder: Callable[..., Seeder], stand_in: HubStandIn
) -> None:
    stand_in.state.token = "hf_other"
    seeder = start_seeder("--new-swarm", model=REPOSITORY, hub=stand_in.url)
    assert seeder.process.wait(timeout=LIMIT_SECONDS) == 1
    assert "ERROR torbiz.seeder: [model-gated] " in seeder.log
    assert f"Ask for access at {stand_in.url}/{REPOSITORY}" in seeder.log
    assert "Stage: connecting" not in seeder.log
    assert "Traceback" not in seeder.log
