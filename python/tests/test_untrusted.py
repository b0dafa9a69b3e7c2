"""What comes from others: models whose files are programs, and peers that ask for more than there is."""

from __future__ import annotations

import asyncio
import json
import pickle
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
from hivemind import MSGPackSerializer
from hivemind.p2p import P2P, PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import P2PHandlerError
from hivemind.proto import runtime_pb2
from petals.server.handler import TransformerConnectionHandler

from tests import tiny_llama
from tests.test_seeder import LIMIT_SECONDS, PREFIX, Seeder, SessionClient, online
from torbiz.counters import Counters, SessionRefused
from torbiz.engines.base import AskError, Swarm
from torbiz.engines.swarm import SwarmEngine
from torbiz.finishing import Finish
from torbiz.seeder import ATTN_CACHE_TOKENS
from torbiz.serving import MOST_PUSHES, MOST_REQUEST_BYTES, bound_messages, watch_sessions
from torbiz.status import Status, StatusFile

MIB = 1 << 20


class Canary:
    """Writes a file where somebody unpickles it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self._path,)


@pytest.fixture
def pickles(tmp_path: Path) -> Iterator[Path]:
    """A model's folder in which all weights are a pickle file that tells when it is loaded. It is not, by anybody."""
    folder, canary = tmp_path / "model" / "petals", tmp_path / "canary"
    tiny_llama.make(folder)
    for file in folder.glob("model*.safetensors*"):
        file.unlink()
    weights = folder / "pytorch_model.bin"
    weights.write_bytes(pickle.dumps(Canary(canary)))
    yield folder
    assert not canary.exists()
    with suppress(Exception):
        torch.load(weights, weights_only=False)
    assert canary.exists()  # as Petals and transformers load it


def as_safetensors_that_lead_to(name: str, folder: Path) -> None:
    """Gives a folder an index as safetensors have one, with another file's name in it."""
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"model.layers.0.w": name}}))


@pytest.mark.parametrize("index", [False, True])
def test_a_seeder_loads_no_pickles(pickles: Path, tmp_path: Path, index: bool) -> None:
    if index:
        as_safetensors_that_lead_to("pytorch_model.bin", pickles)
    seeder = Seeder(tmp_path, pickles.parent, "--new-swarm")
    try:
        assert seeder.process.wait(timeout=LIMIT_SECONDS) == 1
    finally:
        seeder.clean_up()
    assert ("[model-broken]" if index else "[model-unsupported]") in seeder.log
    assert ("which is no safetensors file" if index else "only as pickle files") in seeder.log
    assert "Traceback" not in seeder.log


@pytest.mark.parametrize("index", [False, True])
def test_a_client_loads_no_pickles(pickles: Path, index: bool) -> None:
    if index:
        as_safetensors_that_lead_to("pytorch_model.bin", pickles)
    with pytest.raises(AskError) as refused:
        SwarmEngine(Swarm(pickles, PREFIX, ()))
    assert refused.value.code == ("model-broken" if index else "model-unsupported")


@pytest.fixture(scope="module")
def seeder(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Seeder]:
    """Serves two blocks."""
    seeder = Seeder(tmp_path_factory.mktemp("limits"), model, "--new-swarm", "--blocks", "2")
    try:
        seeder.wait_for(online)
        yield seeder
    finally:
        seeder.clean_up()


class Growth:
    """By how many bytes the memory of a seeder's processes grew at most while the block ran."""

    def __init__(self, seeder: Seeder) -> None:
        self._process = psutil.Process(seeder.process.pid)
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._before = self._now()
        self.bytes = 0

    def _now(self) -> int:
        total = 0
        for process in (self._process, *self._process.children(recursive=True)):
            with suppress(psutil.NoSuchProcess):
                total += process.memory_info().rss
        return total

    def _watch(self) -> None:
        while not self._end.wait(0.05):
            self.bytes = max(self.bytes, self._now() - self._before)

    def __enter__(self) -> Growth:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


def refusal(seeder: Seeder, call: Callable[[Any], Any]) -> str:
    """What a peer hears that sends what Petals' own client never sends."""

    async def ask() -> str:
        answers = 0
        address = seeder.status["addresses"][0]
        p2p = await P2P.create(initial_peers=[address], host_maddrs=["/ip4/127.0.0.1/tcp/0"])
        try:
            stub = TransformerConnectionHandler.get_stub(p2p, PeerID.from_base58(address.rpartition("/")[2]))
            async for _ in await call(stub):
                answers += 1
        except P2PHandlerError as error:
            return str(error)
        except Exception as error:  # a stream that the other side has closed
            return type(error).__name__
        finally:
            await p2p.shutdown()
        return "answered" if answers else "closed without a word"  # which may overtake the refusal

    return asyncio.run(asyncio.wait_for(ask(), LIMIT_SECONDS))


def endless_tensor(sent: list[int]) -> AsyncIterator[Any]:
    """A tensor that comes in parts and is many times larger than there is room for."""

    async def parts() -> AsyncIterator[Any]:
        count = 8 * MOST_REQUEST_BYTES // MIB
        head = {"dtype": "float32", "size": [1, count * MIB // 4 // 576, 576], "chunks": count}
        for number in range(count):
            tensor = runtime_pb2.Tensor(buffer=bytes(MIB), **(head if number == 0 else {}))
            yield runtime_pb2.ExpertRequest(uid=f"{PREFIX}.0", tensors=[tensor])
            sent.append(MIB)

    return parts()


@pytest.mark.parametrize("name", ["rpc_forward_stream", "rpc_backward_stream"])
def test_a_request_that_does_not_end_is_refused_before_it_fills_memory(seeder: Seeder, model: Path, name: str) -> None:
    sent: list[int] = []
    with Growth(seeder) as growth:
        assert refusal(seeder, lambda stub: getattr(stub, name)(endless_tensor(sent))) != "answered"
    assert sum(sent) < 4 * MOST_REQUEST_BYTES
    assert growth.bytes < 3 * MOST_REQUEST_BYTES
    assert "has no room for so much at once" in seeder.log
    assert "Traceback" not in seeder.log

    client = SessionClient(model, seeder.status["addresses"][0], 2)
    try:
        for _ in range(3):  # the room is there again
            assert client.do("train 600") == "computed 600 tokens"
    finally:
        client.end()


def test_a_part_of_a_stream_is_refused_by_the_length_that_it_claims() -> None:
    class Daemon(P2P):  # type: ignore[misc]
        """hivemind's own class stays as it is."""

    async def receive(length: int, data: bytes) -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(length.to_bytes(P2P.HEADER_LEN, P2P.BYTEORDER) + data)
        received: bytes = await asyncio.wait_for(Daemon.receive_raw_data(reader), timeout=30)
        return received

    bound_messages(Daemon)
    assert asyncio.run(receive(5, b"words and more")) == b"words"
    with pytest.raises(SessionRefused):
        asyncio.run(receive(MOST_REQUEST_BYTES + 1, b""))


async def session(batch: int, length: int) -> AsyncIterator[Any]:
    """Opens one, for so many sequences of so many tokens."""
    tensor = runtime_pb2.Tensor(dtype="float32", size=[batch, 1, 576])
    metadata = MSGPackSerializer.dumps({"max_length": length})
    yield runtime_pb2.ExpertRequest(uid=f"{PREFIX}.0", tensors=[tensor], metadata=metadata)
    await asyncio.sleep(LIMIT_SECONDS)  # who still writes may find a closed stream in the refusal's place


@pytest.mark.parametrize("length", [ATTN_CACHE_TOKENS + 1, 1 << 40])
def test_a_session_gets_no_more_memory_than_there_is_for_all(seeder: Seeder, length: int) -> None:
    with Growth(seeder) as growth:
        assert "Cannot allocate KV cache" in refusal(seeder, lambda stub: stub.rpc_inference(session(1, length)))
    assert growth.bytes < 64 * MIB
    assert "out-of-memory" not in seeder.status["notices"]  # nobody could have taken it


def test_a_session_that_finds_no_room_gets_none_and_the_status_says_so(seeder: Seeder) -> None:
    with Growth(seeder) as growth:
        words = refusal(seeder, lambda stub: stub.rpc_inference(session(100_000, ATTN_CACHE_TOKENS)))
        assert "Could not allocate" in words
    assert growth.bytes < 64 * MIB
    seeder.wait_for(lambda status: "out-of-memory" in status["notices"])


def test_what_is_pushed_into_a_session_is_not_piled_up(tmp_path: Path) -> None:
    class Handler(TransformerConnectionHandler):  # type: ignore[misc]
        def __init__(self) -> None:
            self._handler_index, self._handler_event_queues = 0, [None]
            self._session_queues: dict[str, Any] = {}
            self._session_handlers: dict[str, int] = {}

    counters = Counters(1)
    status = StatusFile(tmp_path / "status.json", Status(stage="online", model="m"))
    watch_sessions(Handler, counters, Finish(1, tmp_path, status, counters))
    handler = Handler()
    with handler._managed_session("one"):
        queue = handler._session_queues["one"]
        for number in range(10 * MOST_PUSHES):
            handler._put_into_session_queue("one", number)
        assert [queue.get_nowait() for _ in range(queue.qsize())] == list(range(MOST_PUSHES))
        for number in range(10 * MOST_PUSHES):
            handler._put_into_session_queue("one", number)
    assert queue.qsize() == MOST_PUSHES + 1  # and Petals' mark of the end
    assert handler._session_queues == {}
