"""A real server in a real swarm that needs other blocks: it moves when their files are there, and not before."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests import tiny_llama
from tests.hub import Fault, hub
from tests.test_seeder import PREFIX, Seeder, online

# isort: split
from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind import DHT, PeerID, get_dht_time
from petals.data_structures import RemoteModuleInfo, ServerInfo, ServerState
from petals.utils.dht import declare_active_modules

from torbiz.moving import Moves
from torbiz.status import Blocks, Status, StatusFile

REPOSITORY = "maker/tiny-llama"
FIRST, SECOND = tiny_llama.SHARDS
"""The files of blocks 0 and 1, and of blocks 2 and 3."""
PEER = PeerID(b"here")


def test_what_a_move_has_prepared_is_taken_by_nobody_else(tmp_path: Path) -> None:
    selection = SimpleNamespace(
        choose_best_blocks=lambda count, _infos: list(range(count)), should_choose_other_blocks=lambda *_: True
    )
    status = StatusFile(tmp_path / "status.json", Status("online", "starter", blocks=Blocks(2, 2, 2, 4)))
    moves = Moves(selection, lambda _: None, status)
    infos = [RemoteModuleInfo(f"{PREFIX}.{block}", {PEER: ServerInfo(ServerState.ONLINE, 1.0)}) for block in range(4)]
    assert moves.should_choose_other_blocks(PEER, infos, 0.75)
    assert selection.choose_best_blocks(1, infos) == [0]  # the glance at the swarm, between that and the move
    assert moves.choose_best_blocks(1, infos) == [0, 1]


def test_it_keeps_its_blocks_until_the_files_of_others_are_here(tmp_path: Path) -> None:
    tiny_llama.make(tmp_path / "hub" / REPOSITORY)
    program = (str(Path(__file__).parent / "restless_seeder.py"),)
    with hub(tmp_path / "hub") as stand_in:
        options = ("--new-swarm", "--blocks", "2")
        seeder = Seeder(tmp_path, REPOSITORY, *options, hub=stand_in.url, program=program)
        try:
            status = seeder.wait_for(online)
            assert (status["blocks"]["start"], status["blocks"]["end"]) == (0, 2)
            stand_in.fail(Fault(status=503))
            other = DHT(initial_peers=status["addresses"], start=True, client_mode=True)
            try:
                # Another server has the same blocks, and nobody has the rest.
                uids = [f"{PREFIX}.{block}" for block in (0, 1)]
                info = ServerInfo(ServerState.ONLINE, throughput=1000.0)
                declare_active_modules(other, uids, info, expiration_time=get_dht_time() + 600)

                kept = seeder.wait_for(lambda status: "Serving goes on as before" in (status["message"] or ""))
                assert kept["stage"] == "online"
                assert (kept["blocks"]["start"], kept["blocks"]["end"]) == (0, 2)
                assert kept["message"].startswith("The swarm needs blocks 2 to 3 more than those served here, but")
                assert f"Missing here of {REPOSITORY} at " in kept["message"]
                assert SECOND in kept["message"]
                assert "Announced OFFLINE" not in seeder.log

                stand_in.fail()
                moved = seeder.wait_for(lambda status: online(status) and status["blocks"]["start"] == 2)
                assert (moved["blocks"]["end"], moved["message"]) == (4, None)
                seeder.wait_for(lambda status: status["notices"] == ["moved"])  # told by the next report
                assert {request.file for request in stand_in.requests} == {SECOND}
                # Nothing came any more once the old blocks were given up.
                assert "Stage: downloading" not in seeder.log.partition("Announced OFFLINE")[2]
            finally:
                other.shutdown()
            assert seeder.end() == 0
            assert "Traceback" not in seeder.log
        finally:
            seeder.clean_up()
