"""The ask server's HTTP interface: OpenAI's chat completions, and which swarm to ask in the field ``torbiz``."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints, ValidationError
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from torbiz import __version__
from torbiz.ask_jobs import Busy, Generations
from torbiz.engines.base import AskError, Delta, Finished, Message, Question, Sampling, Swarm

MAX_BODY_BYTES = 4 << 20
WAITING_SECONDS = 10.0
"""A streamed answer that has not begun after this sends a comment, and one more each time it passes again."""

Begun = tuple[Delta | Finished, AsyncIterator[Delta | Finished]]
"""An answer's first piece, and the others."""

STATUS_OF_CODE = {
    "prompt-empty": 400,
    "prompt-too-long": 400,
    "swarm-invalid": 400,
    "no-swarm": 400,
    "usage": 400,
    "missing-blocks": 503,
    "swarm-unreachable": 503,
    "ask-timeout": 504,
}


class TextPart(BaseModel):
    """A piece of a message that has several."""

    type: Literal["text"]
    text: str


class ChatMessage(BaseModel):
    """One turn of a chat."""

    role: str
    content: str | list[TextPart]

    def plain(self) -> Message:
        content = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return Message(role=self.role, content=content)


class SwarmField(BaseModel):
    """Torbiz's addition to a request: the model's folder on this computer, and how to find its blocks."""

    modelPath: Annotated[str, StringConstraints(min_length=1)]
    dhtPrefix: Annotated[str, StringConstraints(min_length=1)]
    initialPeers: list[str]
    """Multiaddrs; empty for Petals' public network."""


class StreamOptions(BaseModel):
    """Whether a last chunk tells the tokens that were used."""

    include_usage: bool = False


class ChatRequest(BaseModel):
    """The part of OpenAI's request that has a meaning here. Unknown fields are left alone, as compatible servers do."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: int | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    n: Literal[1] | None = None
    torbiz: SwarmField | None = None

    def question(self, swarm: SwarmField) -> Question:
        stops = [self.stop] if isinstance(self.stop, str) else self.stop or []
        return Question(
            model=self.model,
            target=Swarm(Path(swarm.modelPath), swarm.dhtPrefix, tuple(swarm.initialPeers)),
            messages=tuple(message.plain() for message in self.messages),
            sampling=Sampling(
                max_tokens=self.max_completion_tokens or self.max_tokens,
                temperature=1.0 if self.temperature is None else self.temperature,
                top_p=1.0 if self.top_p is None else self.top_p,
                seed=self.seed,
                stop=stops,
            ),
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

    :param stop: ends the server
    """

    def __init__(self, generations: Generations, identity: Identity, stop: Callable[[], None]) -> None:
        self._generations = generations
        self._identity = identity
        self._stop = stop
        self._models: dict[str, SwarmField] = {}
        """The swarm that each model was last asked in: for clients that don't know the field ``torbiz``."""

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self.health),
                Route("/v1/models", self.models),
                Route("/v1/chat/completions", self.chat, methods=["POST"]),
                Route("/torbiz/shutdown", self.shutdown, methods=["POST"]),
            ]
        )

    async def health(self, _request: Request) -> Response:
        who = self._identity
        return JSONResponse(
            {
                "status": "ok",
                "version": who.version,
                "build": who.build,
                "pid": who.pid,
                "python": who.python,
                "busy": self._generations.busy,
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
            swarm = chat.torbiz or self._models.get(chat.model)
            if swarm is None:
                raise AskError("no-swarm", f"No swarm is known for the model {chat.model}.")
            self._models[chat.model] = swarm
            return await self._answer(request, chat, chat.question(swarm))
        except ClientDisconnect:
            return Response(status_code=499)  # nobody reads it
        except AskError as error:
            status = 429 if isinstance(error, Busy) else STATUS_OF_CODE.get(error.code, 500)
            return JSONResponse(error_body(error), status_code=status)

    async def _answer(self, request: Request, chat: ChatRequest, question: Question) -> Response:
        head: dict[str, Any] = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": chat.model,
        }
        async with AsyncExitStack() as stack:
            turn = await stack.enter_async_context(AsyncExitStack())

            async def begin() -> Begun:
                pieces = await turn.enter_async_context(self._generations.open(question))
                return await anext(pieces), pieces

            beginning = asyncio.ensure_future(begin())
            stack.push_async_callback(cancel, beginning)
            if not chat.stream:
                return JSONResponse(await until_gone(request, collect(head, beginning)))
            # What fails soon is a plain HTTP error.
            await until_gone(request, asyncio.wait((beginning,), timeout=WAITING_SECONDS))
            if beginning.done():
                beginning.result()
            with_usage = chat.stream_options is not None and chat.stream_options.include_usage
            return OwningStream(events(head, beginning, with_usage), stack.pop_all())
        raise AssertionError("unreachable")


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
        return ChatRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "body"
        raise AskError("usage", f"{where}: {first['msg']}") from None


async def until_gone(request: Request, work: Any) -> Any:
    """Awaits ``work``, and cancels it when the client closes the connection meanwhile.

    :raises ClientDisconnect: then
    """

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    task = asyncio.ensure_future(work)
    watch = asyncio.ensure_future(gone())
    try:
        await asyncio.wait((task, watch), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        for unfinished in (task, watch):
            await cancel(unfinished)


async def cancel(task: asyncio.Future[Any]) -> None:
    """Ends a task, and waits until it has ended. Nothing happens to one that is done."""
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task


async def whole(beginning: Awaitable[Begun]) -> AsyncIterator[Delta | Finished]:
    """All pieces of an answer that begins some time."""
    first, rest = await beginning
    yield first
    async for piece in rest:
        yield piece


async def collect(head: dict[str, Any], beginning: Awaitable[Begun]) -> dict[str, Any]:
    """The whole answer as one chat.completion."""
    text = ""
    async for piece in whole(beginning):
        text += piece.text
        if isinstance(piece, Finished):
            message = {"role": "assistant", "content": text}
            choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": piece.reason}
            return {**head, "object": "chat.completion", "choices": [choice], "usage": usage(piece)}
    raise AskError("ask-failed", "The engine ended without an answer.")


async def events(head: dict[str, Any], beginning: asyncio.Future[Begun], with_usage: bool) -> AsyncIterator[bytes]:
    """The answer as server-sent events: comments until it begins. A failure is an event of its own, the last one."""

    def chunk(delta: dict[str, str], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return event({**head, "object": "chat.completion.chunk", "choices": [choice]})

    while not beginning.done():
        yield b": waiting\n\n"
        await asyncio.wait((beginning,), timeout=WAITING_SECONDS)
    try:
        await beginning
        yield chunk({"role": "assistant", "content": ""})
        async for piece in whole(beginning):
            if piece.text:
                yield chunk({"content": piece.text})
            if isinstance(piece, Finished):
                yield chunk({}, piece.reason)
                if with_usage:
                    yield event({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage(piece)})
                yield b"data: [DONE]\n\n"
    except AskError as error:
        yield event(error_body(error))


def event(value: dict[str, Any]) -> bytes:
    """A server-sent event."""
    return b"data: " + json.dumps(value).encode() + b"\n\n"


def usage(piece: Finished) -> dict[str, int]:
    """The tokens that were used, in OpenAI's form."""
    return {
        "prompt_tokens": piece.prompt_tokens,
        "completion_tokens": piece.completion_tokens,
        "total_tokens": piece.prompt_tokens + piece.completion_tokens,
    }


def error_body(error: AskError) -> dict[str, Any]:
    """A failure in OpenAI's form."""
    status = STATUS_OF_CODE.get(error.code, 500)
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": str(error), "type": kind, "param": None, "code": error.code}}


class OwningStream(StreamingResponse):
    """A stream that closes what it comes from however it ends, a vanished client included."""

    def __init__(self, content: AsyncIterator[bytes], owned: AsyncExitStack) -> None:
        super().__init__(content, media_type="text/event-stream", headers={"Cache-Control": "no-cache"})
        self._owned = owned

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await asyncio.shield(self._owned.aclose())
