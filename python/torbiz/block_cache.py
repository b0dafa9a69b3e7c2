"""What the cache of blocks holds of each model, and its removal. Run in a container on the cache's volume.

    python -m torbiz.block_cache list
    python -m torbiz.block_cache remove OWNER/NAME

Each writes one line of JSON to standard output: ``{"models": [{"repository": "OWNER/NAME", "bytes": 123}]}``, or
``{"removed": 123}`` with the bytes that were freed. The layout is the one of the hub's own library, which Petals uses,
too: a folder ``models--OWNER--NAME`` for each model, whose contents are in ``blobs``, and links to them elsewhere.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import sys
from pathlib import Path

ROOT = Path("/cache/petals")
REPOSITORY = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
PREFIX = "models--"


def cached_models(root: Path) -> dict[str, int]:
    """Bytes on the disk by repository, the largest first. Files on their way count, too."""
    folders = [folder for folder in root.glob(f"{PREFIX}*--*") if folder.is_dir()]
    sizes = {folder.name.removeprefix(PREFIX).replace("--", "/", 1): size_of(folder) for folder in folders}
    return dict(sorted(sizes.items(), key=lambda item: -item[1]))


def size_of(folder: Path) -> int:
    """Bytes that a folder's own files take: what a link leads to counts where it is."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def remove_model(root: Path, repository: str) -> int:
    """Deletes all that is kept of a model.

    :returns: the bytes that it took; 0 where there was nothing
    :raises ValueError: for what can't be a repository
    """
    if not REPOSITORY.fullmatch(repository):
        raise ValueError(f"{repository} is no name of a repository")
    folder = root / f"{PREFIX}{repository.replace('/', '--')}"
    if not folder.is_dir():
        return 0
    size = size_of(folder)
    shutil.rmtree(folder)
    return size


def main(arguments: list[str] | None = None) -> None:
    """Lists or removes; argparse ends the process for wrong options, with exit code 2."""
    parser = argparse.ArgumentParser(prog="torbiz.block_cache", description="What the cache of blocks holds.")
    jobs = parser.add_subparsers(dest="job", required=True)
    jobs.add_parser("list")
    jobs.add_parser("remove").add_argument("repository")
    parser.add_argument("--root", type=Path, default=ROOT)
    options = parser.parse_args(arguments)
    if options.job == "remove":
        answer: object = {"removed": remove_model(options.root, options.repository)}
    else:
        models = cached_models(options.root)
        answer = {"models": [{"repository": name, "bytes": size} for name, size in models.items()]}
    sys.stdout.write(f"{json.dumps(answer)}\n")


if __name__ == "__main__":
    main()
