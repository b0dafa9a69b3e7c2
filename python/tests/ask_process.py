"""The real ask server in a process of its own, and a plain HTTP client for its socket."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.prepare import PYTHON
from tests.warm import WarmProcess

LIMIT_SECONDS = 120


class UnixConnection(http.client.HTTPConnection):
    """http.client over a unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=LIMIT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class AskServer:
    """A server process with its files in ``folder``."""

    process: subprocess.Popen[bytes] | WarmProcess

    def __init__(
        self, folder: Path, *options: str, name: str = "ask", module: str = "torbiz.ask_server", warm: bool = False
    ) -> None:
        """:param warm: PyTorch is needed in it, and imported already"""
        self.socket, self.lock, self.log_file = folder / "run" / "ask.sock", folder / "ask.lock", folder / f"{name}.log"
        folder.mkdir(exist_ok=True)
        arguments = [
            *("-m", module, "--socket", str(self.socket), "--lock", str(self.lock)),
            *("--log", str(self.log_file), "--build", "test", *options),
        ]
        env = {**os.environ, "PYTHONPATH": str(PYTHON), "OMP_NUM_THREADS": "2"}
        if warm:
            self.process = WarmProcess(arguments, env)
        else:
            command = [sys.executable, *arguments]
            self.process = subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, start_new_session=True)

    @property
    def log(self) -> str:
        return self.log_file.read_text()

    def wait_ready(self) -> None:
        wait_for(lambda: self.process.poll() is not None or self.answers())
        assert self.process.poll() is None, self.log

    def answers(self) -> bool:
        try:
            return bool(self.get("/health")["status"] == "ok")
        except OSError:
            return False

    def get(self, path: str) -> Any:
        return json.loads(self.send("GET", path)[1])

    def send(self, method: str, path: str, body: object = None) -> tuple[int, bytes]:
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def chat(self, body: object) -> tuple[int, Any]:
        status, data = self.send("POST", "/v1/chat/completions", body)
        return status, json.loads(data)

    def stream(self, body: object) -> Iterator[str]:
        """The data of each event as it comes. Closing the iterator closes the connection."""
        for line in self.lines("POST", "/v1/chat/completions", body):
            if line.startswith("data: "):
                yield line[6:]

    def lines(self, method: str, path: str, body: object = None) -> Iterator[str]:
        """The lines of an answer that is no failure, as they come. Closing the iterator closes the connection."""
        connection = UnixConnection(self.socket)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            assert response.status == 200, response.read()
            for line in response:
                yield line.decode().rstrip("\n")
        finally:
            connection.close()

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=LIMIT_SECONDS)

    def clean_up(self) -> None:
        if self.process.poll() is None:
            self.end(signal.SIGKILL)


def wait_for(fits: Any) -> None:
    end = time.monotonic() + LIMIT_SECONDS
    while not fits():
        if time.monotonic() > end:
            pytest.fail("it never came")
        time.sleep(0.05)


def gone(process: psutil.Process) -> bool:
    """Ended; a zombie whose parent has not looked yet counts as ended."""
    try:
        return not process.is_running() or bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
