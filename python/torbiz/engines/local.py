"""Computes answers in this process with llama.cpp."""

from __future__ import annotations

import ctypes
import gc
import json
import logging
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

# On Linux, how long a thread of llama.cpp spins for another before it sleeps; read when the library is loaded. By
# default (300,000 turns) it starves itself where others compute too: a share, say. Measured with the starter, two
# threads on two cores, in tokens per second: by default 124 alone and 2 to 15 beside two busy processes; with 300, 125
# and 14 to 28; with 0, 60 and 20 to 60.
os.environ.setdefault("GOMP_SPINCOUNT", "300")
# isort: split
import xllamacpp

from torbiz.engines.base import (
    AskError,
    Cancelled,
    Delta,
    Finished,
    FinishReason,
    LocalModel,
    Progress,
    Question,
    Sampling,
    Stuck,
)
from torbiz.engines.gguf_header import Header, HeaderError, read_header
from torbiz.memory import memory_limit

logger = logging.getLogger("torbiz.engines.local")

DEFAULT_CONTEXT = 16_384
"""Tokens. Models are made for more, but llama.cpp reserves the memory of all of it at the start."""
SMALLEST_CONTEXT = 2048
"""Below this a chat is no use. A model made for less has what it was made for."""
COMPUTE_BYTES = 400_000_000
"""What llama.cpp takes besides weights and cache: buffers of a micro-batch and of the vocabulary's logits."""
READ_BYTES = 1 << 20
TELL_SECONDS = 0.25
"""So often it is told how much of a model's file is read."""
UNLOAD_SECONDS = 15.0
"""How long giving the model up waits for the micro-batch that is being computed."""
APPLE_SILICON = sys.platform == "darwin" and platform.machine() == "arm64"


def micro_batch() -> int:
    """Tokens of a prompt that are read in one go; only between two of them can reading be stopped.

    The smallest that reads as fast as the largest. Measured with the starter model in F16, on one thread of an AMD EPYC
    (AVX2), in tokens per second of processor time, and the longest wait for a stop:

    ====== ======== =======
    tokens per s     wait
    ====== ======== =======
    32     163      0.20 s
    64     220      0.29 s
    128    221      0.58 s
    256    218      1.17 s
    512    225      2.28 s
    ====== ======== =======

    Metal's matrix kernels take 32 tokens at once and fill the GPU only with several of those.
    """
    return 128 if APPLE_SILICON else 64


def threads() -> int:
    """-1 for llama.cpp's own count, which is that of a Mac's performance cores; elsewhere the cores that we may use."""
    if sys.platform == "darwin":
        return -1
    return max(1, min(psutil.cpu_count(logical=False) or 1, len(os.sched_getaffinity(0))))


def parameters(model: LocalModel) -> xllamacpp.CommonParams:
    """All settings that a model is loaded with.

    :raises AskError: model-broken, not-enough-memory
    """
    try:
        header = read_header(model.path)
        weights = model.path.stat().st_size
    except FileNotFoundError:
        raise AskError("model-broken", f"The model file {model.path.name} is gone.") from None
    except HeaderError as error:
        raise AskError("model-broken", f"The model file {model.path.name} can't be used. {error}") from error
    except OSError as error:
        raise _unreadable(model.path, error) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(model.path)
    params.n_ctx = choose_context(header, weights, model.context, usable_memory())
    params.n_parallel = 1
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads()
    params.n_batch = params.n_ubatch = micro_batch()
    # Nothing is left out of a chat that has become too long: that would change answers without a word.
    params.ctx_shift = False
    # Chats that were asked before the last one are read anew. Keeping them takes memory without an end in sight.
    params.cache_ram_mib = 0
    # How many layers go to the GPU. Where there is none it only costs a tenth of a second.
    params.fit_params = APPLE_SILICON
    # Flash attention is made for GPUs. Measured with the starter in F16 on one thread of an AMD EPYC (AVX2), in
    # processor time: a follow-up of 37 tokens after 906 known ones takes 0.77 s with it and 0.46 s without, a token
    # after 1076 ones 51 and 40 ms; reading 1076 tokens anew 10.8 and 11.3 ms a token.
    if not APPLE_SILICON:
        params.flash_attn_type = xllamacpp.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED
    params.warmup = False
    # No thoughts before the answer where a model can do without. Where it can't, they are part of the text: it must be
    # possible to go on from all that was made.
    params.enable_reasoning = 0
    params.reasoning_format = xllamacpp.common_reasoning_format.COMMON_REASONING_FORMAT_NONE
    params.n_threads_http = 1
    params.endpoint_slots = False
    params.ui = False
    # It would write prompts to the log.
    params.verbosity = -1
    return params


def usable_memory() -> int:
    """Bytes that a model may take now."""
    available = int(psutil.virtual_memory().available)
    if sys.platform == "darwin":
        # macOS makes room by compressing and by swapping; what counts as available says little.
        return max(available, int(psutil.virtual_memory().total) * 2 // 3)
    return min(available, memory_limit())


def choose_context(header: Header, weights: int, wanted: int | None, memory: int) -> int:
    """Tokens of context for a model of so many bytes of weights.

    :param wanted: None: what the model was made for, as far as the memory goes, up to DEFAULT_CONTEXT
    :raises AskError: not-enough-memory
    """
    room = memory - weights - COMPUTE_BYTES
    fitting = room // header.cache_bytes if header.cache_bytes else header.context
    needed = min(wanted, header.context) if wanted else min(SMALLEST_CONTEXT, header.context)
    if fitting < needed:
        need, have = (f"{amount / 1e9:.1f} GB" for amount in (memory - room + needed * header.cache_bytes, memory))
        raise AskError("not-enough-memory", f"The model needs {need} of memory, and {have} is free.")
    if wanted:
        return needed
    # Half of what is left is for everything else that this computer does.
    return max(needed, min(header.context, DEFAULT_CONTEXT, fitting // 2) // 256 * 256)


def bring_to_memory(path: Path, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]) -> None:
    """Has the system read a model's file, so that loading finds it in memory.

    Python stands still while a model is loaded. While only the disk is waited for, others are answered, progress is
    told and a stop is heard. Measured on two cores with 4 GB in Q4_0: reading 1.3 s (0.2 s where the system has the
    file already), then 4.7 s of standing still, in which llama.cpp packs the weights anew for the processor.

    :raises AskError: model-broken
    :raises Cancelled: when ``cancelled`` says so
    """
    piece = bytearray(READ_BYTES)
    done, told = 0, time.monotonic()
    try:
        with path.open("rb", buffering=0) as file:
            total = os.fstat(file.fileno()).st_size
            if _is_in_memory(file.fileno(), total):
                return
            while count := file.readinto(piece):
                done += count
                if cancelled():
                    raise Cancelled
                if time.monotonic() - told >= TELL_SECONDS:
                    told = time.monotonic()
                    emit(Progress("loading-model", done, total))
    except OSError as error:
        raise _unreadable(path, error) from error


def _is_in_memory(descriptor: int, size: int) -> bool:
    """Whether the system has all of a file, as far as samples and the system tell."""
    if not hasattr(os, "RWF_NOWAIT"):  # a Mac
        return False
    byte = bytearray(1)
    try:
        return all(os.preadv(descriptor, [byte], offset, os.RWF_NOWAIT) for offset in range(0, size, READ_BYTES))
    except OSError:  # it would have to be read, or the file system can't tell
        return False


def load(params: xllamacpp.CommonParams) -> xllamacpp.Server:
    """Loads a model. Python stands still meanwhile: xllamacpp doesn't let go of the interpreter's lock.

    :raises AskError: model-broken
    """
    path = Path(params.model.path)
    started = time.monotonic()
    # xllamacpp always opens a server of its own. A socket that has no name any more is one that nobody can connect to.
    folder = Path(tempfile.mkdtemp(prefix="torbiz-", dir="/tmp"))
    params.hostnames = [str(folder / "llama.sock")]
    try:
        with _signals_kept():
            server = xllamacpp.Server(params)
    except RuntimeError as error:
        message = f"The model file {path.name} is damaged, or llama.cpp doesn't know its kind of model."
        raise AskError("model-broken", message) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    logger.info("Loaded a model with a context of %d tokens in %.1f s", params.n_ctx, time.monotonic() - started)
    return server


def request(question: Question) -> str:
    """The question as llama.cpp takes it."""
    sampling: Sampling = question.sampling
    temperature, top_p = sampling.chosen()
    body: dict[str, Any] = {
        "messages": question.messages,
        "stream": True,
        "return_progress": True,
        "temperature": temperature,
        "top_p": top_p,
    }
    if sampling.max_tokens is not None:
        body["max_tokens"] = sampling.max_tokens
    if sampling.seed is not None:
        body["seed"] = sampling.seed & 0xFFFFFFFF
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    return json.dumps(body)


class LocalEngine:
    """Keeps one model loaded: the one that was asked last."""

    def __init__(self) -> None:
        self._model: LocalModel | None = None
        self._server: xllamacpp.Server | None = None
        self._busy = threading.Lock()

    def answer(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> Finished:
        """As ``Engine`` says.

        :raises AskError: model-broken, not-enough-memory, prompt-too-long, ask-failed
        :raises Cancelled: when ``cancelled`` says so; within a token, or within a micro-batch of the prompt
        """
        with self._busy:
            server = self._ready(question, emit, cancelled)
            if cancelled():
                raise Cancelled
            reader = _Reader(emit, cancelled)
            server.handle_chat_completions(request(question), reader.take)
            return reader.finish()

    def discard(self) -> None:
        """Unloads the model when what is being computed for it has ended.

        :raises Stuck: when that doesn't end
        """
        if not self._busy.acquire(timeout=UNLOAD_SECONDS):
            raise Stuck
        try:
            self._unload()
        finally:
            self._busy.release()

    def _ready(
        self, question: Question, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]
    ) -> xllamacpp.Server:
        model = question.target
        assert isinstance(model, LocalModel)
        if self._server is None or self._model != model:
            emit(Progress("loading-model"))
            self._unload()
            params = parameters(model)
            bring_to_memory(model.path, emit, cancelled)
            self._server, self._model = load(params), model
        return self._server

    def _unload(self) -> None:
        if self._server is not None:
            self._server = self._model = None
            # The server's end is that of its last reference. One in a cycle would keep a model's memory for long.
            gc.collect()


class _Reader:
    """Takes the chunks of one answer. What it raises would be lost in llama.cpp, so it is kept until the end."""

    def __init__(self, emit: Callable[[Progress | Delta], None], cancelled: Callable[[], bool]) -> None:
        self._emit = emit
        self._cancelled = cancelled
        self._failure: BaseException | None = None
        self._reason: FinishReason | None = None
        self._timings: dict[str, Any] = {}

    def take(self, chunk: str) -> bool:
        """:returns: whether llama.cpp shall stop here"""
        try:
            if self._cancelled():
                raise Cancelled
            self._read(json.loads(chunk))
        except BaseException as error:
            self._failure = error
        return self._failure is not None

    def finish(self) -> Finished:
        """:raises AskError, Cancelled: what ended it otherwise"""
        if self._failure is not None:
            raise self._failure
        if self._reason is None:
            raise AskError("ask-failed", "llama.cpp ended without an answer.")
        cached = int(self._timings.get("cache_n", 0))
        read = int(self._timings.get("prompt_n", 0))
        return Finished("", self._reason, cached + read, int(self._timings.get("predicted_n", 0)), cached)

    def _read(self, chunk: dict[str, Any]) -> None:
        if "error" in chunk or "choices" not in chunk:
            raise _failure(chunk.get("error", chunk))
        if progress := chunk.get("prompt_progress"):
            self._emit(Progress("reading-prompt", int(progress["processed"]), int(progress["total"])))
        for choice in chunk["choices"]:
            if text := choice["delta"].get("content"):
                self._emit(Delta(text, 1))
            if reason := choice.get("finish_reason"):
                self._reason = "length" if reason == "length" else "stop"
        self._timings = chunk.get("timings") or self._timings


def _unreadable(path: Path, error: OSError) -> AskError:
    return AskError("model-broken", f"The model file {path.name} can't be read ({error.strerror}).")


def _failure(error: dict[str, Any]) -> AskError:
    """llama.cpp's own text stays away: it can quote the question."""
    kind = str(error.get("type", "unknown"))
    if kind == "exceed_context_size_error":
        message = (
            f"The question takes {error.get('n_prompt_tokens')} tokens; the model has room for {error.get('n_ctx')}, "
            "its answer included."
        )
        return AskError("prompt-too-long", message)
    if kind == "invalid_request_error":
        return AskError("ask-failed", "The model has no form for such a chat.")
    return AskError("ask-failed", f"llama.cpp failed ({kind}).")


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Puts the handlers of SIGINT and SIGTERM back that were there before.

    xllamacpp sets its own, under which those signals would end the model instead of the process. Python's ``signal``
    can set them in the main thread only; the system's call can anywhere, and what it stores is left as it is.
    """
    call = ctypes.CDLL(None).sigaction
    kept = {number: ctypes.create_string_buffer(256) for number in (signal.SIGINT, signal.SIGTERM)}
    for number, action in kept.items():
        call(int(number), None, action)
    try:
        yield
    finally:
        for number, action in kept.items():
            call(int(number), action, None)
