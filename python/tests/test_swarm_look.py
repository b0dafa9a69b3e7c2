"""Reading a real swarm: DHT nodes that announce blocks as Petals' servers do, and serve nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind.dht import DHT
from hivemind.utils import get_dht_time
from petals.client.routing.sequence_info import RemoteSequenceInfo
from petals.data_structures import ServerInfo, ServerState
from petals.utils.dht import declare_active_modules, get_remote_module_infos

from tests.prepare import PYTHON
from torbiz.status import Glance, Status, StatusFile
from torbiz.swarm_look import BlockRange, LookError, SwarmWatch, gaps, glance_at, look, read_swarm

BLOCKS = 22
VERSION = "2.2.0.post1"
LIMIT_SECONDS = 120


class LightPeer:
    """A DHT node that can announce blocks."""

    def __init__(self, first: LightPeer | None = None, **options: Any) -> None:
        self.dht = DHT(
            initial_peers=first and [first.address],
            host_maddrs=["/ip4/127.0.0.1/tcp/0"],
            num_workers=32,
            start=True,
            **options,
        )

    @property
    def address(self) -> str:
        return str(self.dht.get_visible_maddrs()[0])

    @property
    def id(self) -> str:
        return str(self.dht.peer_id.to_base58())

    def announce(
        self,
        prefix: str,
        start: int,
        end: int,
        state: ServerState = ServerState.ONLINE,
        *,
        throughput: float = 10.0,
        seconds: float = 120,
        **more: Any,
    ) -> None:
        info = ServerInfo(state=state, throughput=throughput, start_block=start, end_block=end, version=VERSION, **more)
        uids = [f"{prefix}.{block}" for block in range(start, end)]
        stored = declare_active_modules(self.dht, uids, info, get_dht_time() + seconds)
        assert all(stored.values())


@pytest.fixture(scope="module")
def peers() -> Iterator[list[LightPeer]]:
    first = LightPeer()
    others = [LightPeer(first) for _ in range(3)]
    yield [first, *others]
    for peer in [first, *others]:
        peer.dht.shutdown()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    """A model for each test: what others announced is not its own."""
    return "".join(char if char.isalnum() else "-" for char in request.node.name)


@pytest.fixture(scope="module")
def client(peers: list[LightPeer]) -> Iterator[DHT]:
    dht = DHT(initial_peers=[peers[0].address], client_mode=True, num_workers=32, start=True)
    yield dht
    dht.shutdown()


def bare_client(dht: DHT, prefix: str) -> RemoteSequenceInfo:
    """What Petals' client makes of the DHT: by this it finds its way (``RemoteSequenceManager._update``)."""
    uids = [f"{prefix}.{block}" for block in range(BLOCKS)]
    info = RemoteSequenceInfo.make_empty(uids)
    info.update_(get_remote_module_infos(dht, uids, latest=True))
    return info


def test_the_map_is_what_a_bare_client_reads(peers: list[LightPeer], client: DHT, prefix: str) -> None:
    peers[0].announce(prefix, 0, 12, public_name="first", using_relay=False)
    peers[1].announce(prefix, 8, 16, throughput=20.0, using_relay=True)
    peers[2].announce(prefix, 16, 18, ServerState.JOINING)
    swarm = read_swarm(client, prefix, BLOCKS)
    bare = bare_client(client, prefix)
    assert swarm.online == [len(spans) for spans in bare.spans_containing_block]
    assert swarm.online == [1] * 8 + [2] * 4 + [1] * 4 + [0] * 6
    online = [(server.start, server.end, server.peerId) for server in swarm.servers if server.state == "online"]
    assert online == sorted((span.start, span.end, span.peer_id.to_base58()) for span in bare.spans_by_priority)
    assert [asdict(server) for server in swarm.servers] == [
        {
            **{"peerId": peers[index].id, "name": name, "state": state, "start": start, "end": end},
            **{"throughput": throughput, "version": VERSION, "relayed": relayed},
        }
        for index, name, state, start, end, throughput, relayed in [
            (0, "first", "online", 0, 12, 10.0, False),
            (1, None, "online", 8, 16, 20.0, True),
            (2, None, "joining", 16, 18, 10.0, None),
        ]
    ]
    assert swarm.missing == [BlockRange(16, 22)]
    # Those that are joining will be there: the gap is what nobody is even about to serve.
    assert swarm.suggestion == BlockRange(18, 22)
    assert glance_at(swarm, peers[0].id) == Glance(1, [(1, 8), (2, 4), (1, 4), (0, 6)])
    assert glance_at(swarm, peers[3].id).peers == 2


def test_who_told_offline_has_gone(peers: list[LightPeer], client: DHT, prefix: str) -> None:
    peers[0].announce(prefix, 0, BLOCKS)
    peers[1].announce(prefix, 0, 4)
    assert read_swarm(client, prefix, BLOCKS).online[0] == 2
    peers[1].announce(prefix, 0, 4, ServerState.OFFLINE, seconds=180)
    swarm = read_swarm(client, prefix, BLOCKS)
    assert [server.peerId for server in swarm.servers] == [peers[0].id]
    assert swarm.online == [1] * BLOCKS


def test_who_says_nothing_more_is_forgotten(peers: list[LightPeer], client: DHT, prefix: str) -> None:
    peers[0].announce(prefix, 0, BLOCKS, seconds=15)
    assert read_swarm(client, prefix, BLOCKS).missing == []
    end = time.monotonic() + LIMIT_SECONDS
    while read_swarm(client, prefix, BLOCKS).servers:
        assert time.monotonic() < end
        time.sleep(0.5)
    assert read_swarm(client, prefix, BLOCKS).missing == [BlockRange(0, BLOCKS)]


def test_who_is_announced_and_does_not_answer_counts_for_nothing(
    peers: list[LightPeer], client: DHT, prefix: str
) -> None:
    dead = LightPeer(peers[0])
    dead_id = dead.id
    peers[0].announce(prefix, 0, 12, throughput=1.0)
    peers[1].announce(prefix, 8, 12)
    dead.announce(prefix, 10, BLOCKS, throughput=100.0)
    assert read_swarm(client, prefix, BLOCKS).missing == []
    dead.dht.shutdown()
    swarm = read_swarm(client, prefix, BLOCKS)
    states = {server.peerId: server.state for server in swarm.servers}
    assert states == {peers[0].id: "online", peers[1].id: "online", dead_id: "unreachable"}
    assert (swarm.missing, swarm.suggestion) == ([BlockRange(12, BLOCKS)], BlockRange(12, BLOCKS))
    assert glance_at(swarm, peers[0].id) == Glance(1, [(1, 8), (2, 4), (0, 10)])


def test_who_answers_that_it_takes_no_pings_is_there(peers: list[LightPeer], prefix: str) -> None:
    relayed = LightPeer(peers[0], client_mode=True)  # as Petals' servers behind a relay
    relayed.announce(prefix, 0, BLOCKS)
    [server] = read_swarm(peers[0].dht, prefix, BLOCKS).servers
    assert (server.peerId, server.state) == (relayed.id, "online")
    relayed.dht.shutdown()


def test_a_swarm_without_anybody_lacks_all_blocks(client: DHT, prefix: str) -> None:
    swarm = read_swarm(client, prefix, BLOCKS, fitting=5)
    assert (swarm.servers, swarm.online) == ([], [0] * BLOCKS)
    assert (swarm.missing, swarm.suggestion) == ([BlockRange(0, BLOCKS)], BlockRange(0, 5))


def test_the_suggestion_fills_the_widest_gap_as_far_as_it_fits(
    peers: list[LightPeer], client: DHT, prefix: str
) -> None:
    peers[0].announce(prefix, 2, 12)
    peers[1].announce(prefix, 16, BLOCKS)
    assert read_swarm(client, prefix, BLOCKS).missing == [BlockRange(0, 2), BlockRange(12, 16)]
    assert read_swarm(client, prefix, BLOCKS).suggestion == BlockRange(12, 16)
    assert read_swarm(client, prefix, BLOCKS, fitting=1).suggestion == BlockRange(0, 1)
    # Without a gap it is where the swarm is slowest.
    peers[2].announce(prefix, 0, 2, throughput=30.0)
    peers[3].announce(prefix, 12, 16, throughput=5.0)
    assert read_swarm(client, prefix, BLOCKS, fitting=4).suggestion == BlockRange(12, 16)


def test_nonsense_that_somebody_announces_is_left_out(peers: list[LightPeer], client: DHT, prefix: str) -> None:
    peers[0].announce(prefix, 0, 3, public_name="n" * 5000)
    uid = f"{prefix}.1"
    nonsense = ["text", (7, 1.0, {}), (2, -1.0, {}), (2, 1.0, {"start_block": 9, "end_block": 4})]
    for later, value in enumerate(nonsense):
        assert peers[1].dht.store(uid, value, get_dht_time() + 60 + later, subkey=peers[1].id)
        swarm = read_swarm(client, prefix, BLOCKS)
        assert [(server.peerId, server.start, server.end) for server in swarm.servers] == [(peers[0].id, 0, 3)]
        assert len(swarm.servers[0].name or "") == 80


def test_gaps_are_the_runs_of_zeros() -> None:
    assert gaps([]) == []
    assert gaps([0]) == [BlockRange(0, 1)]
    assert gaps([1, 0, 0, 2, 0]) == [BlockRange(1, 3), BlockRange(4, 5)]


def test_the_command_prints_the_map(peers: list[LightPeer], prefix: str) -> None:
    peers[0].announce(prefix, 0, 12)
    result = run_command("--dht-prefix", prefix, "--blocks", str(BLOCKS), "--initial-peer", peers[1].address)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["online"] == [1] * 12 + [0] * 10
    assert found["servers"][0]["peerId"] == peers[0].id
    assert found["missing"] == [{"start": 12, "end": 22}]
    assert [peer["address"] for peer in found["initialPeers"]] == [peers[1].address]
    assert found["initialPeers"][0]["answered"] is True
    assert abs(found["clockSkewSeconds"]) < 3
    assert set(found["seconds"]) == {"join", "read"}


def test_nobody_there_and_what_is_no_address_are_told_by_code() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    nobody = f"/ip4/127.0.0.1/tcp/{port}/p2p/QmfC7rrLzQFLoDbAwXNPJurRAA1PgTKzkwv38Xx3S7ScR2"
    for address, code in ((nobody, "swarm-unreachable"), ("/ip4/127.0.0.1/tcp/1", "swarm-invalid")):
        result = run_command("--dht-prefix", "m", "--blocks", "2", "--initial-peer", address)
        assert result.returncode == 1
        assert json.loads(result.stdout)["error"]["code"] == code
        assert "Traceback" not in result.stderr


def test_one_first_peer_of_two_is_enough(peers: list[LightPeer], prefix: str) -> None:
    gone = LightPeer(peers[0])
    address = gone.address
    gone.dht.shutdown()
    peers[0].announce(prefix, 0, 2)
    found = look([address, peers[0].address], prefix, 2, timeout=LIMIT_SECONDS)
    assert [peer["answered"] for peer in found["initialPeers"]] == [False, True]
    assert found["online"] == [1, 1]


@pytest.mark.parametrize("ahead", [12, -12])
def test_a_clock_that_differs_is_told_with_the_seconds(ahead: int, prefix: str) -> None:
    # The peer's process is forked with a clock of its own.
    with mock.patch("hivemind.dht.protocol.get_dht_time", side_effect=lambda: time.time() + ahead):
        peer = LightPeer()
    try:
        with pytest.raises(LookError) as failed:
            look([peer.address], prefix, BLOCKS, timeout=LIMIT_SECONDS)
    finally:
        peer.dht.shutdown()
    assert failed.value.code == "clock-skew"
    assert failed.value.clock_skew == pytest.approx(-ahead, abs=2)
    assert ("ahead of" if ahead < 0 else "behind") in str(failed.value)


def test_the_status_has_a_glance_once_it_is_online(peers: list[LightPeer], prefix: str, tmp_path: Path) -> None:
    peers[0].announce(prefix, 0, 12)
    peers[1].announce(prefix, 12, 22)
    status = StatusFile(tmp_path / "status.json", Status(stage="loading", model="m"))
    told: list[bool] = []
    with SwarmWatch(peers[0].dht, prefix, BLOCKS, status, told.append):
        time.sleep(2.5)
        assert status.status.swarm is None
        status.update(stage="online")
        end = time.monotonic() + LIMIT_SECONDS
        while status.status.swarm is None and time.monotonic() < end:
            time.sleep(0.1)
    assert json.loads((tmp_path / "status.json").read_text())["swarm"] == {"peers": 1, "coverage": [[1, 22]]}
    assert set(told) == {False}


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "torbiz.swarm_look", *arguments],
        env={**os.environ, "PYTHONPATH": str(PYTHON)},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
