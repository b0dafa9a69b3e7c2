"""Downloads a model's file from the hub, and tells anybody how far it is.

Usage: ``python -m torbiz.download --repo OWNER/NAME --revision COMMIT --file NAME --sha256 HEX --bytes N --out FILE
--status FILE --lock FILE``, with an access token on standard input where there is one (the first line, may be empty).

It is started detached and watched through its status file, as ``torbiz.download_job`` describes. What has come is kept
beside ``--out`` under the name of its hash, and the next download goes on from there, after a cancel, a lost network
and a kill. The file gets its name when its hash is right and not before.

The hub is asked by huggingface_hub, which knows its redirects, headers and errors. Its ``hf_hub_download`` isn't used,
as version 2 throws away what has come when it is interrupted. Nor is Xet, the hub's other way to send files: it can't
go on with half a file, and keeps what came in a cache of its own besides.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import ssl
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

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

from torbiz.download_job import DownloadError, Status, run
from torbiz.web import trust

CHUNK = 1 << 20
"""So much is written at a time: what a kill loses, and how often progress is told on a slow line."""
PATIENCE_SECONDS = 60.0
"""A network that was lost on the way may take so long to come back."""
RETRY_SECONDS = 2.0


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
    return run(
        lambda status: download(wanted, status, token),
        explain,
        status_file=arguments.status,
        lock=arguments.lock,
        total=wanted.size,
    )


if __name__ == "__main__":
    sys.exit(main())
