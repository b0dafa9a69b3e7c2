"""A model hub over HTTP: which files a model has, and bringing one here, whole and checked, or saying why not.

The hub's own library isn't used: version 0.17.3, which Petals' transformers needs, sets a download no limit of time,
checks no hash, and tells how far it is to a terminal only. What is spoken here is the part of the hub's protocol that
this library speaks to download a file:

- ``GET /api/models/REPO/revision/REVISION`` answers with the commit and the names of its files;
- ``HEAD /REPO/resolve/REVISION/FILE`` answers with ``X-Repo-Commit``, and with size and hash: ``X-Linked-Size`` and
  ``X-Linked-Etag`` (a SHA-256) of a large file, which is stored elsewhere, else ``Content-Length`` and ``ETag``;
- ``GET`` of the same sends the file, after a redirect to where it is stored, and goes on from the ``Range`` asked for;
- a refusal has its reason in ``X-Error-Code``.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeVar
from urllib.parse import SplitResult, quote, urljoin, urlsplit

import requests
from requests.adapters import HTTPAdapter

from torbiz.download_job import DownloadError
from torbiz.units import duration
from torbiz.web import Way, login_refusal, proxy_for, trust

DEFAULT_ENDPOINT = "https://huggingface.co"
CHUNK = 1 << 14
"""Bytes that are written at a time: what a kill loses, and what a slow hub may take seconds for."""
MAX_REDIRECTS = 5
COMMIT = re.compile(r"[0-9a-f]{40}")
SHA256 = re.compile(r"[0-9a-f]{64}")

Result = TypeVar("Result")


class Busy(Exception):
    """The hub answers that it can't answer now."""

    def __init__(self, status: int) -> None:
        super().__init__(str(status))
        self.status = status


@dataclass(frozen=True)
class Limits:
    """How long the hub may be silent, in seconds."""

    connect: float = 10.0
    silence: float = 30.0
    """On an open connection, until it is tried by another."""
    start: float = 20.0
    """No attempt begins later than that while nothing at all has come."""
    patience: float = 180.0
    """The same once something has come: a network that was lost on the way may come back."""
    retry: float = 2.0
    """Between two attempts."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model at one commit."""

    name: str
    size: int
    etag: str
    """Names the content: the hub's cache calls the file so."""
    url: str

    @property
    def sha256(self) -> str | None:
        """Of the content, 64 hex digits; None for small files, which the hub names in another way."""
        return self.etag if SHA256.fullmatch(self.etag) else None


@dataclass(frozen=True)
class Listing:
    """What a model consists of at one commit."""

    commit: str
    files: frozenset[str]


class Hub:
    """One model on a hub.

    Args:
        repository: ``owner/name``.
        token: Goes to the hub alone, not on to where it sends one.
        endpoint: The hub's address; ``HF_ENDPOINT`` unless given, else Hugging Face's.
        way: How it is reached.
        say: Takes a sentence while something is waited for, and None when it is over.

    Raises:
        DownloadError: model-unknown for what can't be a repository.
    """

    def __init__(
        self,
        repository: str,
        *,
        token: str | None = None,
        endpoint: str | None = None,
        way: Way | None = None,
        limits: Limits | None = None,
        say: Callable[[str | None], None] = lambda _: None,
    ) -> None:
        if not re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", repository, re.ASCII):
            raise DownloadError("model-unknown", f"{repository} is no name of a model on a hub: it is owner/name.")
        self.repository = repository
        self._endpoint = (endpoint or os.environ.get("HF_ENDPOINT") or DEFAULT_ENDPOINT).rstrip("/")
        self._token = token
        self._limits = limits or Limits()
        self._say = say
        self._waits = False
        self._session = requests.Session()
        self._session.trust_env = False  # a login of ~/.netrc would go before the token, and the way is known here
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, _Adapter(way or Way()))
        # A file is to come as it is, so that sizes and ranges are true.
        self._session.headers.update({"Accept-Encoding": "identity", "User-Agent": "torbiz"})
        if token:
            self._session.headers["Authorization"] = f"Bearer {token}"

    @property
    def page(self) -> str:
        """Where people read of the model, and ask for access."""
        return f"{self._endpoint}/{self.repository}"

    @property
    def host(self) -> str:
        return urlsplit(self._endpoint).netloc

    def list_files(self, revision: str) -> Listing:
        """The commit of a branch, a tag or a commit, and its files.

        Raises:
            DownloadError: model-unknown, model-gated, hub-unreachable.
        """
        url = f"{self._endpoint}/api/models/{self.repository}/revision/{quote(revision, safe='')}"
        response = self._patiently(lambda: self._ask("GET", url, f"revision {revision}"))
        try:
            answer = response.json()
            commit = str(answer["sha"])
            names = frozenset(str(file["rfilename"]) for file in answer["siblings"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._no_hub() from error
        if not COMMIT.fullmatch(commit):
            raise self._no_hub()
        return Listing(commit, names)

    def describe(self, name: str, commit: str) -> RemoteFile:
        """A file's size and hash.

        Raises:
            DownloadError: model-unknown, model-gated, hub-unreachable.
        """
        url = f"{self._endpoint}/{self.repository}/resolve/{commit}/{quote(name)}"
        response = self._patiently(lambda: self._ask("HEAD", url, f"file {name}"))
        headers = response.headers
        etag = (headers.get("X-Linked-Etag") or headers.get("ETag") or "").removeprefix("W/").strip('"')
        size = headers.get("X-Linked-Size") or headers.get("Content-Length") or ""
        if not size.isdigit() or not re.fullmatch(r"\w[\w.-]{0,127}", etag, re.ASCII):
            raise self._no_hub()
        return RemoteFile(name, int(size), etag, response.url)

    def fetch(self, file: RemoteFile, out: Path, told: Callable[[int], None] = lambda _: None) -> None:
        """Brings a file to ``out``, which gets its name when all has come and its hash is right.

        What has come is kept beside it, and gone on from the next time, however this one ends.

        Args:
            file: As ``describe`` told.
            out: In a folder that is there.
            told: Takes the number of bytes that are here, after each change.

        Raises:
            DownloadError: model-broken for a wrong hash, after which nothing is kept; model-gated, hub-unreachable.
            OSError: The folder can't be written.
        """
        partial = partial_of(out)
        with partial.open("a+b") as stream:
            part = _Part(stream)
            if part.size > file.size:
                part.restart()
            told(part.size)
            if part.size < file.size:
                self._patiently(lambda: self._receive(file, part, told), lambda: part.size)
            stream.flush()
            os.fsync(stream.fileno())
        if file.sha256 not in (None, part.sha256):
            partial.unlink()
            raise DownloadError(
                "model-broken",
                f"{file.name} of {self.repository} came with a wrong hash: {self.host} sent something else. "
                "It was deleted.",
            )
        partial.replace(out)

    def _receive(self, file: RemoteFile, part: _Part, told: Callable[[int], None]) -> None:
        """Takes what comes until the connection ends, which is an error before the file's end."""
        if part.size == file.size:
            return
        headers = {"Range": f"bytes={part.size}-"} if part.size else {}
        with self._get(file.url, headers) as response:
            if response.status_code == 416:
                part.restart()
                raise requests.ConnectionError("the range was refused")
            self._check(response, f"file {file.name}")
            if not response.headers.get("Content-Range", "").startswith(f"bytes {part.size}-"):
                part.restart()  # the whole comes, whatever was asked for
            for chunk in response.iter_content(CHUNK):
                if part.size + len(chunk) > file.size:
                    part.restart()
                    raise requests.ConnectionError("more came than the file has")
                part.append(chunk)
                self._wait(None)
                told(part.size)
        if part.size < file.size:
            raise requests.ConnectionError("less came than the file has")

    def _get(self, url: str, headers: dict[str, str]) -> requests.Response:
        return self._session.get(url, headers=headers, stream=True, timeout=self._timeout)

    def _ask(self, method: str, url: str, wanted: str) -> requests.Response:
        """Asks the hub itself. As the hub's library does, it follows a model that was renamed: a relative redirect."""
        for _ in range(MAX_REDIRECTS):
            response = self._session.request(method, url, allow_redirects=False, timeout=self._timeout)
            location = response.headers.get("Location", "")
            if not 300 <= response.status_code < 400 or urlsplit(location).netloc:
                self._check(response, wanted)
                return response
            url = urljoin(url, location)
        raise self._no_hub()

    @property
    def _timeout(self) -> tuple[float, float]:
        return self._limits.connect, self._limits.silence

    def _check(self, response: requests.Response, wanted: str) -> None:
        """Whether it was granted.

        Raises:
            DownloadError: It was refused for good.
            Busy: It was refused for now.
        """
        status, reason = response.status_code, response.headers.get("X-Error-Code", "")
        if status < 400:
            return
        if status == 429 or status >= 500 or response.history:
            raise Busy(status)  # also where the hub sent one on to, as that way is good for a while only
        if reason in ("EntryNotFound", "RevisionNotFound"):
            raise DownloadError("model-unknown", f"{self.repository} has no {wanted} on {self.host}.")
        if status == 403 or reason == "GatedRepo":
            access = "the token's owner is not one of them" if self._token else "no token was given"
            raise DownloadError(
                "model-gated",
                f"{self.host} gives {self.repository} only to people it has allowed, and {access}. "
                f"Ask for access at {self.page}",
            )
        if status == 401 and self._token:
            raise DownloadError("model-gated", f"{self.host} doesn't accept the Hugging Face token.")
        if status in (401, 404):
            # It doesn't tell strangers which private models there are.
            otherwise = ", or it is private" if status == 401 else ""
            raise DownloadError("model-unknown", f"{self.host} has no model {self.repository}{otherwise}.")
        raise DownloadError("hub-unreachable", f"{self.host} answered with an error ({status}).")

    def _patiently(self, attempt: Callable[[], Result], received: Callable[[], int] = lambda: 0) -> Result:
        """Tries again what fails for lack of a network, as long as there is hope."""
        heard, patience = time.monotonic(), self._limits.start
        while True:
            before = received()
            try:
                result = attempt()
            except (requests.RequestException, Busy) as error:
                if isinstance(error, requests.exceptions.SSLError):
                    message = (
                        f"{self.host} shows a certificate that this computer doesn't trust. "
                        "Name the file of your network's own authority in SSL_CERT_FILE."
                    )
                    raise DownloadError("hub-unreachable", message) from error
                if isinstance(error, requests.exceptions.InvalidProxyURL):
                    raise DownloadError("hub-unreachable", f"{self.host} can't be reached: {error}.") from error
                if received() > before:
                    heard, patience = time.monotonic(), self._limits.patience
                if time.monotonic() - heard > patience:
                    raise DownloadError("hub-unreachable", self._trouble(error)) from error
                self._wait(f"{self._trouble(error)} Trying again.")
                time.sleep(self._limits.retry)
            else:
                self._wait(None)
                return result

    def _wait(self, reason: str | None) -> None:
        if reason or self._waits:
            self._say(reason)
        self._waits = reason is not None

    def _trouble(self, error: Exception) -> str:
        if isinstance(error, Busy):
            if error.status == 429:
                return f"{self.host} refuses for now: too many requests came from here. A token allows more."
            return f"{self.host} answers with an error ({error.status})."
        if isinstance(error, requests.ReadTimeout) or "Read timed out" in str(error):
            return f"{self.host} has sent nothing for {duration(self._limits.silence)}."
        if isinstance(error, requests.exceptions.ProxyError):
            # Its words have the proxy's name, without a login.
            refusal = re.search(r"Tunnel connection failed: (\d+)", str(error))
            trouble = f"answers with {refusal[1]}" if refusal else "can't be reached"
            return f"{self.host} is behind a proxy, which {trouble}."
        if isinstance(error, requests.exceptions.ChunkedEncodingError) or "came than the file has" in str(error):
            return f"The connection to {self.host} broke off."
        return f"{self.host} can't be reached."

    def _no_hub(self) -> DownloadError:
        return DownloadError("hub-unreachable", f"{self.host} doesn't answer as a model hub does.")


class _Adapter(HTTPAdapter):
    """Goes the way that ``torbiz.web`` tells: requests by itself trusts Mozilla's authorities alone."""

    def __init__(self, way: Way) -> None:
        self._proxies = way.proxies
        self._trust = trust(way.authorities)
        super().__init__()

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        return super().proxy_manager_for(proxy, ssl_context=self._trust, **options)

    def cert_verify(self, *_: Any) -> None:
        """The context has whom to trust."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        url = urlsplit(request.url or "")
        try:
            proxy = proxy_for(url, self._proxies)
        except ValueError as error:
            raise requests.exceptions.InvalidProxyURL(str(error)) from error
        options["proxies"] = {url.scheme: proxy.geturl()} if proxy else {}
        try:
            response = super().send(request, *args, **options)
        except requests.exceptions.ProxyError as error:
            if proxy and "Tunnel connection failed: 407" in str(error):
                raise _login_refused(url, proxy) from error
            raise
        if proxy and response.status_code == 407:
            raise _login_refused(url, proxy)
        return response


def _login_refused(url: SplitResult, proxy: SplitResult) -> DownloadError:
    """That won't pass by itself."""
    return DownloadError("hub-unreachable", f"{url.netloc} is behind a proxy, which {login_refusal(proxy)}.")


class _Part:
    """The part of a file that has come, and its hash."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._hash = hashlib.sha256()
        self.size = 0
        stream.seek(0)
        while chunk := stream.read(1 << 20):
            self._count(chunk)

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def append(self, chunk: bytes) -> None:
        self._stream.write(chunk)
        self._count(chunk)

    def restart(self) -> None:
        self._stream.truncate(0)
        self._hash = hashlib.sha256()
        self.size = 0

    def _count(self, chunk: bytes) -> None:
        self._hash.update(chunk)
        self.size += len(chunk)


def partial_of(out: Path) -> Path:
    """What has come of a file so far: named as the hub's library names it in its cache."""
    return out.with_name(f"{out.name}.incomplete")
