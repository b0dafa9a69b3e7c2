"""Starts Python programs as ``python -m`` does, but from a process that has imported PyTorch and others already.

Petals' imports take most of the time of a short-lived process, and the suite starts more than a hundred. So one process
imports what is slow, of which none asks the environment for anything that a test sets, and each program is a fork of
it with streams, environment and session of its own.
"""

from __future__ import annotations

import functools
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import IO, Any

import psutil

from tests.prepare import PYTHON

SLOW = ("torch", "pydantic.v1", "google.protobuf.descriptor_pool", "cryptography.x509", "requests", "yaml", "psutil")
MESSAGE_BYTES = 65536


class Parent:
    """The process that is forked, as this one sees it."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._exits: dict[int, int] = {}
        self._count = 0
        subprocess.Popen(
            [sys.executable, "-m", "tests.warm", str(theirs.fileno())],
            env={**os.environ, "PYTHONPATH": str(PYTHON)},
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()

    def start(self, order: dict[str, Any], streams: Sequence[int]) -> tuple[int, int]:
        """A program that has these three streams: its number here, and its pid."""
        self._count += 1
        socket.send_fds(self._control, [json.dumps({**order, "number": self._count}).encode()], list(streams))
        while (pid := self._hear()) is None:
            pass
        return self._count, pid

    def exit_code(self, number: int, timeout: float = 0) -> int | None:
        """As ``Popen.returncode``. By the number that is no other program's: a pid is given again within one suite."""
        end = time.monotonic() + timeout
        while number not in self._exits:
            if not select.select([self._control], [], [], max(0, end - time.monotonic()))[0]:
                return None
            self._hear()
        return self._exits[number]

    def _hear(self) -> int | None:
        message = json.loads(self._control.recv(MESSAGE_BYTES) or "null")
        assert message, "the process to fork has ended"
        if "started" in message:
            return int(message["started"])
        self._exits[message["ended"]] = message["code"]
        return None


@functools.cache
def parent() -> Parent:
    return Parent()


class WarmProcess:
    """What is used of ``subprocess.Popen``, with pipes for the streams that are not given."""

    def __init__(self, arguments: Sequence[str], env: Mapping[str, str], log: IO[str] | None = None) -> None:
        """``arguments``: a script and its, or ``-m`` and a module and its. Output is a pipe where there is no log."""
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self.stdin: IO[str] = os.fdopen(ours_in, "w", buffering=1)
        self.stdout: IO[str] = os.fdopen(ours_out, buffering=1)
        streams = (theirs_in, theirs_out, 2) if log is None else (theirs_in, log.fileno(), log.fileno())
        order = {"arguments": list(arguments), "env": {"OMP_NUM_THREADS": "2", **env}}
        self._number, self.pid = parent().start(order, streams)
        os.close(theirs_in)
        os.close(theirs_out)

    def poll(self) -> int | None:
        return parent().exit_code(self._number)

    def wait(self, timeout: float = 600) -> int:
        code = parent().exit_code(self._number, timeout)
        if code is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill_group(self) -> None:
        """Ends it and whatever it has left behind, if anything."""
        # Where it has ended and its pid is there, that is another's: nothing of its group is left then.
        if self.poll() is None or not psutil.pid_exists(self.pid):
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self.wait()


def fork_on_demand(control: socket.socket) -> list[str] | None:
    """Returns in each fork what to run, and None in the process itself when nobody needs it any more."""
    for name in SLOW:
        importlib.import_module(name)
    gc.freeze()
    ended, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake)
    numbers: dict[int, int] = {}
    while True:
        ready, _, _ = select.select([control.fileno(), ended], [], [])
        if ended in ready:
            os.read(ended, MESSAGE_BYTES)
            with suppress(ChildProcessError):
                while (exited := os.waitpid(-1, os.WNOHANG))[0] != 0:
                    code = os.waitstatus_to_exitcode(exited[1])
                    control.send(json.dumps({"ended": numbers.pop(exited[0]), "code": code}).encode())
        if control.fileno() in ready:
            message, streams, _, _ = socket.recv_fds(control, MESSAGE_BYTES, 3)
            if not message:
                return None
            order = json.loads(message)
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                os.setsid()
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                for descriptor in (*streams, ended, wake, control.detach()):
                    os.close(descriptor)
                os.environ.clear()
                os.environ.update(order["env"])
                # Which PyTorch reads only while it is imported.
                importlib.import_module("torch").set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
                return list(order["arguments"])
            for stream in streams:
                os.close(stream)
            numbers[pid] = order["number"]
            control.send(json.dumps({"started": pid}).encode())


if __name__ == "__main__":
    arguments = fork_on_demand(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None and arguments[0] == "-m":
        sys.argv = arguments[1:]
        runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
    elif arguments is not None:
        sys.argv = arguments
        runpy.run_path(arguments[0], run_name="__main__")
