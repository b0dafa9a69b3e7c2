"""Answers that belong to a conversation: in its file before they are told, and there whatever happens to anybody."""

from __future__ import annotations

import itertools
import json
import signal
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.ask_process import LIMIT_SECONDS, AskServer, wait_for
from tests.scripted_server import WORDS

SECRET = "whisper"
NOTE = {"kind": "this", "model": "m", "title": "M", "where": "This Computer"}
numbers = itertools.count(1)


def whole(words: int) -> str:
    return "".join(WORDS[number % len(WORDS)] for number in range(words)) + "end"


class Conversation:
    """A file as its owner begins it."""

    def __init__(self, folder: Path) -> None:
        self.id = f"c-{next(numbers)}"
        self.path = folder / f"{self.id}.jsonl"
        self.path.write_text(json.dumps({"type": "conversation", "version": 1, "id": self.id}) + "\n")

    def place(self) -> dict[str, Any]:
        """Where the next answer belongs, as a request tells it."""
        answer = f"g-{next(numbers)}"
        return {"id": answer, "conversation": self.id, "file": str(self.path), "parent": "m-1", "engine": NOTE}

    def question(self, words: int, seconds: float = 0.005) -> tuple[str, dict[str, Any]]:
        """An answer's id, and the request for it."""
        place, body = self.place(), plain(words, seconds)
        body["torbiz"]["generation"] = place
        return place["id"], body

    def records(self, answer: str) -> list[dict[str, Any]]:
        """What is in the file of an answer; what can't be read is left out, as readers do."""
        found = []
        for line in self.path.read_text().split("\n")[:-1]:
            try:
                record = json.loads(line)
            except ValueError:
                continue
            if answer in (record.get("id"), record.get("of")):
                found.append(record)
        return found

    def text(self, answer: str) -> str:
        deltas = [record for record in self.records(answer) if record["type"] == "delta"]
        assert [record["seq"] for record in deltas] == list(range(1, len(deltas) + 1))
        return "".join(record["text"] for record in deltas)

    def end(self, answer: str) -> dict[str, Any] | None:
        return next((record for record in self.records(answer) if record["type"] == "end"), None)


def plain(words: int, seconds: float = 0.005) -> dict[str, Any]:
    engine = {"kind": "server", "baseUrl": "http://127.0.0.1:1/v1", "apiKey": SECRET}
    messages = [{"role": "user", "content": f"{words} {seconds} {SECRET}"}]
    return {"model": "m", "messages": messages, "stream": True, "torbiz": {"engine": engine}}


class Heard:
    """What a client makes of a stream's lines. It has begun when this is there."""

    def __init__(self, lines: Iterator[str], after: int = 0) -> None:
        self._source = lines
        self._lines = itertools.chain([next(lines)], lines)
        self.text = ""
        self.seq = after
        self.stages: list[str] = []
        self.end: dict[str, Any] = {}
        self.error: dict[str, Any] = {}
        self.done = False

    def read(self, pieces: int = 1 << 30) -> Heard:
        number = None
        for line in self._lines:
            if line.startswith("id: "):
                number = int(line[4:])
            elif line == "data: [DONE]":
                self.done = True
            elif line.startswith("data: "):
                event = json.loads(line[6:])
                self.error = event.get("error", self.error)
                ours = event.get("torbiz", {})
                self.stages += [ours["progress"]["stage"]] if "progress" in ours else []
                self.end = ours.get("end", self.end)
                if number is not None:
                    assert number == self.seq + 1
                    self.seq, number = self.seq + 1, None
                    self.text += event["choices"][0]["delta"]["content"]
                    pieces -= 1
                    if pieces == 0:
                        break
        return self

    def leave(self) -> None:
        self._source.close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def server() -> Iterator[AskServer]:
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        server = AskServer(Path(name), module="tests.scripted_server")
        server.wait_ready()
        yield server
        # All that was asked of it here was secret.
        seen = server.log + " ".join(psutil.Process(server.process.pid).cmdline())
        seen += str(psutil.Process(server.process.pid).environ())
        server.clean_up()
        assert SECRET not in seen
        assert "Traceback" not in seen


@pytest.fixture
def own_server() -> Iterator[Callable[..., AskServer]]:
    """For those that don't survive it."""
    with tempfile.TemporaryDirectory(prefix="ask") as name:
        started: list[AskServer] = []

        def begin(*options: str) -> AskServer:
            started.append(AskServer(Path(name), *options, module="tests.scripted_server", name=f"log{len(started)}"))
            started[-1].wait_ready()
            return started[-1]

        yield begin
        for each in started:
            each.clean_up()


@pytest.fixture
def conversation(tmp_path: Path) -> Conversation:
    return Conversation(tmp_path)


def ask(server: AskServer, body: dict[str, Any]) -> Heard:
    return Heard(server.lines("POST", "/v1/chat/completions", body))


def attach(server: AskServer, answer: str, after: int = 0) -> Heard:
    return Heard(server.lines("GET", f"/torbiz/generations/{answer}/events?after={after}"), after)


def stop(server: AskServer, answer: str) -> None:
    assert server.send("POST", f"/torbiz/generations/{answer}/stop") == (200, b'{"status":"stopped"}')


def test_it_goes_on_without_its_client_and_another_follows_from_any_piece(
    server: AskServer, conversation: Conversation
) -> None:
    answer, body = conversation.question(400, 0.01)
    first = ask(server, body).read(pieces=2)
    before = first.text
    first.read(pieces=1).leave()
    (running,) = server.get("/torbiz/generations")["generations"]
    assert (running["id"], running["conversation"], running["model"]) == (answer, conversation.id, "m")

    second = attach(server, answer, after=2).read()
    assert second.done
    assert before + second.text == whole(400) == conversation.text(answer)
    kinds = [record["type"] for record in conversation.records(answer)]
    assert kinds == ["generation", *["delta"] * second.seq, "end"]
    assert 3 < second.seq < 401, "pieces are of what came close together"
    end = conversation.end(answer)
    assert end is not None
    assert end["reason"] == second.end["reason"] == "stop"
    assert end["usage"] == {"promptTokens": 7, "completionTokens": 401, "cachedTokens": 3}
    assert end["tokensPerSecond"] > 0
    assert conversation.records(answer)[0]["engine"] == NOTE

    # For a while it can be followed still.
    assert attach(server, answer).read().text == whole(400)
    assert server.get("/torbiz/generations") == {"generations": []}
    status, unknown = server.send("GET", "/torbiz/generations/g-never/events")
    assert (status, json.loads(unknown)["error"]["code"]) == (404, "generation-unknown")


def test_a_client_without_a_conversation_ends_the_answer_by_leaving(server: AskServer) -> None:
    heard = ask(server, plain(1000, 0.05)).read(pieces=2)
    assert server.get("/health")["busy"]
    heard.leave()
    wait_for(lambda: not server.get("/health")["busy"])
    # One that knows nothing of ours is answered by the engine that its model was asked with.
    body = plain(2)
    del body["torbiz"]
    assert [line for line in server.stream(body) if "torbiz" in line] == []


def test_stopping_ends_what_runs_and_what_waits(server: AskServer, conversation: Conversation) -> None:
    running, body = conversation.question(1000, 0.02)
    first = ask(server, body).read(pieces=4)
    waiting, body = conversation.question(5)
    second = ask(server, body)
    assert [each["id"] for each in server.get("/torbiz/generations")["generations"]] == [running, waiting]
    stop(server, waiting)
    assert second.read().end["reason"] == "stopped"
    assert second.stages == ["waiting"]
    assert conversation.text(waiting) == ""
    stop(server, running)
    assert not server.get("/health")["busy"]
    first.read()
    assert first.done
    assert first.end["reason"] == "stopped"
    assert whole(1000).startswith(first.text)
    assert first.text == conversation.text(running)
    for answer in (running, waiting):
        end = conversation.end(answer)
        assert end is not None
        assert (end["reason"], end["error"]) == ("stopped", None)
    stop(server, running)  # once more is no failure


def test_stopping_ends_one_that_still_reads(server: AskServer, conversation: Conversation) -> None:
    answer, body = conversation.question(1, 100)
    heard = ask(server, body)
    stop(server, answer)
    assert heard.read().stages == ["reading-prompt"]
    assert (heard.text, heard.end["reason"]) == ("", "stopped")
    assert [record["type"] for record in conversation.records(answer)] == ["generation", "end"]


def test_two_at_once_take_turns(server: AskServer, conversation: Conversation) -> None:
    first, body = conversation.question(400, 0.01)
    one = ask(server, body).read(pieces=1)
    second, body = conversation.question(3)
    two = ask(server, body).read()
    assert two.stages[0] == "waiting"
    assert (one.read().text, two.text) == (whole(400), whole(3))
    order = [json.loads(line) for line in conversation.path.read_text().splitlines()]
    ends = [record["of"] for record in order if record["type"] == "end"]
    assert ends == [first, second]


def test_a_torn_line_costs_only_itself(server: AskServer, conversation: Conversation) -> None:
    with conversation.path.open("a") as file:
        file.write('{"type":"delta","of":"g-ol')
    answer, body = conversation.question(3)
    ask(server, body).read()
    assert conversation.text(answer) == whole(3)
    assert '{"type":"delta","of":"g-ol\n' in conversation.path.read_text()


def test_a_deleted_conversation_stays_deleted(server: AskServer, conversation: Conversation) -> None:
    _, body = conversation.question(1000, 0.01)
    heard = ask(server, body).read(pieces=2)
    conversation.path.unlink()
    heard.read()
    assert (heard.end["reason"], heard.error) == ("stopped", {})
    assert not conversation.path.exists()
    status, refused = server.chat(conversation.question(1)[1])
    assert (status, refused["error"]["code"]) == (404, "conversation-unknown")


def test_a_full_disk_ends_it_and_what_was_told_stays(own_server: Callable[..., AskServer], tmp_path: Path) -> None:
    server, conversation = own_server(), Conversation(tmp_path)
    room = conversation.path.stat().st_size + 2000
    psutil.Process(server.process.pid).rlimit(psutil.RLIMIT_FSIZE, (room, room))
    answer, body = conversation.question(1000, 0.001)
    heard = ask(server, body).read()
    assert (heard.error["code"], heard.done) == ("disk-full", False)
    assert 0 < heard.seq < 1000
    # The line that had no room is torn: the next writer begins anew behind it.
    assert conversation.text(answer) == heard.text
    assert not server.get("/health")["busy"]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_when_the_server_ends_all_that_it_told_is_in_the_file(
    own_server: Callable[..., AskServer], tmp_path: Path, number: signal.Signals
) -> None:
    server, conversation = own_server(), Conversation(tmp_path)
    answer, body = conversation.question(100_000, 0.001)
    heard = ask(server, body).read(pieces=150)
    server.end(number)
    assert conversation.text(answer).startswith(heard.text)
    end = conversation.end(answer)
    if number == signal.SIGKILL:
        assert end is None
    else:
        assert end is not None
        assert end["reason"] == heard.read().end["reason"] == "stopped"
    # The next server isn't hindered by what is left.
    again, body = conversation.question(2)
    assert ask(own_server(), body).read().text == whole(2) == conversation.text(again)


@pytest.mark.parametrize("followed", [True, False])
def test_an_idle_server_leaves_only_after_the_end_of_what_it_writes(
    own_server: Callable[..., AskServer], tmp_path: Path, followed: bool
) -> None:
    server, conversation = own_server("--idle-seconds", "2"), Conversation(tmp_path)
    answer, body = conversation.question(5, 1.0)
    heard = ask(server, body).read(pieces=1)
    if followed:
        assert heard.read().done
        assert server.answers()
    else:
        heard.leave()
    assert server.process.wait(LIMIT_SECONDS) == 0
    assert "Leaving: no question for 2 s" in server.log
    end = conversation.end(answer)
    assert end is not None
    assert (end["reason"], conversation.text(answer)) == ("stop", whole(5))
