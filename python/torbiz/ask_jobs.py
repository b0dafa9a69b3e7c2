"""Runs generations one at a time, in a thread each. Whoever follows one may come and go: it belongs to the server."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
import traceback
import uuid
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from torbiz.bounded import run_bounded
from torbiz.conversation_file import ConversationFile, Deleted, now
from torbiz.engines.base import AskError, Cancelled, Delta, Engine, Finished, Hop, LocalModel, Progress, Question, Stuck

logger = logging.getLogger("torbiz.ask_jobs")

MAX_WAITING = 8
"""Questions that may wait behind the one being answered."""
STALL_SECONDS = 110.0
"""Longest wait for the next piece, whatever an engine does. A client waits longer, so that it learns the reason."""
LOADING_STALL_SECONDS = 280.0
"""The same while a model is loaded: llama.cpp says nothing meanwhile, and Python stands still."""
CANCEL_SECONDS = 2.0
"""How long a cancelled generation may take to notice. One that hangs in a peer's hands is given up with its engine."""
LOCAL_CANCEL_SECONDS = 30.0
"""The same for what this computer computes: it ends by itself, however slow, and its model shall stay loaded."""
DISCARD_SECONDS = 20.0
"""How long giving up an engine may take."""
PACE_SECONDS = 0.05
"""What comes within so long after a piece is the next piece, as a whole: a window shows 20 states a second at most.
Each piece takes a write and a turn of this process and of its client, on the cores that the engine computes on: one for
each of 125 tokens a second cost 10 %."""
KEPT_SECONDS = 60.0
"""So long one can still be followed after its end."""


@dataclass(frozen=True)
class Place:
    """Where an answer belongs: it is written there while it is made, and goes on when nobody follows it."""

    id: str
    conversation: str
    file: Path
    parent: str
    """The message or answer that it follows."""
    continues: str | None
    """The answer that it goes on with, of which it holds only what is new."""
    engine: dict[str, str]
    """Who answers, in the words that people shall read later."""


@dataclass(frozen=True)
class End:
    """How a generation ended."""

    reason: Literal["stop", "length", "stopped", "failed"]
    """``stopped``: because somebody wanted it, be it by ending the whole server."""
    error: AskError | None
    """Only of a failed one."""
    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int
    route: tuple[Hop, ...] | None
    first_token_seconds: float
    """From the request to the first text; 0 when there was none."""
    tokens_per_second: float
    """After the first text; 0 where nothing came after it."""

    def statistics(self) -> dict[str, Any]:
        """What is told to clients and written into the conversation alike."""
        hops = [{"peer": hop.peer, "blocks": [hop.first, hop.last]} for hop in self.route or ()]
        return {
            "route": None if self.route is None else hops,
            "firstTokenSeconds": round(self.first_token_seconds, 4),
            "tokensPerSecond": round(self.tokens_per_second, 3),
        }


class Refused(AskError):
    """The request isn't taken at all.

    :param status: in HTTP's words
    """

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(code, message)
        self.status = status


class Generation:
    """An answer on its way, and for a while after its end.

    :raises AskError: conversation-unknown, disk-full, ask-failed when ``place`` can't be written to
    """

    def __init__(self, question: Question, place: Place | None) -> None:
        self.question = question
        self.place = place
        self.id = place.id if place else f"g-{uuid.uuid4().hex[:16]}"
        self.started_at = now()
        self.texts: list[str] = []
        """The pieces so far, each in the conversation's file. The number of the first is 1."""
        self.progress: Progress | None = None
        self.end: End | None = None
        self.ended = asyncio.Event()
        self._file = open_place(place, self.started_at) if place else None
        self._followers: set[asyncio.Event] = set()
        self._loop = asyncio.get_running_loop()
        self._made: deque[str] = deque()
        """What the engine's thread has made since the last piece."""
        self._told = False
        """Whether the event loop will look for what is new without being woken."""
        self._seen: Progress | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._cancelled = False
        self._wake = asyncio.Event()
        self._thread_ended = asyncio.Event()
        self._finished: Finished | None = None
        self._failure: AskError | None = None
        self._asked = self._heard = time.monotonic()
        self._first = 0.0
        self._prompt_tokens = self._cached_tokens = self._tokens = self._tokens_at_first = 0

    def follow(self, news: asyncio.Event) -> None:
        """``news`` is set whenever there is something new, until ``leave``."""
        self._followers.add(news)

    def leave(self, news: asyncio.Event) -> None:
        self._followers.discard(news)

    def cancel(self) -> None:
        """Has it end soon as ``stopped``."""
        self._cancelled = True
        self._wake.set()

    async def run(self, engine: Engine, on_stuck: Callable[[], None]) -> None:
        """Computes the answer. When this returns, nothing computes any more or the engine was given up."""
        if not self._cancelled:
            self.progress = None
            self._heard = time.monotonic()
            threading.Thread(target=self._compute, args=(engine, on_stuck), daemon=True, name="generation").start()
            await self._wait()
            if not self._thread_ended.is_set():
                await self._give_up(engine, on_stuck)
        self.finish()

    async def _wait(self) -> None:
        while not self._wake.is_set():
            quiet, limit = time.monotonic() - self._heard, self._patience
            if quiet >= limit:
                self._failure = AskError("ask-timeout", f"Nothing came for {limit:.0f} seconds.")
                break
            # In small turns: what is waited for can change, and with it the patience.
            await happens(self._wake, min(limit - quiet, 10.0))

    @property
    def _patience(self) -> float:
        loading = self.progress is not None and self.progress.stage == "loading-model"
        return LOADING_STALL_SECONDS if loading else STALL_SECONDS

    async def _give_up(self, engine: Engine, on_stuck: Callable[[], None]) -> None:
        self._cancelled = True
        local = isinstance(self.question.target, LocalModel)
        if await happens(self._thread_ended, LOCAL_CANCEL_SECONDS if local else CANCEL_SECONDS):
            return
        logger.warning("A cancelled generation hangs: its engine is given up")
        try:
            await asyncio.to_thread(run_bounded, engine.discard, DISCARD_SECONDS)
        except (Stuck, TimeoutError):
            on_stuck()

    def finish(self) -> None:
        """Writes down how it ended and lets go of everything. Later words of a thread that still hangs are ignored."""
        self._collect()
        self.end = self._conclude()
        if self._file and self.place:
            try:
                self._file.append(end_record(self.place, self.end))
            except AskError as error:
                self._failure = self._failure or error
                self.end = self._conclude()
            except Deleted:
                pass
            self._file.close()
        self.ended.set()
        self._deliver()

    def _conclude(self) -> End:
        finished = None if self._failure else self._finished
        if self._failure:
            reason: Literal["stop", "length", "stopped", "failed"] = "failed"
        else:
            reason = finished.reason if finished else "stopped"
        seconds = self._heard - self._first
        return End(
            reason=reason,
            error=self._failure,
            prompt_tokens=finished.prompt_tokens if finished else self._prompt_tokens,
            completion_tokens=finished.completion_tokens if finished else self._tokens,
            cached_tokens=finished.cached_tokens if finished else self._cached_tokens,
            route=finished.route if finished else None,
            first_token_seconds=self._first - self._asked if self._first else 0.0,
            tokens_per_second=(self._tokens - self._tokens_at_first) / seconds if self._first and seconds > 0 else 0.0,
        )

    def _compute(self, engine: Engine, on_stuck: Callable[[], None]) -> None:
        try:
            finished = engine.answer(self.question, self._emit, lambda: self._cancelled)
            if finished.text:
                self._emit(Delta(finished.text, 0))
            self._finished = finished
        except Cancelled:
            pass
        except AskError as error:
            # Another server's own words can quote the question.
            logger.warning("Failed: %s", error.code)
            self._fail(error)
            if isinstance(error, Stuck):
                self._call(on_stuck)
        except Exception as error:
            # Only where it happened: the text of an unforeseen error could quote the question.
            frames = "".join(traceback.format_tb(error.__traceback__))
            logger.error("Not expected: %s\n%s", type(error).__name__, frames)
            self._fail(AskError("ask-failed", f"The engine failed ({type(error).__name__})."))
        finally:
            self._call(self._thread_ended.set)
            self._call(self._wake.set)

    def _emit(self, piece: Progress | Delta) -> None:
        # What the thread does here delays the engine: the event loop has the rest.
        if self._cancelled:
            return
        self._heard = time.monotonic()
        first = False
        if isinstance(piece, Delta):
            self._tokens += piece.tokens
            if not piece.text:
                return
            first = not self._first
            if first:
                self._first, self._tokens_at_first = self._heard, self._tokens
            self._made.append(piece.text)
            self.progress = None
        else:
            self.progress = piece
            if piece.stage == "reading-prompt":
                if not self._prompt_tokens:
                    self._cached_tokens = piece.done or 0
                self._prompt_tokens = piece.total or 0
        if first or not self._told:
            self._told = True
            self._call(self._deliver)

    def _collect(self) -> None:
        """Makes a piece of what the thread has made, and writes it: nobody is sent what isn't in the file."""
        made: list[str] = []
        while self._made:
            made.append(self._made.popleft())
        if not made:
            return
        text = "".join(made)
        try:
            if self._file:
                self._file.append({"type": "delta", "of": self.id, "seq": len(self.texts) + 1, "text": text})
            self.texts.append(text)
        except AskError as error:
            self._fail(error)
            self.cancel()
        except Deleted:
            self.cancel()

    def _fail(self, error: AskError) -> None:
        # What fails because it was told to stop is no failure.
        if not self._cancelled:
            self._failure = error

    def _call(self, function: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody listens
            self._loop.call_soon_threadsafe(function)

    def _deliver(self) -> None:
        if not self.end:
            self._collect()
        self._seen = self.progress
        for news in self._followers:
            news.set()
        if self._pause:
            self._pause.cancel()
        self._pause = None if self.end else self._loop.call_later(PACE_SECONDS, self._look)

    def _look(self) -> None:
        """At the end of a pause: what came during it is delivered, else what comes next is, as soon as it comes."""
        self._told = False
        if self._made or self.progress != self._seen:
            self._told = True
            self._deliver()


class Generations:
    """One generation at a time; others wait in line.

    :param on_stuck: called when the engine is stuck or can't be given up: it would hold every later question
    """

    def __init__(self, engine: Engine, on_stuck: Callable[[], None]) -> None:
        self._engine = engine
        self._on_stuck = on_stuck
        self._running: Generation | None = None
        self._line: deque[Generation] = deque()
        self._known: dict[str, Generation] = {}
        self.leaving = False
        """Takes no more questions."""
        self.idle_limit: float | None = None
        """Seconds without a question after which nobody needs its model any more, as the last one wished; None: it had
        no wish."""
        self._idle_since = time.monotonic()
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        return self._running is not None

    @property
    def idle_seconds(self) -> float:
        """Since the last question ended; 0 while there is one."""
        return 0.0 if self.busy else time.monotonic() - self._idle_since

    @property
    def owned(self) -> list[Generation]:
        """Those that belong to a conversation and have not ended, in the order of their turns."""
        return [each for each in (self._running, *self._line) if each is not None and each.place]

    def find(self, name: str) -> Generation:
        """:raises Refused: generation-unknown when it is long over, or never was"""
        if name not in self._known:
            raise Refused("generation-unknown", "This answer isn't being written.", 404)
        return self._known[name]

    def start(self, question: Question, place: Place | None) -> Generation:
        """Lets it compute, when it is its turn.

        :raises Refused: when the line is full or the server leaves
        :raises AskError: as ``Generation``
        """
        if self.leaving:
            raise Refused("ask-server-failed", "The ask server is just leaving: try again.", 503)
        if len(self._line) >= MAX_WAITING:
            raise Refused("ask-failed", f"{MAX_WAITING} questions are waiting already: try again in a while.", 429)
        if place and place.id in self._known:
            raise Refused("usage", "torbiz.generation.id: There is an answer of this name already.", 409)
        generation = Generation(question, place)
        if place:
            self._known[place.id] = generation
        if self._running:
            generation.progress = Progress("waiting")
        self._line.append(generation)
        self._advance()
        return generation

    def cancel(self, generation: Generation) -> None:
        """Has it end soon: at once where it still waits for its turn."""
        generation.cancel()
        if generation in self._line:
            self._line.remove(generation)
            generation.finish()
            self._forget(generation)

    async def end_all(self) -> None:
        """Ends all, and takes no more."""
        self.leaving = True
        running = self._running
        for generation in (*self._line, *([running] if running else [])):
            self.cancel(generation)
        if running:
            await running.ended.wait()

    def _advance(self) -> None:
        if self._running is None and self._line:
            self._running = self._line.popleft()
            self._task = asyncio.get_running_loop().create_task(self._run(self._running))

    async def _run(self, generation: Generation) -> None:
        await generation.run(self._engine, self._on_stuck)
        self._forget(generation)
        self._running = None
        self._idle_since = time.monotonic()
        self._advance()

    def _forget(self, generation: Generation) -> None:
        asyncio.get_running_loop().call_later(KEPT_SECONDS, self._known.pop, generation.id, None)


def open_place(place: Place, at: str) -> ConversationFile:
    """The conversation's file, with the beginning of the answer written.

    :raises AskError: conversation-unknown, disk-full, ask-failed
    """
    file = ConversationFile(place.file)
    try:
        parents = {"parent": place.parent, "continues": place.continues}
        file.append({"type": "generation", "id": place.id, **parents, "engine": place.engine, "at": at})
    except Deleted:
        file.close()
        raise AskError("conversation-unknown", "The conversation isn't there any more.") from None
    except AskError:
        file.close()
        raise
    return file


def end_record(place: Place, end: End) -> dict[str, Any]:
    """The last line of an answer in its conversation's file."""
    return {
        "type": "end",
        "of": place.id,
        "reason": end.reason,
        "error": {"code": end.error.code, "message": str(end.error)} if end.error else None,
        "usage": {
            "promptTokens": end.prompt_tokens,
            "completionTokens": end.completion_tokens,
            "cachedTokens": end.cached_tokens,
        },
        **end.statistics(),
        "at": now(),
    }


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Whether it happens within so long."""
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.wait((waiting,), timeout=seconds)
    waiting.cancel()
    return event.is_set()
