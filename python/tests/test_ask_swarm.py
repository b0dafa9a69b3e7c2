"""Asking through a real private swarm: Petals' own server with the real model, on loopback."""

from __future__ import annotations

import json
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from transformers import AutoTokenizer, LlamaForCausalLM

from tests import test_seeder
from tests.ask_process import LIMIT_SECONDS, AskServer, gone, wait_for
from tests.test_ask_server import closed_port
from tests.test_seeder import PREFIX, Seeder, online
from torbiz.engines.base import AskError, Cancelled, Delta, Finished, Message, Sampling, Stuck
from torbiz.engines.swarm import Swarm, SwarmClient, SwarmEngine, TokenChooser, ranges
from torbiz.processes import run_bounded

PROMPTS = [
    "What is the capital of France?",
    "Write a short story about a lighthouse keeper.",
    "Liste drei Städte in Österreich auf, mit Emoji 😀.",
]


def ask(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def seeder(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeder]:
    serving = Seeder(tmp_path_factory.mktemp("seeder"), model, "--new-swarm")
    serving.wait_for(online)
    yield serving
    serving.clean_up()


@pytest.fixture(scope="module")
def swarm(seeder: Seeder, model: Path) -> Swarm:
    return Swarm(model / "petals", PREFIX, tuple(seeder.status["addresses"]))


@pytest.fixture(scope="module")
def engine(swarm: Swarm) -> Iterator[SwarmEngine]:
    engine = SwarmEngine(swarm)
    yield engine
    engine.close()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_it_equals_transformers_token_for_token(engine: SwarmEngine, model: Path, prompt: str) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(model / "petals")
    reference: Any = LlamaForCausalLM.from_pretrained(model / "petals", torch_dtype=torch.float32)
    inputs = tokenizer.apply_chat_template(ask(prompt), add_generation_prompt=True, return_tensors="pt")
    expected = reference.generate(inputs, do_sample=False, max_new_tokens=48)[0, inputs.shape[1] :].tolist()

    pieces = list(engine.generate(ask(prompt), Sampling(max_tokens=48), never))
    *deltas, last = pieces
    assert [piece.token for piece in deltas if isinstance(piece, Delta)] == expected
    assert isinstance(last, Finished)
    assert (last.prompt_tokens, last.completion_tokens) == (inputs.shape[1], len(expected))
    assert last.reason == ("stop" if expected[-1] == tokenizer.eos_token_id else "length")
    assert "".join(piece.text for piece in pieces) == tokenizer.decode(expected, skip_special_tokens=True)


def test_every_token_is_computed_once(engine: SwarmEngine, seeder: Seeder) -> None:
    before = settled(seeder)
    last = list(engine.generate(ask(PROMPTS[0]), Sampling(max_tokens=6), never))[-1]
    assert isinstance(last, Finished)
    # The last token is made from the one before: it needn't be computed itself.
    computed = last.prompt_tokens + last.completion_tokens - 1
    wait_for(lambda: seeder.status["tokens"] >= before + computed)
    assert settled(seeder) == before + computed


def settled(seeder: Seeder) -> int:
    """The tokens that the seeder has computed, when nobody asks: its status follows within a second or two."""
    count = -1
    while count != seeder.status["tokens"] or seeder.status["sessions"] > 0:
        count = seeder.status["tokens"]
        time.sleep(3)
    return count


def test_a_stop_text_ends_the_answer(engine: SwarmEngine) -> None:
    pieces = list(engine.generate(ask(PROMPTS[0]), Sampling(stop=[" is P"]), never))
    assert "".join(piece.text for piece in pieces) == "The capital of France"
    assert isinstance(pieces[-1], Finished)
    assert pieces[-1].reason == "stop"


def test_a_seed_makes_a_random_answer_repeatable(engine: SwarmEngine) -> None:
    def answer(seed: int) -> str:
        sampling = Sampling(max_tokens=16, temperature=1.5, top_p=0.95, seed=seed)
        return "".join(piece.text for piece in engine.generate(ask(PROMPTS[1]), sampling, never))

    first = answer(1)
    assert answer(1) == first
    assert any(answer(seed) != first for seed in range(2, 5))


def test_too_long_a_question_is_refused_and_not_cut(engine: SwarmEngine) -> None:
    with pytest.raises(AskError) as failure:
        list(engine.generate(ask("word " * engine.context), Sampling(), never))
    assert failure.value.code == "prompt-too-long"
    assert str(engine.context) in str(failure.value)


def test_cancelling_ends_it_before_the_next_token(engine: SwarmEngine, seeder: Seeder) -> None:
    cancelled = threading.Event()
    pieces = engine.generate(ask(PROMPTS[1]), Sampling(max_tokens=64), cancelled.is_set)
    for _ in range(3):
        next(pieces)
    cancelled.set()
    with pytest.raises(Cancelled):
        next(pieces)
    wait_for(lambda: seeder.status["sessions"] == 0)


def test_top_p_leaves_only_the_likeliest() -> None:
    logits = torch.tensor([0.0, 5.0, 4.0, -3.0])
    for top_p, allowed in [(0.0, {1}), (0.5, {1}), (0.9, {1, 2}), (1.0, {0, 1, 2, 3})]:
        chosen = {TokenChooser(Sampling(temperature=2.0, top_p=top_p, seed=seed))(logits) for seed in range(300)}
        assert chosen <= allowed
        assert chosen == allowed or top_p == 1.0


def test_block_ranges_read_as_people_write_them() -> None:
    assert ranges([7]) == "7"
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2, 5, 7-8"


def test_missing_blocks_are_named_quickly(model: Path, tmp_path: Path) -> None:
    part = Seeder(tmp_path, model, "--new-swarm", "--blocks", "12")
    client = SwarmClient()
    try:
        served = part.wait_for(online)["blocks"]
        missing = ranges([block for block in range(30) if not served["start"] <= block < served["end"]])
        swarm = Swarm(model / "petals", PREFIX, tuple(part.status["addresses"]))
        started = time.monotonic()
        with pytest.raises(AskError) as failure:
            client.connect(swarm)
        assert failure.value.code == "missing-blocks"
        assert str(failure.value) == f"Nobody serves blocks {missing} of 30."
        assert time.monotonic() - started < 60
    finally:
        client.discard()
        part.clean_up()


def test_a_swarm_that_is_not_there_is_told_and_leaves_no_process(model: Path) -> None:
    before = p2pd_processes()
    peer = f"/ip4/127.0.0.1/tcp/{closed_port()}/p2p/QmcMt3iRThm49CZuZNDnqN5XhwQZKHfT1JZoJHNYQaaYn9"
    with pytest.raises(AskError) as failure:
        SwarmClient().connect(Swarm(model / "petals", PREFIX, (peer,)))
    assert failure.value.code == "swarm-unreachable"
    wait_for(lambda: p2pd_processes() <= before)


@pytest.fixture
def hung_loop() -> Iterator[None]:
    """The event loop that all engines of a process share, in a coroutine that doesn't let go."""
    release = threading.Event()

    async def hang() -> None:
        release.wait()

    hanging = RemoteExpertWorker.run_coroutine(hang(), return_future=True)
    yield
    release.set()
    hanging.result(LIMIT_SECONDS)


@pytest.mark.usefixtures("hung_loop")
def test_a_hung_loop_is_noticed_at_once(swarm: Swarm) -> None:
    with pytest.raises(Stuck):
        SwarmClient().connect(swarm)


def test_closing_tells_of_a_hung_loop(swarm: Swarm, request: pytest.FixtureRequest) -> None:
    before = p2pd_processes()
    client = SwarmClient()
    client.connect(swarm)
    assert p2pd_processes() > before
    request.getfixturevalue("hung_loop")
    with pytest.raises(Stuck):
        client.discard()
    wait_for(lambda: p2pd_processes() <= before)


def test_closing_ends_though_an_update_of_the_route_hangs(swarm: Swarm) -> None:
    before = p2pd_processes()
    engine = SwarmEngine(swarm)
    updates = engine._blocks._thread
    updates.start()  # as the first step does
    assert updates.ready.wait(LIMIT_SECONDS)
    process = psutil.Process(engine._blocks.dht.pid)
    process.suspend()
    updates.trigger.set()
    wait_for(lambda: not updates.trigger.is_set())
    run_bounded(engine.close, LIMIT_SECONDS)
    wait_for(lambda: gone(process) and p2pd_processes() <= before)


def p2pd_processes() -> set[int]:
    return {process.pid for process in psutil.process_iter(["name"]) if process.info["name"] == "p2pd"}


@pytest.fixture
def server(start_server: Callable[..., AskServer]) -> AskServer:
    server = start_server()
    server.wait_ready()
    return server


@pytest.fixture
def start_server() -> Iterator[Callable[..., AskServer]]:
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        started: list[AskServer] = []

        def begin(*options: str) -> AskServer:
            started.append(AskServer(Path(name), *options))
            return started[-1]

        yield begin
        for server in started:
            server.clean_up()


def body(swarm: Swarm, prompt: str = PROMPTS[0], **more: object) -> dict[str, object]:
    field = {
        "modelPath": str(swarm.model_path),
        "dhtPrefix": swarm.dht_prefix,
        "initialPeers": list(swarm.initial_peers),
    }
    return {"model": "starter", "messages": ask(prompt), "temperature": 0, "torbiz": field, **more}


def test_the_server_streams_and_answers_whole_with_the_same_text(server: AskServer, swarm: Swarm) -> None:
    status, whole = server.chat(body(swarm))
    assert status == 200
    assert whole["choices"][0] == {
        "index": 0,
        "message": {"role": "assistant", "content": "The capital of France is Paris."},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert whole["usage"]["total_tokens"] == whole["usage"]["prompt_tokens"] + whole["usage"]["completion_tokens"]

    events = list(server.stream(body(swarm, stream=True, stream_options={"include_usage": True})))
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert chunks[-1]["usage"] == whole["usage"]
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert "".join(choice["delta"].get("content", "") for choice in choices) == "The capital of France is Paris."
    assert [choice["finish_reason"] for choice in choices][-1] == "stop"
    assert [model["id"] for model in server.get("/v1/models")["data"]] == ["starter"]
    # A client that doesn't know the field "torbiz" is understood from now on.
    plain = {key: value for key, value in body(swarm).items() if key != "torbiz"}
    assert server.chat(plain)[0] == 200
    assert server.log.count("Loaded the client") == 1
    assert PROMPTS[0] not in server.log


def test_whoever_goes_away_ends_the_generation_and_the_next_is_answered(
    server: AskServer, swarm: Swarm, seeder: Seeder
) -> None:
    endless = body(swarm, PROMPTS[1], stream=True, max_tokens=4000)
    events = server.stream(endless)
    for _ in range(4):
        next(events)
    assert server.get("/health")["busy"]
    events.close()  # type: ignore[attr-defined]
    wait_for(lambda: not server.get("/health")["busy"])
    wait_for(lambda: seeder.status["sessions"] == 0)
    assert server.chat(body(swarm))[1]["choices"][0]["message"]["content"] == "The capital of France is Paris."


def test_a_second_question_waits_for_the_first(server: AskServer, swarm: Swarm) -> None:
    first = server.stream(body(swarm, PROMPTS[1], stream=True, max_tokens=24))
    next(first)
    answers: list[tuple[int, Any]] = []
    other = threading.Thread(target=lambda: answers.append(server.chat(body(swarm))))
    other.start()
    assert list(first)[-1] == "[DONE]"
    other.join(60)
    assert answers[0][0] == 200


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_process_stays_behind(server: AskServer, swarm: Swarm, number: signal.Signals) -> None:
    assert server.chat(body(swarm))[0] == 200
    processes = server.descendants()
    assert "p2pd" in [process.name() for process in processes]
    server.end(number)
    wait_for(lambda: all(gone(process) for process in processes))
    if number == signal.SIGTERM:
        assert "Traceback" not in server.log


def test_a_peer_that_hangs_is_given_up_when_nobody_waits_any_more(
    server: AskServer, swarm: Swarm, seeder: Seeder
) -> None:
    events = server.stream(body(swarm, PROMPTS[1], stream=True, max_tokens=4000))
    next(events)
    processes = [psutil.Process(seeder.process.pid), *psutil.Process(seeder.process.pid).children(recursive=True)]
    for process in processes:
        process.suspend()
    try:
        time.sleep(1)
        events.close()  # type: ignore[attr-defined]
        wait_for(lambda: not server.get("/health")["busy"])
    finally:
        for process in processes:
            process.resume()
    assert server.chat(body(swarm))[1]["choices"][0]["message"]["content"] == "The capital of France is Paris."


def test_a_seeder_that_went_and_came_back_is_found_again(
    server: AskServer, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = closed_port()
    monkeypatch.setattr(test_seeder, "free_port", lambda: port)
    seeder = Seeder(tmp_path, model, "--new-swarm")
    try:
        seeder.wait_for(online)
        address = seeder.status["addresses"][0]
        swarm = Swarm(model / "petals", PREFIX, (address,))
        assert server.chat(body(swarm))[0] == 200
        seeder.end()
        status, answer = server.chat(body(swarm))
        assert (status, answer["error"]["code"]) == (503, "swarm-unreachable")
    finally:
        seeder.clean_up()
    again = Seeder(tmp_path, model, "--new-swarm")
    try:
        again.wait_for(online)
        assert again.status["addresses"] == [address]
        status, answer = server.chat(body(swarm))
        assert status == 200, (answer, server.log)
    finally:
        again.clean_up()
