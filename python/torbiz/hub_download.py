"""Brings a model's files from a hub: for the seeder those that hold its blocks, for a swarm's client the others.

The client's come by a detached download, as ``torbiz.download_job`` describes it:
``python -m torbiz.hub_download --repo OWNER/NAME --revision REVISION --out FOLDER --status FILE --lock FILE``, with an
access token on standard input where there is one (the first line, may be empty).

Weights are only ever taken as safetensors: pickle files, the older form, are programs that run when they are loaded.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torbiz import units
from torbiz.download_job import DownloadError, Speed, Status, run
from torbiz.hub import COMMIT, Hub, Listing, RemoteFile, partial_of
from torbiz.status import Download

BLOCK_PREFIXES = {"bloom": "h", "falcon": "transformer.h", "llama": "model.layers"}
"""How the names of a block's weights begin, by the config's ``model_type``: ``block_prefix`` of Petals 2.2.0."""

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
CLIENT_FILES = (
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
"""What a client needs besides config and weights, of those that a model has."""

RESERVE_BYTES = 1 << 30
"""Left on the disk for everything else, as Petals' own cache leaves it."""
TELL_SECONDS = 2.0
SLOW_BYTES_PER_SECOND = 250_000
SLOW_AFTER_SECONDS = 10.0


class ModelFiles:
    """The files of one model in a folder that keeps them as the hub's own library does.

    ``ROOT/models--OWNER--NAME`` has ``blobs/ETAG`` (contents), ``refs/REVISION`` (a commit's name) and
    ``snapshots/COMMIT/FILE``, links to the blobs. A snapshot is a folder as transformers and Petals read it.

    What is there is used without a word to the hub, so a branch stays at the commit that it had the first time: all
    blocks are of one commit, whenever they come.

    Args:
        root: Petals' cache.
        hub: The model.
        revision: A branch, tag or commit.
        tell: Takes how far a download is, every ``TELL_SECONDS``, and None when it is over.
        say: Takes a sentence while a download is slow, and None when it is slow no more.
        max_disk_space: Bytes that all models in ``root`` may take; None is all the disk has.

    Raises:
        DownloadError: model-unknown for what can't be a revision.
    """

    def __init__(
        self,
        root: Path,
        hub: Hub,
        revision: str,
        *,
        tell: Callable[[Download | None], None] = lambda _: None,
        say: Callable[[str | None], None] = lambda _: None,
        max_disk_space: int | None = None,
    ) -> None:
        if not re.fullmatch(r"\w[\w./-]*", revision, re.ASCII) or ".." in revision:
            raise DownloadError("model-unknown", f"{revision} is no name of a revision.")
        self._root = root
        self._hub = hub
        self._revision = revision
        self._tell = tell
        self._say = say
        self._max_disk_space = max_disk_space
        self._folder = root / f"models--{hub.repository.replace('/', '--')}"
        self._listing: Listing | None = None

    def open(self) -> Path:
        """The model's snapshot, with its config and the index of its weights.

        Raises:
            DownloadError: model-unknown, model-unsupported, model-gated, model-broken, hub-unreachable, disk-full.
        """
        commit = self._known_commit()
        if commit is None:
            commit = self._list().commit
            _write(self._folder / "refs" / self._revision, commit)
        self.snapshot = self._folder / "snapshots" / commit
        small = [CONFIG]
        if not any((self.snapshot / name).is_file() for name in (INDEX, SINGLE)):
            small += [name for name in weights_at(self._hub.repository, self._list().files) if name == INDEX]
        self._bring(small)
        return self.snapshot

    def bring_blocks(self, blocks: Iterable[int]) -> None:
        """Brings the files that hold the weights of these blocks. Those that are here cost no request.

        Raises:
            DownloadError: As ``open``.
        """
        prefix = block_prefix(_json(self.snapshot / CONFIG))
        prefixes = tuple(f"{prefix}.{block}." for block in blocks)
        if (self.snapshot / INDEX).is_file():
            names = files_with(_json(self.snapshot / INDEX), lambda weight: weight.startswith(prefixes))
        else:
            names = [SINGLE]
        self._bring(names)

    def _known_commit(self) -> str | None:
        if COMMIT.fullmatch(self._revision):
            return self._revision
        try:
            commit = (self._folder / "refs" / self._revision).read_text(encoding="utf-8").strip()
        except OSError:
            return None
        return commit if COMMIT.fullmatch(commit) else None

    def _list(self) -> Listing:
        if self._listing is None:
            known = self._known_commit()
            with self._lacking("everything"):
                self._listing = self._hub.list_files(known or self._revision)
        return self._listing

    def _bring(self, names: Sequence[str]) -> None:
        missing = [name for name in names if not (self.snapshot / name).is_file()]
        if not missing:
            return
        with self._lacking(", ".join(missing)):
            files = [self._hub.describe(name, self.snapshot.name) for name in missing]
        blobs = [self._folder / "blobs" / file.etag for file in files]
        for folder in (self.snapshot, self._folder / "blobs"):
            folder.mkdir(parents=True, exist_ok=True)
        self._check_space(files, blobs)
        told = _Telling(self._tell, self._say, len(files))
        for number, (file, blob) in enumerate(zip(files, blobs, strict=True)):
            if not blob.is_file():
                self._hub.fetch(file, blob, told.of(file, number))
            _link(self.snapshot / file.name, blob)
        told.end()

    @contextmanager
    def _lacking(self, what: str) -> Iterator[None]:
        """Says of a hub that isn't there what would be needed of it: all else is here."""
        try:
            yield
        except DownloadError as error:
            if error.code != "hub-unreachable":
                raise
            commit = (self._known_commit() or self._revision)[:7]
            message = f"{error} Missing here of {self._hub.repository} at {commit}: {what}."
            raise DownloadError(error.code, message) from error

    def _check_space(self, files: Sequence[RemoteFile], blobs: Sequence[Path]) -> None:
        needed = sum(file.size - _size(blob) - _size(partial_of(blob)) for file, blob in zip(files, blobs, strict=True))
        free = shutil.disk_usage(self._root).free - RESERVE_BYTES
        if needed > max(0, free):
            raise DownloadError(
                "disk-full",
                f"{self._hub.repository} needs {units.size(needed)} more of disk space, and "
                f"{units.size(max(0, free))} can be used.{_to_remove(self._root)}",
            )
        limit = self._max_disk_space
        used = sum(cached_models(self._root).values())
        if limit is not None and used + needed > limit:
            raise DownloadError(
                "disk-full",
                f"{self._hub.repository} needs {units.size(needed)} more of disk space than models take already, and "
                f"all of them may use {units.size(limit)}.{_to_remove(self._root)}",
            )


class _Telling:
    """Tells how far a download is, not more often than anybody reads it."""

    def __init__(self, tell: Callable[[Download | None], None], say: Callable[[str | None], None], files: int) -> None:
        self._tell = tell
        self._say = say
        self._files = files
        self._speed = Speed()
        self._began = time.monotonic()
        self._told = 0.0
        self._slow = False

    def of(self, file: RemoteFile, number: int) -> Callable[[int], None]:
        """What ``Hub.fetch`` tells its progress to."""
        self._speed.reset()
        self._told = 0.0

        def told(done: int) -> None:
            now = time.monotonic()
            speed = self._speed.note(done)
            if now - self._told < TELL_SECONDS and done < file.size:
                return
            self._told = now
            rounded = None if speed is None else round(speed)
            self._tell(Download(file.name, done, file.size, self._files, number, rounded))
            self._judge(speed, file.size - done, now)

        return told

    def _judge(self, speed: float | None, left: int, now: float) -> None:
        slow = speed is not None and speed < SLOW_BYTES_PER_SECOND and now - self._began > SLOW_AFTER_SECONDS
        if slow and speed:
            time_left = units.duration(left / speed)
            self._say(f"The model hub sends {units.size(speed)}/s: this file takes {time_left} more.")
        elif self._slow:
            self._say(None)
        self._slow = slow

    def end(self) -> None:
        self._tell(None)
        if self._slow:
            self._say(None)


def bring_client(folder: Path, hub: Hub, revision: str, status: Status) -> None:
    """Brings what a swarm's client needs into ``folder``: config, tokenizer, and all weights that are in no block.

    ``config.json`` is put there last: where it is, everything is.

    Raises:
        DownloadError: model-unknown, model-unsupported, model-gated, model-broken, hub-unreachable, disk-full.
        OSError: The folder can't be written.
    """
    if (folder / CONFIG).is_file():
        return  # another process brought it while this one waited
    listing = hub.list_files(revision)
    incoming = folder / ".incoming"
    for path in (folder.parent, folder, incoming):
        # The container's user reads models through a mount.
        path.mkdir(mode=0o755, parents=True, exist_ok=True)
        path.chmod(0o755)
    note = incoming / ".commit"
    if not note.is_file() or note.read_text(encoding="utf-8") != listing.commit:
        for path in incoming.iterdir():
            path.unlink()  # of another commit
        note.write_text(listing.commit, encoding="utf-8")

    def bring(names: Iterable[str]) -> None:
        files = [hub.describe(name, listing.commit) for name in names if not (incoming / name).is_file()]
        have = sum(_size(partial_of(incoming / file.name)) for file in files)
        total = sum(file.size for file in files)
        free = shutil.disk_usage(incoming).free
        if total - have > free:
            raise DownloadError(
                "disk-full",
                f"{hub.repository} needs {units.size(total - have)} of disk space, and {units.size(free)} is free.",
            )
        before = 0
        for file in files:
            status.enter("downloading", before, total)
            hub.fetch(file, incoming / file.name, lambda done, before=before: status.reach(before + done))  # type: ignore[misc]
            before += file.size

    weights = weights_at(hub.repository, listing.files)
    index = [name for name in weights if name == INDEX]
    bring([CONFIG, *index, *(name for name in CLIENT_FILES if name in listing.files)])
    prefix = block_prefix(_json(incoming / CONFIG)) + "."
    if index:
        weights = files_with(_json(incoming / INDEX), lambda weight: not weight.startswith(prefix))
    bring(weights)
    note.unlink()
    for path in sorted(incoming.iterdir(), key=lambda path: path.name == CONFIG):
        path.chmod(0o644)
        path.replace(folder / path.name)
    incoming.rmdir()


def weights_at(repository: str, files: Iterable[str]) -> list[str]:
    """Where a model's weights are: its index, or the only file.

    Raises:
        DownloadError: model-unsupported for a model without safetensors.
    """
    present = set(files)
    for name in (INDEX, SINGLE):
        if name in present:
            return [name]
    if any(name.startswith("pytorch_model") for name in present):
        raise DownloadError(
            "model-unsupported",
            f"{repository} has its weights only as pickle files, which are programs that run when they are loaded. "
            "Choose a model that has them as safetensors.",
        )
    raise DownloadError("model-unsupported", f"{repository} has no weights as safetensors.")


def require_safetensors(name: str, folder: Path) -> None:
    """Refuses a model's folder from which Petals or transformers would load pickle files.

    They take safetensors where the folder has them, and where its index names no other file.

    Args:
        name: The model's, for people.
        folder: What Petals or transformers is to be given.

    Raises:
        DownloadError: model-unsupported for a folder without safetensors, model-broken for an index that names others.
    """
    for weights in weights_at(name, (path.name for path in folder.iterdir())):
        if weights == INDEX:
            try:
                index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
            except ValueError as error:
                raise DownloadError("model-broken", f"{INDEX} of {name} can't be read.") from error
            files_with(index if isinstance(index, dict) else {}, lambda _: True)


def files_with(index: Mapping[str, Any], wanted: Callable[[str], bool]) -> list[str]:
    """The files that hold the wanted weights, by ``model.safetensors.index.json``.

    Raises:
        DownloadError: model-broken for an index without them, or with names that no file of weights may have.
    """
    places = index.get("weight_map")
    names = {str(file) for weight, file in places.items() if wanted(weight)} if isinstance(places, dict) else set()
    if not names:
        raise DownloadError("model-broken", f"{INDEX} doesn't tell where the weights are.")
    for name in names:
        if not re.fullmatch(r"\w[\w.-]*\.safetensors", name, re.ASCII):
            raise DownloadError("model-broken", f"{INDEX} names {name}, which is no safetensors file.")
    return sorted(names)


def block_prefix(config: Mapping[str, Any]) -> str:
    """How the names of the blocks' weights begin.

    Raises:
        DownloadError: model-unsupported for an architecture that Petals can't serve.
    """
    kind = config.get("model_type")
    if kind in BLOCK_PREFIXES:
        return BLOCK_PREFIXES[kind]
    raise DownloadError("model-unsupported", f"Petals serves models of {', '.join(BLOCK_PREFIXES)}, not of {kind}.")


def cached_models(root: Path) -> dict[str, int]:
    """Bytes that each model takes in a cache, by its name on the hub."""
    sizes = {}
    for folder in sorted(root.glob("models--*--*")):
        size = sum(path.stat().st_size for path in (folder / "blobs").glob("*") if path.is_file())
        sizes[folder.name.removeprefix("models--").replace("--", "/", 1)] = size
    return sizes


def _to_remove(root: Path) -> str:
    models = [f"{name} ({units.size(size)})" for name, size in cached_models(root).items() if size]
    return f" Models that could be removed: {', '.join(models)}." if models else ""


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _json(path: Path) -> Mapping[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        content = None
    if not isinstance(content, dict):
        for damaged in (path.resolve(), path):
            damaged.unlink()  # the next start brings it anew
        raise DownloadError("model-broken", f"{path.name} of this model can't be read.")
    return content


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.new")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _link(path: Path, blob: Path) -> None:
    path.unlink(missing_ok=True)
    path.symlink_to(Path("../../blobs") / blob.name)


def _explain(error: Exception) -> DownloadError:
    if isinstance(error, DownloadError):
        return error
    return DownloadError("download-failed", f"It failed in an unexpected way ({type(error).__name__}).")


def main(argv: Sequence[str] | None = None) -> int:
    """The client's download: returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m torbiz.hub_download", description="Brings a client's files.")
    parser.add_argument("--repo", required=True, help="owner/name on the hub")
    parser.add_argument("--revision", required=True, help="a branch, tag or commit")
    parser.add_argument("--out", type=Path, required=True, help="the folder where they are to be")
    parser.add_argument("--status", type=Path, required=True, help="the file that tells how far it is")
    parser.add_argument("--lock", type=Path, required=True, help="held while it works")
    arguments = parser.parse_args(argv)
    token = sys.stdin.readline().strip() or None

    def work(status: Status) -> None:
        bring_client(arguments.out.absolute(), Hub(arguments.repo, token=token), arguments.revision, status)

    return run(work, _explain, status_file=arguments.status, lock=arguments.lock)


if __name__ == "__main__":
    sys.exit(main())
