"""Downloads a model's file from the hub, and tells anybody how far it is.

Usage: ``python -m torbiz.download --repo OWNER/NAME --revision COMMIT --file NAME --sha256 HEX --bytes N --out FILE
--status FILE --lock FILE``, with an access token on standard input where there is one (the first line, may be empty).

It is started detached and watched through its status file, which is replaced several times a second: a JSON object
``{"pid", "state", "doneBytes", "totalBytes", "bytesPerSecond", "secondsLeft"}``, where ``state`` is ``downloading``,
``checking``, ``done``, ``cancelled`` or ``failed``, the last one with ``code`` and ``message`` (the codes are those of
Torbiz's catalogue). SIGTERM cancels. What has come is kept beside ``--out`` under the name of its hash, and the next
download goes on from there, after a cancel, a lost network and a kill. The file gets its name when its hash is right
and not before. While another process holds the lock, this one ends at once: that one does the work.

The hub is asked by huggingface_hub, which knows its redirects, headers and errors. Its ``hf_hub_download`` isn't used,
as version 2 throws away what has come when it is interrupted. Nor is Xet, the hub's other way to send files: it can't
go on with half a file, and keeps what came in a cache of its own besides.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import signal
import ssl
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

# Read by huggingface_hub when it is imported: nothing is told of who downloads, no token of the user's is picked up.
os.environ.update(
    HF_HUB_DISABLE_TELEMETRY="1",
    HF_HUB_DISABLE_IMPLICIT_TOKEN="1",
    HF_HUB_DISABLE_UPDATE_CHECK="1",
    HF_HUB_DISABLE_XET="1",
)

from httpx2 import Client, HTTPError, ProxyError
from huggingface_hub import HfFileMetadata, constants, get_hf_file_metadata, hf_hub_url, set_client_factory
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers

from torbiz.web import trust

CHUNK = 1 << 20
"""So much is written at a time: what a kill loses, and how often progress is told on a slow line."""
STATUS_SECONDS = 0.25
LOCK_PATIENCE_SECONDS = 1.0
"""One that has just said how it ended still holds the lock for a moment."""
PATIENCE_SECONDS = 60.0
"""A network that was lost on the way may take so long to come back."""
RETRY_SECONDS = 2.0
SPEED_SECONDS = 10.0
"""The speed is that of so many last seconds."""


class DownloadError(Exception):
    """A failure with a sentence for people and a code of Torbiz's catalogue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Wanted:
    """A file on the hub that never changes, and where it is to be."""

    repo: str
    revision: str
    file: str
    sha256: str
    size: int
    out: Path

    @property
    def partial(self) -> Path:
        """Named by the hash, so that nobody ever goes on with another file's beginning."""
        return self.out.with_name(f".{self.sha256[:16]}.partial")


class Status:
    """The status file: written by a thread of its own, so that a silent network doesn't make it look dead."""

    def __init__(self, path: Path, total: int) -> None:
        self._path = path
        self._total = total
        self._done = 0
        self._state = "downloading"
        self._samples: deque[tuple[float, int]] = deque()
        self._guard = threading.Lock()
        self._ended = threading.Event()
        self._write({})
        self._thread = threading.Thread(target=self._keep_writing, daemon=True)
        self._thread.start()

    def enter(self, state: str, done: int) -> None:
        """Begins a part of the work at so many bytes."""
        with self._guard:
            self._state, self._done = state, done
            self._samples.clear()

    def advance(self, count: int) -> None:
        with self._guard:
            self._done += count

    def end(self, state: str, code: str | None = None, message: str | None = None) -> None:
        self._ended.set()
        self._thread.join()
        with self._guard:
            self._state = state
        self._write({"code": code, "message": message} if code else {})

    def _keep_writing(self) -> None:
        while not self._ended.wait(STATUS_SECONDS):
            self._write({})

    def _write(self, more: dict[str, str | None]) -> None:
        with self._guard:
            speed = self._speed()
            left = self._total - self._done
            content = {
                "pid": os.getpid(),
                "state": self._state,
                "doneBytes": self._done,
                "totalBytes": self._total,
                "bytesPerSecond": speed and round(speed),
                "secondsLeft": left / speed if speed else None,
                **more,
            }
        draft = self._path.with_name(self._path.name + ".draft")
        # On a full disk the last status stays: the work itself meets the same trouble and ends by it.
        with contextlib.suppress(OSError):
            draft.write_text(json.dumps(content), encoding="utf-8")
            draft.replace(self._path)

    def _speed(self) -> float | None:
        now = time.monotonic()
        self._samples.append((now, self._done))
        while now - self._samples[0][0] > SPEED_SECONDS:
            self._samples.popleft()
        seconds, count = now - self._samples[0][0], self._done - self._samples[0][1]
        return count / seconds if count > 0 and seconds >= 2 * STATUS_SECONDS else None


def download(wanted: Wanted, status: Status, token: str | None) -> None:
    """Brings the file to ``wanted.out``, going on with what came earlier.

    Raises:
        DownloadError: download-failed with the reason, disk-full with the numbers.
        OSError: the folder can't be written.
    """
    if wanted.out.is_file() and wanted.out.stat().st_size == wanted.size:
        return  # another process brought it while this one waited
    # The container's user reads models through a mount.
    wanted.out.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    for folder in (wanted.out.parent.parent, wanted.out.parent):
        folder.chmod(0o755)
    for other in wanted.out.parent.glob(".*.partial"):
        if other != wanted.partial:
            other.unlink()
    with wanted.partial.open("ab") as file:
        os.fchmod(file.fileno(), 0o644)
        if file.tell() > wanted.size:
            file.truncate(0)
        have = file.seek(0, os.SEEK_END)
        _check_space(wanted, have)
        status.enter("downloading", have)
    if have < wanted.size:
        _fetch_patiently(wanted, status, token)
    _check(wanted, status)
    wanted.partial.replace(wanted.out)


def _fetch_patiently(wanted: Wanted, status: Status, token: str | None) -> None:
    size = wanted.partial.stat().st_size
    last_seen: float | None = None
    while lost := _fetch_until_lost(wanted, status, token):
        before, size = size, wanted.partial.stat().st_size
        if size > before:
            last_seen = time.monotonic()
        if last_seen is None or time.monotonic() - last_seen > PATIENCE_SECONDS:
            raise lost
        time.sleep(RETRY_SECONDS)


def _fetch_until_lost(wanted: Wanted, status: Status, token: str | None) -> Exception | None:
    """Returns how the connection was lost; None when all has come."""
    try:
        _fetch(wanted, status, token)
    except HfHubHTTPError:
        raise  # an answer, and trying again would only get it again
    except (HTTPError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        return error
    return None


def _fetch(wanted: Wanted, status: Status, token: str | None) -> None:
    url = hf_hub_url(wanted.repo, wanted.file, revision=wanted.revision)
    headers = build_hf_headers(token=token or False)
    # The hub sends text compressed; a file is to come as it is.
    headers["Accept-Encoding"] = "identity"
    _check_offer(wanted, get_hf_file_metadata(url, token=token or False))
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    with wanted.partial.open("r+b") as file:
        have = file.seek(0, os.SEEK_END)
        bar = _bar_for(status)
        http_get(url, file, resume_size=have, headers=headers, expected_size=wanted.size, tqdm_class=bar)
        file.flush()
        os.fsync(file.fileno())


def _check_offer(wanted: Wanted, offer: HfFileMetadata) -> None:
    """Before a byte comes: whether it is the file that is meant."""
    if offer.size not in (None, wanted.size) or (len(offer.etag or "") == 64 and offer.etag != wanted.sha256):
        raise DownloadError("download-failed", "The model hub has another file under this name than Torbiz knows.")


def _bar_for(status: Status) -> type:
    """What huggingface_hub tells its progress to, instead of a bar in a terminal."""

    class Bar:
        def __init__(self, *, initial: int = 0, **_options: object) -> None:
            # Less than was there when the server begins anew instead of going on.
            status.enter("downloading", initial)

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

        def update(self, count: int) -> None:
            status.advance(count)

    return Bar


def _check_space(wanted: Wanted, have: int) -> None:
    free = shutil.disk_usage(wanted.out.parent).free
    if free < wanted.size - have:
        needed, left = (f"{amount / 1e9:.1f} GB" for amount in (wanted.size - have, free))
        raise DownloadError("disk-full", f"The model needs {needed} of disk space, and {left} is free.")


def _check(wanted: Wanted, status: Status) -> None:
    digest = hashlib.sha256()
    status.enter("checking", 0)
    with wanted.partial.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            status.advance(len(chunk))
    if digest.hexdigest() != wanted.sha256:
        wanted.partial.unlink()
        raise DownloadError("download-failed", "What came isn't the model: its hash is wrong. It was deleted.")


@contextlib.contextmanager
def _lock(path: Path) -> Iterator[bool]:
    """Whether the lock is ours for the block's time. The kernel frees it with the process, however that ends."""
    deadline = time.monotonic() + LOCK_PATIENCE_SECONDS
    with path.open("w") as file:
        while not (ours := _try_lock(file.fileno())) and time.monotonic() < deadline:
            time.sleep(0.05)
        yield ours


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def explain(error: Exception) -> DownloadError:
    """Any failure as a sentence for people."""
    if isinstance(error, DownloadError):
        return error
    if isinstance(error, HfHubHTTPError):
        return DownloadError("download-failed", _explain_answer(error))
    if isinstance(error, HTTPError):
        if isinstance(error, ProxyError):
            return DownloadError("download-failed", "The proxy doesn't lead to the model hub.")
        if _is_untrusted(error):
            return DownloadError("download-failed", "The certificate of the model hub isn't trusted here.")
        return DownloadError("download-failed", "The model hub can't be reached, or the connection broke off.")
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return DownloadError("disk-full", "No space is left on the disk for the model.")
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return DownloadError("home-not-writable", f"The models' folder can't be written ({error.strerror}).")
    if isinstance(error, OSError) and error.errno is None:
        # huggingface_hub's own consistency check.
        return DownloadError("download-failed", "The connection broke off before all of the model had come.")
    return DownloadError("download-failed", f"It failed in an unexpected way ({type(error).__name__}).")


def _is_untrusted(error: BaseException | None) -> bool:
    """Whether a certificate that nobody vouches for is the reason, however deep."""
    while error is not None and not isinstance(error, ssl.SSLCertVerificationError):
        error = error.__cause__ or error.__context__
    return error is not None


def _explain_answer(error: HfHubHTTPError) -> str:
    status = error.response.status_code
    if isinstance(error, GatedRepoError) or status == 403:
        return "The model hub gives this model only to those it has allowed."
    if status == 401:
        return "The model hub doesn't know this model, or wants a valid access token for it."
    if status == 404:
        return "The model hub doesn't have this file any more."
    if status == 429:
        return "The model hub refuses for now: too many requests came from here. An access token allows more."
    return f"The model hub answered with an error ({status})."


def _cancel(_number: int, _frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break off what is left to do.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise KeyboardInterrupt


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torbiz.download", description="Downloads a model's file.")
    parser.add_argument("--repo", required=True, help="owner/name on the hub")
    parser.add_argument("--revision", required=True, help="the commit")
    parser.add_argument("--file", required=True, help="the file's name there")
    parser.add_argument("--sha256", required=True, help="its hash, 64 hex digits")
    parser.add_argument("--bytes", type=int, required=True, help="its size")
    parser.add_argument("--out", type=Path, required=True, help="where it is to be")
    parser.add_argument("--status", type=Path, required=True, help="the file that tells how far it is")
    parser.add_argument("--lock", type=Path, required=True, help="held while it works")
    return parser.parse_args(argv)


def run(work: Callable[[], None], status: Status) -> int:
    """Does the work and writes how it ended: returns the exit code."""
    try:
        work()
    except KeyboardInterrupt:
        status.end("cancelled")
        return 130
    except Exception as error:
        known = explain(error)
        status.end("failed", known.code, str(known))
        return 1
    status.end("done")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """The command: returns its exit code."""
    arguments = _arguments(argv)
    # Proxies are the client's own business: it knows the usual variables, and a Mac's settings.
    set_client_factory(lambda: Client(verify=trust(), follow_redirects=True, timeout=None))
    token = sys.stdin.readline().strip() or None
    wanted = Wanted(
        arguments.repo,
        arguments.revision,
        arguments.file,
        arguments.sha256,
        arguments.bytes,
        arguments.out.absolute(),
    )
    with _lock(arguments.lock) as ours:
        if not ours:
            return 0
        signal.signal(signal.SIGTERM, _cancel)
        status = Status(arguments.status, wanted.size)
        return run(lambda: download(wanted, status, token), status)


if __name__ == "__main__":
    sys.exit(main())
