"""The ask server's HTTP interface: OpenAI's chat completions, and in the field ``torbiz`` what is ours.

Answers that belong to a conversation go on without their clients:

    GET  /torbiz/generations                         those that are being written or wait for it
    GET  /torbiz/generations/{id}/events?after=SEQ   follows one from the piece after SEQ, also a minute after its end
    POST /torbiz/generations/{id}/stop               answers when it has ended
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from torbiz import __version__
from torbiz.ask_jobs import End, Generation, Generations, Place, Refused
from torbiz.engines.base import AskError, LocalModel, Message, OtherServer, Question, Sampling, Swarm, Target

MAX_BODY_BYTES = 4 << 20
WAITING_SECONDS = 10.0
"""A streamed answer that has not begun after this sends a comment, and one more each time it passes again."""

STATUS_OF_CODE = {
    "prompt-empty": 400,
    "prompt-too-long": 400,
    "swarm-invalid": 400,
    "engine-invalid": 400,
    "usage": 400,
    "model-unknown": 404,
    "conversation-unknown": 404,
    "server-refused": 502,
    "server-key-wrong": 502,
    "server-unreachable": 503,
    "missing-blocks": 503,
    "swarm-unreachable": 503,
    "ask-timeout": 504,
    "disk-full": 507,
}

Text = Annotated[str, Meta(min_length=1)]


class TextPart(Struct):
    """A piece of a message that has several."""

    type: Literal["text"]
    text: str


class ChatMessage(Struct):
    """One turn of a chat."""

    role: str
    content: str | list[TextPart]

    def plain(self) -> Message:
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(role=self.role, content=content)


class LocalField(Struct, tag_field="kind", tag="local"):
    """A model that this computer computes."""

    modelPath: Text
    context: Annotated[int, Meta(ge=1)] | None = None

    def target(self) -> Target:
        return LocalModel(Path(self.modelPath), self.context)


class SwarmField(Struct, tag_field="kind", tag="swarm"):
    """A swarm: the model's folder on this computer, and how to find its blocks."""

    modelPath: Text
    dhtPrefix: Text
    initialPeers: list[str]
    """Multiaddrs; empty for Petals' public network."""

    def target(self) -> Target:
        return Swarm(Path(self.modelPath), self.dhtPrefix, tuple(self.initialPeers))


class ServerField(Struct, tag_field="kind", tag="server"):
    """Another server that speaks OpenAI's interface."""

    baseUrl: Text
    apiKey: str | None = None

    def __repr__(self) -> str:
        return "ServerField(...)"  # never the key

    def target(self) -> Target:
        return OtherServer(self.baseUrl, self.apiKey)


class EngineNote(Struct):
    """Who answers, in the words that people shall read later."""

    kind: Literal["this", "swarm", "server"]
    model: str
    title: str
    where: str


class GenerationField(Struct, kw_only=True):
    """The place of an answer in its conversation."""

    id: Annotated[str, Meta(pattern=r"^g-[0-9a-z]{1,64}\Z")]
    conversation: Text
    file: Text
    parent: Text
    continues: str | None = None
    engine: EngineNote

    def place(self) -> Place:
        engine = msgspec.structs.asdict(self.engine)
        return Place(self.id, self.conversation, Path(self.file), self.parent, self.continues, engine)


class TorbizField(Struct):
    """Torbiz's addition to a request. Without ``generation``, the answer ends when its client leaves."""

    engine: LocalField | SwarmField | ServerField
    generation: GenerationField | None = None
    idleSeconds: Annotated[float, Meta(gt=0)] | None = None
    """How long the server stays after its last answer, from now on."""


class StreamOptions(Struct):
    """Whether a last chunk tells the tokens that were used."""

    include_usage: bool = False


class ChatRequest(Struct):
    """The part of OpenAI's request that has a meaning here. Unknown fields are left alone, as compatible servers do."""

    model: str
    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    n: Literal[1] | None = None
    torbiz: TorbizField | None = None

    def question(self, target: Target) -> Question:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Question(
            model=self.model,
            target=target,
            messages=tuple(message.plain() for message in self.messages),
            sampling=Sampling(
                max_tokens=self.max_completion_tokens or self.max_tokens,
                temperature=self.temperature,
                top_p=self.top_p,
                seed=self.seed,
                stop=stops,
            ),
            conversation=self.torbiz.generation.conversation if self.torbiz and self.torbiz.generation else None,
        )


@dataclass
class Identity:
    """What a client compares before it uses a running server."""

    build: str
    """Told at the start by who started it: stands for the code and the packages."""
    version: str = __version__
    pid: int = field(default_factory=os.getpid)
    python: str = sys.executable


class AskApi:
    """The endpoints.

    :param loaded: tells the path of the model that is loaded
    :param stop: ends the server
    """

    def __init__(
        self, generations: Generations, identity: Identity, loaded: Callable[[], str | None], stop: Callable[[], None]
    ) -> None:
        self._generations = generations
        self._identity = identity
        self._loaded = loaded
        self._stop = stop
        self._models: dict[str, Target] = {}
        """Where each model was last asked: for clients that don't know the field ``torbiz``."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/torbiz/generations", self.generations),
                Route("/torbiz/generations/{id}/events", self.attach),
                Route("/torbiz/generations/{id}/stop", self.stop_generation, methods=["POST"]),
                Route("/torbiz/shutdown", self.shutdown, methods=["POST"]),
            ],
            exception_handlers={AskError: refuse},
        )

    async def health(self, _request: Request) -> Response:
        who = self._identity
        return JSONResponse(
            {
                "status": "leaving" if self._generations.leaving else "ok",
                "version": who.version,
                "build": who.build,
                "pid": who.pid,
                "python": who.python,
                "busy": self._generations.busy,
                "engine": self._loaded(),
            }
        )

    async def models(self, _request: Request) -> Response:
        models = [{"id": name, "object": "model", "created": 0, "owned_by": "torbiz"} for name in self._models]
        return JSONResponse({"object": "list", "data": models})

    async def shutdown(self, _request: Request) -> Response:
        self._stop()
        return JSONResponse({"status": "stopping"})

    async def chat(self, request: Request) -> Response:
        try:
            chat = parse(await read_body(request))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        field = chat.torbiz
        target = field.engine.target() if field else self._models.get(chat.model)
        if target is None:
            raise AskError("model-unknown", f"No engine is known for the model {chat.model}.")
        self._models[chat.model] = target
        place = field.generation.place() if field and field.generation else None
        generation = self._generations.start(chat.question(target), place)
        if field and field.idleSeconds:
            self._generations.idle_limit = field.idleSeconds
        on_left = None if place else lambda: self._generations.cancel(generation)
        if not chat.stream:
            return Whole(generation, on_left, ours=field is not None)
        usage_wanted = chat.stream_options is not None and chat.stream_options.include_usage
        return Stream(generation, on_left, ours=field is not None, usage_wanted=usage_wanted)

    async def generations(self, _request: Request) -> Response:
        owned = [
            {
                "id": each.id,
                "conversation": each.place.conversation if each.place else None,
                "model": each.question.model,
                "startedAt": each.started_at,
                "seq": len(each.texts),
            }
            for each in self._generations.owned
        ]
        return JSONResponse({"generations": owned})

    async def attach(self, request: Request) -> Response:
        after = request.query_params.get("after", "0")
        if not after.isdecimal():
            raise AskError("usage", "after: Not a number.")
        return Stream(self._generations.find(request.path_params["id"]), after=int(after), ours=True)

    async def stop_generation(self, request: Request) -> Response:
        generation = self._generations.find(request.path_params["id"])
        self._generations.cancel(generation)
        await generation.ended.wait()
        return JSONResponse({"status": "stopped"})


async def refuse(_request: Request, error: Exception) -> Response:
    """A failure before there is an answer."""
    if not isinstance(error, AskError):
        raise error
    status = error.status if isinstance(error, Refused) else STATUS_OF_CODE.get(error.code, 500)
    return JSONResponse(error_body(error, status), status_code=status)


async def read_body(request: Request) -> bytes:
    """:raises AskError: usage when it is larger than any question can be"""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            raise AskError("prompt-too-long", f"The request is larger than {MAX_BODY_BYTES >> 20} MiB.")
    return bytes(body)


def parse(body: bytes) -> ChatRequest:
    """:raises AskError: usage, naming the field and not its value: that may be somebody's question"""
    try:
        return msgspec.json.decode(body, type=ChatRequest)
    except msgspec.DecodeError as error:
        what, _, path = str(error).partition(" - at `$.")
        where = re.sub(r"\[(\d+)\]", r".\1", path.rstrip("`"))
        if missing := re.fullmatch(r"Object missing required field `(\w+)`", what):
            where, what = f"{where}.{missing[1]}".lstrip("."), "Field required"
        what = re.sub(r"(?s) '.*'", "", what)
        raise AskError("usage", f"{where or 'body'}: {what}") from None


class Following(Response):
    """Follows an answer to its end, for as long as its client stays.

    :param on_left: called when the client leaves before that
    :param ours: whether the client knows what is ours in an answer
    """

    def __init__(self, generation: Generation, on_left: Callable[[], None] | None = None, *, ours: bool) -> None:
        super().__init__()
        self._generation = generation
        self._on_left = on_left
        self._ours = ours
        self._news = asyncio.Event()
        self._left = False
        self._overdue = False
        self._head = {
            "id": f"chatcmpl-{generation.id[2:]}",
            "created": int(time.time()),
            "model": generation.question.model,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._generation.follow(self._news)
        watch = asyncio.ensure_future(self._watch(receive))
        tick = asyncio.ensure_future(self._tick())
        try:
            await self._tell(scope, receive, send)
        finally:
            watch.cancel()
            tick.cancel()
            self._generation.leave(self._news)
            if self._on_left and not self._generation.end:
                self._on_left()

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotImplementedError

    async def _next_news(self) -> None:
        await self._news.wait()
        self._news.clear()

    async def _watch(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self._left = True
        self._news.set()

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(WAITING_SECONDS)
            self._overdue = True
            self._news.set()


class Whole(Following):
    """The whole answer as one chat.completion."""

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self._generation
        while not generation.end:
            await self._next_news()
            if self._left:
                return
        end = generation.end
        if end.error:
            response = await refuse(Request(scope), end.error)
        else:
            message = {"role": "assistant", "content": "".join(generation.texts)}
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish_reason(end)}
            body = {**self._head, "object": "chat.completion", "choices": [choice], "usage": usage(end)}
            ours = {"torbiz": our_end(end, len(generation.texts))} if self._ours else {}
            response = JSONResponse({**body, **ours})
        await response(scope, receive, send)


class Stream(Following):
    """The answer as server-sent events: comments until it begins. A failure is an event of its own, the last one."""

    def __init__(
        self,
        generation: Generation,
        on_left: Callable[[], None] | None = None,
        *,
        after: int = 0,
        ours: bool,
        usage_wanted: bool = False,
    ) -> None:
        super().__init__(generation, on_left, ours=ours)
        self._usage_wanted = usage_wanted or ours
        self._told = after
        """The number of the last piece that the client has."""
        self._progress: object = None
        self._begun = False
        self._head["object"] = "chat.completion.chunk"
        # Every piece is sent by itself, so what is the same in all of them is made once.
        before, _, self._behind = self._chunk({"content": "|"}).rpartition('"|"')
        self._before = f"data: {before}"

    async def _tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        generation = self._generation
        # What fails soon is a plain HTTP error.
        while not (self._left or self._overdue or generation.texts or generation.end):
            if self._ours and generation.progress:
                break
            await self._next_news()
        if generation.end and generation.end.error and not generation.texts:
            await (await refuse(Request(scope), generation.end.error))(scope, receive, send)
            return
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        while not self._left:
            ended = generation.end is not None
            events = self._events()
            if events or ended:
                await send({"type": "http.response.body", "body": events.encode(), "more_body": not ended})
            if ended:
                return
            await self._next_news()

    def _events(self) -> str:
        """What is new. All that came while the client or we were slow goes out together."""
        generation = self._generation
        end, texts, progress = generation.end, generation.texts, generation.progress
        count = len(texts)
        events = ""
        if self._ours and progress and progress is not self._progress and not end:
            self._progress = progress
            told = {"stage": progress.stage, "done": progress.done, "total": progress.total}
            events += event({**self._head, "choices": [], "torbiz": {"progress": told}})
        if not self._begun and (count > self._told or (end and not end.error)):
            self._begun = True
            events += f"data: {self._chunk({'role': 'assistant', 'content': ''})}\n\n"
        while self._told < count:
            text = json.dumps(texts[self._told])
            self._told += 1
            events += f"id: {self._told}\n{self._before}{text}{self._behind}\n\n"
        if end and end.error:
            events += event(error_body(end.error, STATUS_OF_CODE.get(end.error.code, 500)))
        elif end:
            events += f"data: {self._chunk({}, finish_reason(end))}\n\n"
            if self._usage_wanted:
                last = {**self._head, "choices": [], "usage": usage(end)}
                events += event({**last, **({"torbiz": our_end(end, count)} if self._ours else {})})
            events += "data: [DONE]\n\n"
        if not events and self._overdue:
            events = ": waiting\n\n"
        self._overdue = False
        return events

    def _chunk(self, delta: dict[str, str], reason: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return json.dumps({**self._head, "choices": [choice]})


def event(value: dict[str, Any]) -> str:
    """A server-sent event."""
    return f"data: {json.dumps(value)}\n\n"


def finish_reason(end: End) -> str:
    """In OpenAI's words, which have none for an answer that somebody stopped."""
    return "length" if end.reason == "length" else "stop"


def usage(end: End) -> dict[str, int]:
    """The tokens that were used, in OpenAI's form."""
    return {
        "prompt_tokens": end.prompt_tokens,
        "completion_tokens": end.completion_tokens,
        "total_tokens": end.prompt_tokens + end.completion_tokens,
    }


def our_end(end: End, pieces: int) -> dict[str, Any]:
    """What OpenAI's form has no place for. ``seq``, the last piece's number, tells a client that none was lost."""
    told = {"reason": end.reason, "seq": pieces, "cachedTokens": end.cached_tokens}
    return {"end": {**told, **end.statistics()}}


def error_body(error: AskError, status: int) -> dict[str, Any]:
    """A failure in OpenAI's form."""
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}
