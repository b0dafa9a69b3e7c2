from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gguf as gguf_format
import psutil
import pytest

from tests.prepare import PYTHON
from torbiz import starter
from torbiz.ask_engines import Engines
from torbiz.engines import local
from torbiz.engines.base import AskError, Cancelled, Delta, Finished, LocalModel, Message, Progress, Question, Sampling
from torbiz.engines.gguf_header import Header, read_header

FRANCE = "What is the capital of France?"
STORY = "Tell a story about a dog."
ODD_TEXT = "日本語と한국어, 👩‍👩‍👧‍👦 e\u0301 ñ 🇫🇷 ok"
"""Characters of up to four bytes, a family of seven code points, a letter with a combining accent."""


@pytest.fixture(scope="session")
def gguf(model: Path) -> Path:
    return model / "gguf" / starter.F16_NAME


@pytest.fixture(scope="session")
def engine() -> Iterator[local.LocalEngine]:
    engine = local.LocalEngine()
    yield engine
    engine.discard()


@dataclass
class Heard:
    """All that an answer told."""

    finished: Finished | None = None
    pieces: list[str] = field(default_factory=list)
    progress: list[Progress] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(self.pieces)

    @property
    def end(self) -> Finished:
        assert self.finished
        return self.finished

    def take(self, piece: Progress | Delta) -> None:
        if isinstance(piece, Delta):
            self.pieces.append(piece.text)
        else:
            self.progress.append(piece)


def chat(*contents: str) -> tuple[Message, ...]:
    """Contents of the user and of the assistant in turn."""
    return tuple(Message(role=("user", "assistant")[number % 2], content=text) for number, text in enumerate(contents))


class Asker:
    """Asks the engine that all tests share, greedily."""

    def __init__(self, engine: local.LocalEngine, path: Path) -> None:
        self.engine, self.path = engine, path

    def __call__(
        self,
        *contents: str,
        max_tokens: int | None = 40,
        cancelled: Callable[[Heard], bool] = lambda _heard: False,
        context: int | None = None,
        path: Path | None = None,
        stop: tuple[str, ...] = (),
        sampling: Sampling | None = None,
    ) -> Heard:
        heard = Heard()
        sampling = sampling or Sampling(max_tokens=max_tokens, stop=stop)
        question = Question("m", LocalModel(path or self.path, context), chat(*contents), sampling)
        try:
            heard.finished = self.engine.answer(question, heard.take, lambda: cancelled(heard))
        except Cancelled:
            assert cancelled(heard)
        return heard


@pytest.fixture
def ask(engine: local.LocalEngine, gguf: Path) -> Asker:
    return Asker(engine, gguf)


@pytest.fixture(scope="module")
def bare(gguf: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.bare_llama", str(gguf)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PYTHON), *sys.path])}
    process = subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    assert json.loads(process.stdout.readline()).keys() >= {"importSeconds", "loadSeconds"}
    yield process
    process.kill()
    process.communicate()


def ask_bare(bare: subprocess.Popen[str], *contents: str, most: int) -> Any:
    assert bare.stdin
    assert bare.stdout
    bare.stdin.write(json.dumps({"messages": chat(*contents), "maxTokens": most}) + "\n")
    bare.stdin.flush()
    return json.loads(bare.stdout.readline())


def test_greedy_answers_are_llama_cpp_s_own_token_for_token(ask: Asker, bare: subprocess.Popen[str]) -> None:
    for prompt in (FRANCE, STORY, "Schreibe ein Gedicht über 🌊 und 山.", "def fibonacci(n):"):
        truth = ask_bare(bare, prompt, most=48)
        heard = ask(prompt, max_tokens=48)
        assert (heard.text, heard.end.completion_tokens) == (truth["text"], truth["tokens"])
    assert ask(FRANCE).text == "The capital of France is Paris."
    assert ask(FRANCE).end.reason == "stop"


def test_nothing_of_llama_cpp_s_own_server_stays_open_and_signals_end_the_process(bare: subprocess.Popen[str]) -> None:
    ask_bare(bare, FRANCE, most=1)
    process = psutil.Process(bare.pid)
    assert not process.net_connections("inet")
    sockets = [connection.laddr for connection in process.net_connections("unix") if connection.laddr]
    assert not [name for name in sockets if Path(str(name)).exists()]
    bare.send_signal(signal.SIGTERM)
    assert bare.wait(timeout=60) == -signal.SIGTERM


def test_a_follow_up_reads_its_new_part_only(ask: Asker) -> None:
    first = ask(STORY, max_tokens=60)
    follow_up = ask(STORY, first.text, "And then?")
    known = first.end.prompt_tokens + first.end.completion_tokens
    assert follow_up.end.cached_tokens >= known - 2
    assert 0 < follow_up.end.prompt_tokens - follow_up.end.cached_tokens < 30
    read = [piece for piece in follow_up.progress if piece.stage == "reading-prompt"]
    assert read[0].done == follow_up.end.cached_tokens
    assert (read[-1].done, read[-1].total) == (follow_up.end.prompt_tokens,) * 2


def test_an_answer_goes_on_from_exactly_where_it_was_left(ask: Asker) -> None:
    whole = ask(STORY, max_tokens=40)
    for kept in (1, 9, 20, 39):
        part = "".join(whole.pieces[:kept])
        assert part + ask(STORY, part, max_tokens=40 - kept).text == whole.text


def test_characters_come_whole(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = local.request

    def forced(question: Question) -> str:
        return json.dumps({**json.loads(plain(question)), "grammar": f'root ::= "{ODD_TEXT}"'})

    monkeypatch.setattr(local, "request", forced)
    heard = ask("Say it.", max_tokens=None)
    assert heard.text == ODD_TEXT
    assert len(heard.pieces) > 5
    assert heard.end.completion_tokens > len(heard.pieces)  # or no character was spread over tokens at all


def test_limits_stops_and_seeds_are_openai_s(ask: Asker) -> None:
    assert (ask(STORY, max_tokens=5).end.reason, ask(STORY, max_tokens=5).end.completion_tokens) == ("length", 5)
    stopped = ask(FRANCE, stop=(" of France", "Paris"))
    assert (stopped.text, stopped.end.reason) == ("The capital", "stop")
    chosen = Sampling(max_tokens=20, temperature=1.0, seed=7)
    assert ask(STORY, sampling=chosen).text == ask(STORY, sampling=chosen).text
    assert ask(STORY, sampling=chosen).text != ask(STORY, sampling=Sampling(20, 1.0, seed=8)).text


def test_a_question_beyond_the_context_is_refused_whole_with_the_numbers(ask: Asker) -> None:
    with pytest.raises(AskError, match=r"takes 9\d\d\d tokens; the model has room for 8192") as refused:
        ask("word " * 9000)
    assert refused.value.code == "prompt-too-long"


def test_an_answer_ends_at_the_context_and_nothing_is_dropped(ask: Asker) -> None:
    heard = ask("Write a very long poem. " * 20, max_tokens=None, context=256)
    assert heard.end.reason == "length"
    assert 250 <= heard.end.prompt_tokens + heard.end.completion_tokens <= 257


def test_a_stop_ends_decoding_and_reading(ask: Asker) -> None:
    decoding = ask(STORY, max_tokens=400, cancelled=lambda heard: len(heard.pieces) >= 3)
    assert len(decoding.pieces) == 3
    reading = ask("word " * 3000, cancelled=lambda heard: len(heard.progress) >= 3)
    last = reading.progress[-1]
    assert last.done is not None
    assert last.total is not None
    assert last.done <= 3 * local.micro_batch() + 64 < last.total
    assert ask(FRANCE).text == "The capital of France is Paris."


def test_what_fails_in_the_listener_ends_the_answer_and_is_told(engine: local.LocalEngine, gguf: Path) -> None:
    def fail(piece: Progress | Delta) -> None:
        if isinstance(piece, Delta):
            raise AskError("disk-full", "No space is left.")

    with pytest.raises(AskError, match="No space is left"):
        engine.answer(Question("m", LocalModel(gguf, None), chat(STORY), Sampling()), fail, lambda: False)


@pytest.mark.parametrize("kept", [0, 24, 1000, 1_000_000, -100_000_000, -1], ids=str)
def test_a_truncated_model_is_refused(ask: Asker, gguf: Path, tmp_path: Path, kept: int) -> None:
    broken = tmp_path / "broken.gguf"
    shutil.copyfile(gguf, broken)
    os.truncate(broken, kept if kept >= 0 else gguf.stat().st_size + kept)
    assert refusal(ask, broken) == "model-broken"


def test_what_is_no_model_is_refused(ask: Asker, gguf: Path, tmp_path: Path) -> None:
    data = gguf.read_bytes()[:5000]
    contents: dict[str, bytes] = {
        "page": b"<html>404</html>",
        "magic": b"GGUF\xff\xff\xff\xff" + data[8:],
        "long": data[:16] + b"\xff" * 40,
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        assert refusal(ask, tmp_path / name) == "model-broken"
    assert refusal(ask, tmp_path / "missing") == "model-broken"
    assert refusal(ask, tmp_path) == "model-broken"
    assert ask(FRANCE).text == "The capital of France is Paris."


def test_a_model_that_only_makes_vectors_is_refused(ask: Asker, tmp_path: Path) -> None:
    path = tmp_path / "embedding.gguf"
    writer = gguf_format.GGUFWriter(path, "bert")
    writer.add_causal_attention(False)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(AskError, match=r"embedding\.gguf can't be used\. It makes no text") as refused:
        ask(FRANCE, path=path)
    assert refused.value.code == "model-broken"


def test_a_model_without_a_chat_template_is_asked_in_llama_cpp_s_usual_form(
    ask: Asker, gguf: Path, tmp_path: Path
) -> None:
    # Its name in the header is made unknown, which leaves all else in its place. This model's own form is that form
    # too, but for a system message that it adds.
    path = tmp_path / "plain.gguf"
    with gguf.open("rb") as file:
        header = file.read(8 << 20)
        name = b"tokenizer.chat_template"
        assert header.count(name) == 1
        path.write_bytes(header.replace(name, b"tokenizer.chat_nothing!") + file.read())
    heard = ask(FRANCE, path=path)
    assert heard.text == "The capital of France is Paris."
    assert heard.end.prompt_tokens < ask(FRANCE).end.prompt_tokens


def refusal(ask: Asker, path: Path) -> str:
    with pytest.raises(AskError, match=path.name) as refused:
        ask(FRANCE, path=path)
    return refused.value.code


def test_another_model_takes_the_place_of_the_first(ask: Asker, gguf: Path, tmp_path: Path) -> None:
    process = psutil.Process()
    other = tmp_path / "other.gguf"
    os.link(gguf, other)
    ask(FRANCE)
    one = process.memory_info().rss
    for path in (other, gguf, other, gguf):
        assert ask(FRANCE, path=path).progress[0] == Progress("loading-model")
    assert process.memory_info().rss < one + gguf.stat().st_size / 2
    ask.engine.discard()
    assert process.memory_info().rss < one - gguf.stat().st_size / 2


def test_a_model_is_read_with_progress_and_a_stop_is_heard_meanwhile(
    ask: Asker, gguf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "TELL_SECONDS", 0)
    monkeypatch.setattr(local, "_is_in_memory", lambda *_: False)
    ask.engine.discard()
    stopped = ask(FRANCE, cancelled=lambda heard: len(heard.progress) >= 3)
    assert {piece.stage for piece in stopped.progress} == {"loading-model"}
    assert stopped.progress[-1] == Progress("loading-model", 2 * local.READ_BYTES, gguf.stat().st_size)
    read = [piece.done for piece in ask(FRANCE).progress if piece.stage == "loading-model"]
    assert read == [None, *range(local.READ_BYTES, gguf.stat().st_size, local.READ_BYTES), gguf.stat().st_size]


def test_a_model_that_the_system_has_in_memory_is_not_read_first(ask: Asker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_is_in_memory", lambda *_: True)
    ask.engine.discard()
    assert [piece.done for piece in ask(FRANCE).progress if piece.stage == "loading-model"] == [None]


def test_whether_a_file_is_in_memory_is_the_systems_word(monkeypatch: pytest.MonkeyPatch) -> None:
    size = 3 * local.READ_BYTES
    asked: list[int] = []

    def answering(*answers: int | OSError) -> bool:
        def preadv(_descriptor: int, _buffers: object, offset: int, _flags: int) -> int:
            answer = answers[offset // local.READ_BYTES]
            asked.append(offset)
            if isinstance(answer, OSError):
                raise answer
            return answer

        monkeypatch.setattr(os, "RWF_NOWAIT", 8, raising=False)
        monkeypatch.setattr(os, "preadv", preadv, raising=False)
        return local._is_in_memory(3, size)

    assert answering(1, 1, 1)
    assert asked == [0, local.READ_BYTES, 2 * local.READ_BYTES]
    assert not answering(1, BlockingIOError(), 1)
    assert not answering(OSError(95, "not supported"), 1, 1)
    monkeypatch.delattr(os, "RWF_NOWAIT")
    assert not local._is_in_memory(3, size)  # as on a Mac


def test_clients_can_see_that_it_loads_and_therefore_is_silent(gguf: Path, tmp_path: Path) -> None:
    note = tmp_path / "ask.sock.loading"
    note.touch()  # by one that was killed
    engines = Engines(-1, tmp_path / "ask.sock")
    assert not note.exists()
    seen: list[tuple[str, bool]] = []

    def take(piece: Progress | Delta) -> None:
        seen.append((piece.stage if isinstance(piece, Progress) else "text", note.exists()))

    question = Question("m", LocalModel(gguf, None), chat(FRANCE), Sampling(max_tokens=2))
    engines.answer(question, take, lambda: False)
    assert set(seen) == {("loading-model", True), ("reading-prompt", False), ("text", False)}
    broken = Question("m", LocalModel(tmp_path / "gone", None), chat(FRANCE), Sampling())
    with pytest.raises(AskError, match="gone"):
        engines.answer(broken, take, lambda: False)
    assert seen[-1] == ("loading-model", True)
    assert not note.exists()
    engines.discard()


@pytest.mark.parametrize(("apple_silicon", "micro_batch"), [(True, 128), (False, 64)])
def test_apple_silicon_has_its_own_settings_and_either_answers(
    ask: Asker, gguf: Path, monkeypatch: pytest.MonkeyPatch, apple_silicon: bool, micro_batch: int
) -> None:
    monkeypatch.setattr(local, "APPLE_SILICON", apple_silicon)
    params = local.parameters(LocalModel(gguf, None))
    assert (params.fit_params, params.n_batch, params.n_ubatch) == (apple_silicon, micro_batch, micro_batch)
    ask.engine.discard()  # what is loaded has the settings of this computer
    read = [piece.done for piece in ask("word " * 300).progress if piece.stage == "reading-prompt"]
    assert read[:3] == [0, micro_batch, 2 * micro_batch]
    assert ask(FRANCE).text == "The capital of France is Paris."
    ask.engine.discard()


def test_the_context_follows_model_and_memory(gguf: Path) -> None:
    # 30 layers, 3 key-value heads of 64, keys and values in two bytes each.
    assert read_header(gguf) == Header("llama", 8192, 30 * 3 * 64 * 2 * 2)
    model, weights = Header("llama", 40_960, 147_456), 2_500_000_000
    room = local.COMPUTE_BYTES + weights
    assert local.choose_context(model, weights, None, room + 147_456 * 100_000) == local.DEFAULT_CONTEXT
    assert local.choose_context(model, weights, None, room + 147_456 * 10_000) == 4864
    assert local.choose_context(model, weights, None, room + 147_456 * 2048) == 2048
    assert local.choose_context(model, weights, 30_000, room + 147_456 * 30_000) == 30_000
    assert local.choose_context(model, weights, 99_999, room + 147_456 * 99_999) == 40_960
    with pytest.raises(AskError, match=r"needs 3\.2 GB of memory, and 3\.0 GB is free") as refused:
        local.choose_context(model, weights, None, 3_000_000_000)
    assert refused.value.code == "not-enough-memory"
