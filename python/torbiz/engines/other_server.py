"""Asks a server that speaks OpenAI's interface, whoever runs it."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit

from torbiz.engines.base import AskError, Cancelled, Delta, Finished, FinishReason, OtherServer, Progress, Question
from torbiz.engines.text import CharacterJoiner
from torbiz.web import connection_to, login_refusal, proxy_for

CONNECT_SECONDS = 10.0
SILENCE_SECONDS = 100.0
"""Longest wait for the next byte. A server that first loads a large model is silent for long."""
POLL_SECONDS = 0.05
"""So often it is looked whether somebody wants it to stop."""
LONGEST_LINE = 1 << 20
LONGEST_REASON = 300

Event = Mapping[str, Any]


class OtherServerEngine:
    """Passes questions on, and the answers back as they come. It keeps nothing between two questions."""

    def __init__(self) -> None:
        self._exchange: _Exchange | None = None

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        """As ``Engine`` says.

        :raises AskError: server-unreachable, server-refused, server-key-wrong, ask-timeout, answer-cut, ask-failed
        :raises Cancelled: when ``cancelled`` says so
        """
        exchange = self._exchange = _Exchange(question)
        reason: FinishReason | None = None
        usage: Event = {}
        pieces = 0
        characters = CharacterJoiner()
        try:
            while (event := exchange.next(cancelled)) is not None:
                try:
                    text, finish = _choice_of(event)
                    usage = dict(event.get("usage") or usage)
                except (AttributeError, TypeError, ValueError, KeyError, IndexError):
                    raise _unreadable() from None
                pieces += bool(text)
                # What has no text is a sign of life: a model that thinks first sends its thoughts in other fields.
                emit(Delta(characters.add(text), 1))
                reason = finish or reason
        finally:
            exchange.close()
        if reason is None:
            raise _cut()
        return _finished(characters.flush(), reason, usage, pieces)

    def discard(self) -> None:
        """Closes the connection, if there is one."""
        if self._exchange:
            self._exchange.close()


class _Exchange:
    """One request and its answer. A thread of its own reads, as neither name look-up nor TLS can be interrupted."""

    def __init__(self, question: Question) -> None:
        assert isinstance(question.target, OtherServer)
        self._question = question
        self._server = question.target
        self._events: queue.SimpleQueue[Event | AskError | None] = queue.SimpleQueue()
        self._connection: http.client.HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._closed = False
        self._connected = False
        threading.Thread(target=self._run, daemon=True, name="other-server").start()

    def next(self, cancelled: Callable[[], bool]) -> Event | None:
        """The next event's data; None at the end.

        :raises AskError: what ended the exchange
        :raises Cancelled: when ``cancelled`` says so
        """
        quiet_since = time.monotonic()
        while True:
            if cancelled():
                raise Cancelled
            try:
                event = self._events.get(timeout=POLL_SECONDS)
            except queue.Empty:
                limit = SILENCE_SECONDS if self._connected else CONNECT_SECONDS
                if time.monotonic() - quiet_since <= limit:
                    continue
                if not self._connected:
                    raise _unreachable("it doesn't answer") from None
                raise AskError("ask-timeout", f"Nothing came from the server for {limit:.0f} seconds.") from None
            if isinstance(event, AskError):
                raise event
            return event

    def close(self) -> None:
        """Ends the exchange, whatever it waits for."""
        self._closed = True
        if self._socket is not None:
            with suppress(OSError):
                # Only this wakes the thread that reads.
                self._socket.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        try:
            self._read()
            self._events.put(None)
        except AskError as error:
            self._events.put(error)
        except ssl.SSLCertVerificationError:
            self._events.put(_unreachable("its certificate isn't trusted here"))
        except TimeoutError:
            self._events.put(_unreachable("it doesn't answer"))
        except UnicodeError:
            self._events.put(_unreachable("that is no web address"))
        except (OSError, http.client.HTTPException):
            if self._connected:
                self._events.put(AskError("answer-cut", "The connection to the server broke."))
            else:
                self._events.put(_unreachable("nothing answers there"))
        finally:
            if self._connection is not None:
                self._connection.close()

    def _read(self) -> None:
        url, headers = _address(self._server.base_url), self._headers()
        self._connection = connection = self._connect(url)
        # The connection forgets it as soon as a server says that this answer is its last.
        self._socket = connection.sock
        self._connected = True
        if self._closed:
            return
        self._socket.settimeout(SILENCE_SECONDS + CONNECT_SECONDS)
        path = quote(url.path.rstrip("/"), safe="/%:")
        connection.request("POST", f"{path}/chat/completions", self._body(), headers)
        response = connection.getresponse()
        if response.status != 200:
            raise self._refusal(response)
        if "text/event-stream" not in response.headers.get("Content-Type", ""):
            raise _unreadable()
        while line := response.readline(LONGEST_LINE):
            if self._closed or not self._take(line):
                return

    @staticmethod
    def _connect(url: SplitResult) -> http.client.HTTPConnection:
        try:
            proxy = proxy_for(url)
        except ValueError:
            raise _unreachable("the proxy that is set isn't an http:// address") from None
        connection = connection_to(url, proxy, CONNECT_SECONDS)
        try:
            connection.connect()
        except (TimeoutError, ssl.SSLError):
            raise
        except OSError as error:
            if proxy is None:
                raise
            what = login_refusal(proxy) if " 407 " in str(error) else "doesn't lead there"
            raise _unreachable(f"the proxy {proxy.hostname} {what}") from None
        return connection

    def _take(self, line: bytes) -> bool:
        """:returns: whether more is to come"""
        name, _, value = line.rstrip(b"\r\n").partition(b":")
        if name != b"data":
            return True
        if value.strip() == b"[DONE]":
            return False
        try:
            event = json.loads(value)
        except (ValueError, RecursionError):
            raise (_unreadable() if line.endswith(b"\n") else _cut()) from None
        if not isinstance(event, dict):
            raise _unreadable()
        if event.get("error"):
            raise AskError("ask-failed", f"The server failed{self._reason(event)}.")
        self._events.put(event)
        return True

    def _body(self) -> bytes:
        sampling = self._question.sampling
        body = {
            "model": self._question.model,
            "messages": self._question.messages,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "max_tokens": sampling.max_tokens,
            "seed": sampling.seed,
            "stop": list(sampling.stop) or None,
        }
        return json.dumps({name: value for name, value in body.items() if value is not None}).encode()

    def _headers(self) -> dict[str, str]:
        headers = {"Content-Type": "application/json", "Accept": "text/event-stream"}
        key = self._server.api_key
        if key:
            if not (key.isascii() and key.isprintable()):
                raise AskError("server-key-wrong", "The API key has characters that no key has.")
            headers["Authorization"] = f"Bearer {key}"
        return headers

    def _refusal(self, response: http.client.HTTPResponse) -> AskError:
        if response.status in (401, 403):
            return AskError("server-key-wrong", "The server doesn't take the API key, or needs one.")
        if 300 <= response.status < 400:
            # Not followed: the question and the key were meant for this address only.
            return AskError("server-refused", "The server sends to another address.")
        try:
            event = json.loads(response.read(LONGEST_LINE))
        except (ValueError, RecursionError):
            event = {}
        return AskError(
            "server-refused", f"The server refused the question (HTTP {response.status}){self._reason(event)}."
        )

    def _reason(self, event: object) -> str:
        """The server's own words, unless they quote the question or the key."""
        error = event.get("error") if isinstance(event, dict) else None
        text = error.get("message") if isinstance(error, dict) else error
        if not isinstance(text, str):
            return ""
        secrets = [self._server.api_key, *(message["content"] for message in self._question.messages)]
        if any(secret and secret in text for secret in secrets):
            return ""
        line = " ".join(text.split()).rstrip(".")
        return f": {line[:LONGEST_REASON]}" if line else ""


def _choice_of(event: Event) -> tuple[str, FinishReason | None]:
    text, reason = "", None
    for choice in event.get("choices") or []:
        content = (choice.get("delta") or {}).get("content")
        if content is not None and not isinstance(content, str):
            raise TypeError
        text += content or ""
        reason = choice.get("finish_reason") or reason
    if reason is None:
        return text, None
    return text, "length" if reason == "length" else "stop"


def _finished(rest: str, reason: FinishReason, usage: Event, pieces: int) -> Finished:
    def count(value: object, otherwise: int) -> int:
        return value if isinstance(value, int) and value >= 0 else otherwise

    details = usage.get("prompt_tokens_details")
    return Finished(
        rest,
        reason,
        count(usage.get("prompt_tokens"), 0),
        count(usage.get("completion_tokens"), pieces),
        count(details.get("cached_tokens") if isinstance(details, dict) else None, 0),
    )


def _address(base_url: str) -> SplitResult:
    try:
        url = urlsplit(base_url)
        if url.scheme in ("http", "https") and url.hostname and (url.port is None or url.port > 0):
            return url
    except ValueError:
        pass
    raise _unreachable("that is no web address")


def _unreachable(reason: str) -> AskError:
    return AskError("server-unreachable", f"The server can't be reached: {reason}.")


def _cut() -> AskError:
    return AskError("answer-cut", "The server ended in the middle of its answer.")


def _unreadable() -> AskError:
    return AskError("ask-failed", "The server's answer can't be read: it isn't in OpenAI's form.")
