"""Lets Petals 2.2.0 run with hivemind 1.1.12 and without bitsandbytes, and keeps its start-up quiet and quick.

Import this module before ``petals``; importing it is enough.

Petals 2.2.0.post1 pins hivemind 1.1.10.post2, which has no binary for ARM and needs a compiler. hivemind 1.1.12 has
wheels for Linux and macOS on both processors, but no longer re-exports at its top level the names that Petals takes
from there.

Of an unknown protocol the p2pd of hivemind 1.1.12 says what Petals doesn't look for. By that word it tells a server
that is reached through relays, and so answers no ping, from one that is dead (``petals.utils.ping``).

Its ``petals.utils.peft`` imports bitsandbytes (CUDA kernels, 250 MB) for quantized LoRA adapters, and the server
imports that module even without any adapter. Torbiz serves none, so the one function that is called then stands in for
it.

A third of the time that Petals' import takes goes into modules of which nothing is called here: hivemind imports
scipy's optimizers to average gradients, and accelerate PyTorch's checkpoints of distributed training. Both are imported
when something of them is called.

transformers 4.34 fills an embedding with random numbers also where it has no memory yet. For that PyTorch 2.13 imports
its whole compiler, three seconds for nothing: what has no memory stays as it is.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import importlib
import logging
import os
import sys
import types
from collections.abc import Callable, Iterator
from typing import Any

# Log handlers are the program's to choose, and colours don't belong in a log.
os.environ.setdefault("PETALS_LOGGING", "false")
os.environ.setdefault("HIVEMIND_COLORS", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# One text at a time needs no threads, and the tokenizer warns where they meet hivemind's forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# As in torbiz.engines.local. On two cores, asking a swarm on the same computer: by default 10.3 tokens a second and 2.1
# CPU seconds in the client for an answer of 96 tokens, with it 11.2 and 1.3.
os.environ.setdefault("GOMP_SPINCOUNT", "300")

_MOVED_NAMES = {
    "hivemind.compression": ("deserialize_tensor_stream", "deserialize_torch_tensor", "serialize_torch_tensor"),
    "hivemind.moe.server.runtime": ("Runtime",),
    "hivemind.p2p": ("P2P", "P2PContext", "PeerID"),
    "hivemind.utils.asyncio": ("anext",),
    "hivemind.utils.logging": ("get_logger",),
    "hivemind.utils.nested": ("nested_compare", "nested_flatten", "nested_pack"),
    "hivemind.utils.serializer": ("MSGPackSerializer",),
    "hivemind.utils.tensor_descr": ("BatchTensorDescriptor", "TensorDescriptor"),
    "hivemind.utils.timed_storage": ("MAX_DHT_TIME_DISCREPANCY_SECONDS", "TimedStorage", "get_dht_time"),
}
"""The names Petals 2.2.0.post1 imports from ``hivemind``, by the submodule that has them in 1.1.12."""


def _restore_hivemind_names() -> None:
    hivemind = importlib.import_module("hivemind")
    for module_name, names in _MOVED_NAMES.items():
        module = importlib.import_module(module_name)
        for name in names:
            setattr(hivemind, name, getattr(module, name))


def _restore_word_for_unknown_protocols() -> None:
    from hivemind.p2p.p2p_daemon_bindings.control import ControlClient
    from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError

    call = ControlClient.call_unary_handler

    @functools.wraps(call)
    async def call_unary_handler(*args: Any, **options: Any) -> Any:
        try:
            return await call(*args, **options)
        except P2PDaemonError as error:
            if "protocols not supported" in str(error):
                raise P2PDaemonError("protocol not supported") from error
            raise

    ControlClient.call_unary_handler = call_unary_handler


def _using_adapter(active_adapter: str | None) -> contextlib.AbstractContextManager[None]:
    """What ``petals.utils.peft.using_adapter`` does when no adapter is loaded."""
    if active_adapter:
        raise ValueError(f"This server has no adapter {active_adapter}")
    return contextlib.nullcontext()


def _replace_peft() -> None:
    module = types.ModuleType("petals.utils.peft", "Stands in for Petals' module of LoRA adapters.")
    vars(module)["using_adapter"] = _using_adapter
    sys.modules[module.__name__] = module


class _ImportedWhenCalled(types.ModuleType):
    """Functions of a module that imports it only when one of them is called.

    ``importlib.util.LazyLoader`` is not for this: an ``import`` of the module elsewhere is enough for it to load.
    """

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name.startswith("__"):
            raise AttributeError(f"module {self.__name__!r} isn't imported yet and has no {name!r}")

        def call(*args: Any, **options: Any) -> Any:
            if sys.modules.get(self.__name__) is self:
                del sys.modules[self.__name__]
            return getattr(importlib.import_module(self.__name__), name)(*args, **options)

        return call


def _fill_no_tensor_without_memory() -> None:
    from torch.nn import init

    normal = init.normal_

    @functools.wraps(normal)
    def normal_(tensor: Any, *args: Any, **options: Any) -> Any:
        return tensor if tensor.is_meta else normal(tensor, *args, **options)

    init.normal_ = normal_


def _put_off_what_is_not_called() -> None:
    for name in ("scipy.optimize", "accelerate.utils.fsdp_utils"):
        sys.modules.setdefault(name, _ImportedWhenCalled(name))


@contextlib.contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """What is imported stays for ever: looking through it again and again takes a sixth of the time of an import."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


# transformers 4.34 warns at import about torch's own deprecations: nothing that its user could act on.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)

with _without_garbage_collection():
    _put_off_what_is_not_called()
    _restore_hivemind_names()
    _restore_word_for_unknown_protocols()
    _replace_peft()
    _fill_no_tensor_without_memory()
    importlib.import_module("petals")
