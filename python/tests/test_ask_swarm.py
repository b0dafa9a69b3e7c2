"""Asking through a real private swarm: Petals' own server with the real model, on loopback."""

from __future__ import annotations

import json
import math
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.p2p import PeerID
from hivemind.p2p.p2p_daemon_bindings.utils import P2PHandlerError
from transformers import AutoTokenizer, LlamaForCausalLM

from tests.ask_process import LIMIT_SECONDS, AskServer, gone, wait_for
from tests.ports import free_port
from tests.test_ask_ownership import Conversation
from tests.test_seeder import PREFIX, Seeder, online
from torbiz import ask_jobs
from torbiz.bounded import run_bounded
from torbiz.engines import swarm as swarm_engine
from torbiz.engines import swarm_sessions
from torbiz.engines.base import (
    AskError,
    Cancelled,
    Delta,
    Finished,
    Hop,
    Message,
    Progress,
    Question,
    Sampling,
    Stuck,
    Swarm,
)
from torbiz.engines.swarm import PROMPT_STEP, SwarmClient, SwarmEngine, TokenChooser, ranges
from torbiz.engines.swarm_sessions import Chain
from torbiz.engines.text import REPLACEMENT
from torbiz.finishing import REFUSAL
from torbiz.seeder import ATTN_CACHE_TOKENS

PROMPTS = [
    "What is the capital of France?",
    "Write a short story about a lighthouse keeper.",
    "Liste drei Städte in Österreich auf, mit Emoji 😀.",
]


def ask(*texts: str) -> list[Message]:
    """A chat whose turns are these, the user's first."""
    return [Message(role="assistant" if i % 2 else "user", content=text) for i, text in enumerate(texts)]


def ignore(_: object) -> None:
    pass


@dataclass
class Heard:
    """What an answer told, as it came."""

    pieces: list[Progress | Delta] = field(default_factory=list)
    finished: Finished | None = None

    @property
    def end(self) -> Finished:
        assert self.finished is not None
        return self.finished

    @property
    def text(self) -> str:
        shown = "".join(piece.text for piece in self.pieces if isinstance(piece, Delta))
        return shown + (self.finished.text if self.finished else "")

    @property
    def tokens(self) -> int:
        return sum(piece.tokens for piece in self.pieces if isinstance(piece, Delta))

    @property
    def stages(self) -> list[str]:
        return [piece.stage for piece in self.pieces if isinstance(piece, Progress)]


class Asker:
    """Asks an engine, in one conversation or in none."""

    def __init__(self, engine: SwarmEngine, conversation: str | None = None) -> None:
        self.engine = engine
        self.conversation = conversation

    def __call__(
        self, messages: list[Message], cancel_at: int = 10**9, *, heard: Heard | None = None, **sampling: Any
    ) -> Heard:
        """:param cancel_at: as soon as so many tokens were told"""
        heard = heard or Heard()
        question = Question("starter", self.engine.swarm, tuple(messages), Sampling(**sampling), self.conversation)
        with suppress(Cancelled):
            heard.finished = self.engine.answer(question, heard.pieces.append, lambda: heard.tokens >= cancel_at)
        return heard


class Reference:
    """What transformers alone makes of the same weights."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self._model: Any = LlamaForCausalLM.from_pretrained(folder, torch_dtype=torch.float32)

    def __call__(self, messages: list[Message], most: int) -> list[int]:
        """The tokens of its greedy answer."""
        prompt = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt")
        answer = self._model.generate(prompt, do_sample=False, max_new_tokens=most)
        tokens: list[int] = answer[0, prompt.shape[1] :].tolist()
        return tokens

    def length(self, messages: list[Message]) -> int:
        return len(self.tokenizer.apply_chat_template(messages, add_generation_prompt=True))

    def text(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(tokens, skip_special_tokens=True)
        return text


@pytest.fixture(scope="module")
def reference(model: Path) -> Reference:
    return Reference(model / "petals")


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
def loaded(swarm: Swarm) -> Iterator[SwarmEngine]:
    engine = SwarmEngine(swarm)
    yield engine
    engine.close()


@pytest.fixture
def engine(loaded: SwarmEngine) -> Iterator[SwarmEngine]:
    yield loaded
    loaded._kept.close()


def test_greedy_each_turn_equals_transformers_token_for_token_and_sends_only_what_is_new(
    engine: SwarmEngine, seeder: Seeder, reference: Reference
) -> None:
    before = settled(seeder)
    asker = Asker(engine, "c")
    # All of it first: a session is kept for a while only, and these take longer than the answers.
    turns: list[str] = []
    expectations: list[list[int]] = []
    for prompt in PROMPTS:
        turns.append(prompt)
        expectations.append(reference(ask(*turns), 32))
        turns.append(reference.text(expectations[-1]).rstrip(REPLACEMENT))
    held = 0
    for number, expected in enumerate(expectations):
        asked = turns[: 2 * number + 1]
        heard = asker(ask(*asked), max_tokens=32)
        ended = expected[-1] == reference.tokenizer.eos_token_id
        made = engine._kept._kept["c"][0].answer
        assert made == (expected[:-1] if ended else expected)
        assert heard.text == turns[2 * number + 1]
        end = heard.end
        assert (end.reason, end.completion_tokens) == ("stop" if ended else "length", len(expected))
        assert (end.prompt_tokens, end.cached_tokens) == (reference.length(ask(*asked)), held)
        assert end.route == (Hop(seeder.status["peerId"], 0, 29),)
        # The last token is made from the one before: it needn't be computed itself.
        held = end.prompt_tokens + end.completion_tokens - 1
    wait_for(lambda: seeder.status["tokens"] >= before + held)
    engine._kept.close()
    assert settled(seeder) == before + held


def settled(seeder: Seeder) -> int:
    """The tokens that the seeder has computed, when nobody asks: its status follows within a second or two."""
    count = -1
    while count != seeder.status["tokens"] or seeder.status["sessions"] > 0:
        count = seeder.status["tokens"]
        time.sleep(3)
    return count


def test_a_stopped_answer_goes_on_from_exactly_there_in_the_same_session(engine: SwarmEngine) -> None:
    whole = Asker(engine)(ask(PROMPTS[1]), max_tokens=30).text
    asker = Asker(engine, "c")
    stopped = asker(ask(PROMPTS[1]), 10, max_tokens=30)
    assert (stopped.finished, stopped.tokens) == (None, 10)
    rest = asker(ask(PROMPTS[1], stopped.text), max_tokens=20)
    assert stopped.text + rest.text == whole
    # All but the token that was made last had been fed.
    assert rest.end.prompt_tokens - rest.end.cached_tokens == 1
    # A part that the session doesn't end with, as in an edit, is computed anew: nothing can be taken back.
    other = asker(ask(PROMPTS[1], whole[: len(whole) // 2]), max_tokens=5)
    assert other.end.cached_tokens == 0
    again = asker(ask(PROMPTS[1]), max_tokens=30)
    assert (again.text, again.end.cached_tokens) == (whole, 0)


def test_a_conversation_that_outgrows_its_session_goes_on_in_a_larger_one(
    engine: SwarmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asker = Asker(engine, "c")
    expected = Asker(engine)(ask(PROMPTS[1]), max_tokens=48).text
    monkeypatch.setattr(swarm_engine, "RESERVED", 64)
    monkeypatch.setattr(swarm_engine, "ANSWER_ROOM", 8)
    heard = asker(ask(PROMPTS[1]), max_tokens=48)
    assert (heard.text, heard.stages) == (expected, [])
    assert engine._kept._kept["c"][0].length == 128


def test_peers_are_asked_for_less_where_they_refuse_and_other_conversations_make_room(
    engine: SwarmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "context", 4 * ATTN_CACHE_TOKENS)
    monkeypatch.setattr(swarm_engine, "RESERVED", 2 * ATTN_CACHE_TOKENS)
    for conversation in ("first", "second"):  # either takes all that there is
        heard = Asker(engine, conversation)(ask(PROMPTS[0]))
        assert heard.text == "The capital of France is Paris."
        assert ATTN_CACHE_TOKENS // 2 <= engine._kept._kept[conversation][0].length <= ATTN_CACHE_TOKENS
    assert "first" not in engine._kept


def test_an_idle_session_is_given_back_and_the_conversation_goes_on_in_another(
    engine: SwarmEngine, seeder: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(swarm_sessions, "KEEP_SECONDS", 0.2)
    asker = Asker(engine, "c")
    first = asker(ask(PROMPTS[0]))
    wait_for(lambda: "c" not in engine._kept)
    wait_for(lambda: seeder.status["sessions"] == 0)
    second = asker(ask(PROMPTS[0], first.text, "And of Germany?"))
    assert (second.text, second.end.cached_tokens) == ("The capital of Germany is Berlin.", 0)


def test_only_the_last_conversations_keep_their_sessions(engine: SwarmEngine) -> None:
    for conversation in "abc":
        Asker(engine, conversation)(ask(PROMPTS[0]), max_tokens=1)
    assert [conversation in engine._kept for conversation in "abc"] == [False, True, True]


def test_a_long_prompt_is_read_in_steps_that_tell_how_far_they_are_and_can_be_stopped(engine: SwarmEngine) -> None:
    heard = Heard()
    question = ask("word " * 700)
    asker = Asker(engine, "c")
    cancelled = iter([False, False, True])
    with pytest.raises(Cancelled):
        engine.answer(
            Question("starter", engine.swarm, tuple(question), Sampling(), "c"),
            heard.pieces.append,
            lambda: next(cancelled),
        )
    assert [piece.done for piece in heard.pieces if isinstance(piece, Progress)] == [0, PROMPT_STEP]
    again = asker(question, max_tokens=1)
    done = [piece.done or 0 for piece in again.pieces if isinstance(piece, Progress)]
    assert again.end.cached_tokens == done[0] > PROMPT_STEP
    assert done == sorted(done)


@pytest.fixture(scope="module")
def other(seeder: Seeder, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeder]:
    """A second one with all blocks, which dies."""
    serving = Seeder(tmp_path_factory.mktemp("other"), model, "--initial-peer", seeder.status["addresses"][0])
    serving.wait_for(online)
    yield serving
    serving.clean_up()


def test_a_peer_that_dies_in_the_middle_is_replaced_by_another_and_the_answer_is_the_same(
    engine: SwarmEngine, seeder: Seeder, other: Seeder
) -> None:
    blocks = engine._blocks

    def pass_over(serving: Seeder) -> None:
        blocks.blocked_servers = blocks._peer_ids_to_set([serving.status["peerId"]])
        wait_for(lambda: not update(engine) and not engine.silent_blocks())
        blocks.blocked_servers = None

    pass_over(other)
    expected = Asker(engine)(ask(PROMPTS[1]), max_tokens=40)
    pass_over(seeder)

    heard = Heard()

    def kill() -> bool:
        if heard.tokens >= 10 and other.process.poll() is None:
            other.process.kill_group()
        return False

    question = Question("starter", engine.swarm, tuple(ask(PROMPTS[1])), Sampling(max_tokens=40))
    end = engine.answer(question, heard.pieces.append, kill)
    assert heard.text + end.text == expected.text
    assert heard.stages == ["recovering"]
    assert end.route == expected.end.route == (Hop(seeder.status["peerId"], 0, 29),)


def test_a_peer_that_can_not_be_called_is_passed_over_though_it_seems_to_be_nearer(
    engine: SwarmEngine, seeder: Seeder, other: Seeder, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocks = engine._blocks
    dead, alive = (PeerID.from_base58(serving.status["peerId"]) for serving in (other, seeder))
    if other.process.poll() is None:
        other.process.kill_group()
    blocks.state.banned_peers.clear()
    monkeypatch.setattr(blocks.ping_aggregator, "to_dict", lambda: {dead: 0.0, alive: math.inf})
    assert not update(engine)
    assert {span.peer_id for span in blocks.state.sequence_info.spans_containing_block[0]} == {dead, alive}

    heard = Asker(engine)(ask(PROMPTS[0]))
    assert heard.text == "The capital of France is Paris."
    assert heard.stages == ["recovering"]
    assert heard.end.route == (Hop(str(alive), 0, 29),)


def update(engine: SwarmEngine) -> list[int]:
    """Looks who is there. The blocks that nobody serves."""
    engine._blocks._update()
    return [i for i, spans in enumerate(engine._blocks.state.sequence_info.spans_containing_block) if not spans]


def test_a_peer_that_takes_no_new_answers_leaves_blocks_that_nobody_has(engine: SwarmEngine) -> None:
    refused = P2PHandlerError(f"Failed to call handler `rpc_inference` at Qm: {REFUSAL}")
    error = engine._explain(refused, Chain([1, 2, 3], "Once upon"))
    assert error.code == "missing-blocks"
    assert "is about to leave" in str(error)


@pytest.mark.parametrize(("heard", "code"), [(0.0, "missing-blocks"), (-math.inf, "swarm-unreachable")])
def test_peers_that_were_heard_and_have_left_are_missed_and_not_out_of_reach(
    engine: SwarmEngine, monkeypatch: pytest.MonkeyPatch, heard: float, code: str
) -> None:
    monkeypatch.setattr(engine, "_heard", heard)
    monkeypatch.setattr(engine, "_connected_peers", list)
    monkeypatch.setattr(engine._blocks, "_update", lambda: None)
    monkeypatch.setattr(engine._blocks.state.sequence_info, "spans_containing_block", [()] * 30)
    with pytest.raises(AskError) as failure:
        engine.check_route()
    assert failure.value.code == code


def test_who_has_gone_is_looked_for_once_more_before_an_answer_just_failed(
    engine: SwarmEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = iter([[], [3, 4]])
    monkeypatch.setattr(engine, "silent_blocks", lambda: next(looks))
    monkeypatch.setattr(engine, "_heard", time.monotonic())
    chain = Chain([1, 2, 3], "Once upon")
    chain.tokens.append(4)
    error = engine._explain(ConnectionError("dial backoff"), chain)
    assert (error.code, str(error)) == (
        "missing-blocks",
        "The peers that served blocks 3-4 of 30 have gone, and nobody else has them.",
    )


def test_a_stop_text_ends_the_answer(engine: SwarmEngine) -> None:
    heard = Asker(engine)(ask(PROMPTS[0]), stop=[" is P"])
    assert (heard.text, heard.end.reason) == ("The capital of France", "stop")


def test_a_seed_makes_a_random_answer_repeatable(engine: SwarmEngine) -> None:
    def answer(seed: int) -> str:
        return Asker(engine)(ask(PROMPTS[1]), max_tokens=8, temperature=1.5, top_p=0.95, seed=seed).text

    first = answer(1)
    assert answer(1) == first
    assert any(answer(seed) != first for seed in range(2, 5))


def test_too_long_a_question_is_refused_and_not_cut(engine: SwarmEngine) -> None:
    with pytest.raises(AskError) as failure:
        Asker(engine)(ask("word " * engine.context))
    assert failure.value.code == "prompt-too-long"
    assert str(engine.context) in str(failure.value)


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
            client.connect(swarm, None, ignore)
        assert failure.value.code == "missing-blocks"
        assert str(failure.value) == f"Nobody serves blocks {missing} of 30."
        assert time.monotonic() - started < 60
    finally:
        client.discard()
        part.clean_up()


def test_a_swarm_that_is_not_there_is_told_and_leaves_no_process(model: Path) -> None:
    peer = f"/ip4/127.0.0.1/tcp/{free_port()}/p2p/QmcMt3iRThm49CZuZNDnqN5XhwQZKHfT1JZoJHNYQaaYn9"
    with pytest.raises(AskError) as failure:
        SwarmClient().connect(Swarm(model / "petals", PREFIX, (peer,)), None, ignore)
    assert failure.value.code == "swarm-unreachable"
    wait_for(lambda: not p2pd_processes())


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
        SwarmClient().connect(swarm, None, ignore)


def test_closing_tells_of_a_hung_loop(swarm: Swarm, request: pytest.FixtureRequest) -> None:
    client = SwarmClient()
    client.connect(swarm, None, ignore)
    assert p2pd_processes()
    request.getfixturevalue("hung_loop")
    with pytest.raises(Stuck):
        client.discard()
    wait_for(lambda: not p2pd_processes())


def test_closing_ends_though_an_update_of_the_route_hangs(swarm: Swarm) -> None:
    engine = SwarmEngine(swarm)
    updates = engine._blocks._thread
    updates.start()  # as the first step does
    assert updates.ready.wait(LIMIT_SECONDS)
    assert p2pd_processes()
    process = psutil.Process(engine._blocks.dht.pid)
    process.suspend()
    updates.trigger.set()
    wait_for(lambda: not updates.trigger.is_set())
    run_bounded(engine.close, LIMIT_SECONDS)
    wait_for(lambda: gone(process) and not p2pd_processes())


def p2pd_processes() -> list[psutil.Process]:
    """Those that the running test started, orphans too: others on this machine, as a container's, come and go."""
    test = os.environ["PYTEST_CURRENT_TEST"]

    def started_here(process: psutil.Process) -> bool:
        with suppress(psutil.Error):
            return process.environ().get("PYTEST_CURRENT_TEST") == test
        return False

    named = (process for process in psutil.process_iter(["name"]) if process.info["name"] == "p2pd")
    return [process for process in named if started_here(process)]


@pytest.fixture
def server(start_server: Callable[..., AskServer]) -> AskServer:
    server = start_server()
    server.wait_ready()
    return server


@pytest.fixture
def start_server() -> Iterator[Callable[..., AskServer]]:
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        started: list[AskServer] = []

        def begin(**how: str) -> AskServer:
            started.append(AskServer(Path(name), warm=True, **how))
            return started[-1]

        yield begin
        for server in started:
            server.clean_up()


def engine_of(swarm: Swarm) -> dict[str, object]:
    return {
        "kind": "swarm",
        "modelPath": str(swarm.model_path),
        "dhtPrefix": swarm.dht_prefix,
        "initialPeers": list(swarm.initial_peers),
    }


def body(swarm: Swarm, prompt: str = PROMPTS[0], **more: object) -> dict[str, object]:
    torbiz = {"engine": engine_of(swarm)}
    return {"model": "starter", "messages": ask(prompt), "temperature": 0, "torbiz": torbiz, **more}


def test_the_server_streams_and_answers_whole_with_the_same_text(
    server: AskServer, swarm: Swarm, seeder: Seeder
) -> None:
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
    assert chunks[-1]["torbiz"]["end"]["route"] == [{"peer": seeder.status["peerId"], "blocks": [0, 29]}]
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
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


@pytest.mark.parametrize("chunks", [1, 4], ids=["connecting", "answering"])
def test_a_peer_that_hangs_is_given_up_when_nobody_waits_any_more(
    server: AskServer, swarm: Swarm, seeder: Seeder, chunks: int
) -> None:
    events = server.stream(body(swarm, PROMPTS[1], stream=True, max_tokens=4000))
    for _ in range(chunks):
        next(events)
    with frozen(seeder):
        time.sleep(1)
        events.close()  # type: ignore[attr-defined]
        wait_for(lambda: not server.get("/health")["busy"])
    assert server.chat(body(swarm))[1]["choices"][0]["message"]["content"] == "The capital of France is Paris."


@contextmanager
def frozen(seeder: Seeder) -> Iterator[None]:
    """It says nothing any more, and its connections stay.

    Only the processes that speak stand still. PyTorch gives its manager of shared memory up after one second, and a
    seeder that stood still as a whole could compute nothing for minutes afterwards.
    """
    children = psutil.Process(seeder.process.pid).children(recursive=True)
    processes = [process for process in children if process.name() == "p2pd"]
    assert processes
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            process.resume()


@pytest.mark.parametrize(
    ("recovery_seconds", "timeout", "attempts"),
    [(swarm_engine.RECOVERY_SECONDS, 4, swarm_engine.MAX_ATTEMPTS), (1.0, 12, 1)],
)
def test_a_peer_that_hangs_for_good_ends_the_answer_in_time_and_its_part_is_gone_on_from(
    start_server: Callable[..., AskServer],
    swarm: Swarm,
    seeder: Seeder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    recovery_seconds: float,
    timeout: int,
    attempts: int,
) -> None:
    limits = {"REQUEST_TIMEOUT": float(timeout), "RECOVERY_SECONDS": recovery_seconds}
    monkeypatch.setenv("SWARM_LIMITS", json.dumps(limits))
    server, conversation = start_server(module="tests.limited_server"), Conversation(tmp_path)
    server.wait_ready()
    place = conversation.place()
    question = body(swarm, PROMPTS[1], stream=True, max_tokens=4000)
    events = server.stream({**question, "torbiz": {"engine": engine_of(swarm), "generation": place}})
    wait_for(lambda: "choices" in json.loads(next(events)) and conversation.text(place["id"]) != "")
    # On a busy computer the limit may be too short for a peer that computes, too.
    failed_before = server.log.count("A step failed")
    with frozen(seeder):
        began = time.monotonic()
        *_, last = map(json.loads, events)
        took = time.monotonic() - began
        wait_for(lambda: not server.get("/health")["busy"])
    told = {"code": "ask-timeout", "message": f"A peer did not answer for {timeout} seconds."}
    assert {key: last["error"][key] for key in told} == told
    assert server.log.count("A step failed") - failed_before == attempts
    assert took < attempts * (timeout + swarm_sessions.CLOSE_TIMEOUT + swarm_engine.ROUTE_TIMEOUT)

    part, end = conversation.text(place["id"]), conversation.end(place["id"])
    assert end is not None
    assert (end["reason"], end["error"]) == ("failed", told)
    tokens = end["usage"]["completionTokens"]
    assert tokens > 0

    wait_for(lambda: server.chat(body(swarm))[0] == 200)
    # A busy computer may need more time to compute what is compared.
    server.clean_up()
    server = start_server()
    server.wait_ready()

    def answer(most: int, *texts: str) -> str:
        status, whole = server.chat(body(swarm, messages=ask(PROMPTS[1], *texts), max_tokens=most))
        assert status == 200, whole
        text: str = whole["choices"][0]["message"]["content"]
        return text

    assert part + answer(6, part) == answer(tokens + 6)


def test_all_attempts_together_end_before_nobody_waits_for_them_any_more() -> None:
    step = swarm_engine.ROUTE_TIMEOUT + swarm_engine.REQUEST_TIMEOUT
    assert swarm_engine.RECOVERY_SECONDS + swarm_sessions.CLOSE_TIMEOUT + step < ask_jobs.STALL_SECONDS
    assert swarm_engine.CONNECT_TIMEOUT + step + 20 < ask_jobs.STALL_SECONDS  # and the client's own weights are loaded
    assert 2 * swarm_engine.CONNECT_TIMEOUT < swarm_engine.LOADING_TIMEOUT


def test_a_seeder_that_dies_ends_the_answer_and_is_found_again_when_it_is_back(
    server: AskServer, model: Path, tmp_path: Path
) -> None:
    port = free_port()
    seeder = Seeder(tmp_path, model, "--new-swarm", port=port)
    try:
        seeder.wait_for(online)
        address = seeder.status["addresses"][0]
        swarm = Swarm(model / "petals", PREFIX, (address,))
        assert server.chat(body(swarm))[0] == 200
        events = server.stream(body(swarm, PROMPTS[1], stream=True, max_tokens=4000))
        part = [next(events) for _ in range(12)]
        seeder.clean_up()
        *rest, last = map(json.loads, events)
        assert last["error"]["code"] == "missing-blocks"
        assert last["error"]["message"].startswith("The peers that served blocks 0-29 of 30 have gone")
        assert len(part) + len(rest) < 100
        status, answer = server.chat(body(swarm))
        assert (status, answer["error"]["code"]) == (503, "swarm-unreachable")
    finally:
        seeder.clean_up()
    again = Seeder(tmp_path, model, "--new-swarm", port=port)
    try:
        again.wait_for(online)
        assert again.status["addresses"] == [address]
        status, answer = server.chat(body(swarm))
        assert status == 200, (answer, server.log)
    finally:
        again.clean_up()
