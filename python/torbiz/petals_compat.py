"""Lets Petals 2.2.0 run with hivemind 1.1.12 and without bitsandbytes, and keeps its start-up quiet.

Import this module before ``petals``; importing it is enough.

Petals 2.2.0.post1 pins hivemind 1.1.10.post2, which has no binary for ARM and needs a compiler. hivemind 1.1.12 has
wheels for Linux and macOS on both processors, but no longer re-exports at its top level the names that Petals takes
from there.

Its ``petals.utils.peft`` imports bitsandbytes (CUDA kernels, 250 MB) for quantized LoRA adapters, and the server
imports that module even without any adapter. Torbiz serves none, so the one function that is called then stands in for
it.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import types

# Log handlers are the program's to choose, and colours don't belong in a log.
os.environ.setdefault("PETALS_LOGGING", "false")
os.environ.setdefault("HIVEMIND_COLORS", "false")
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# One text at a time needs no threads, and the tokenizer warns where they meet hivemind's forks.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

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


def _using_adapter(active_adapter: str | None) -> contextlib.AbstractContextManager[None]:
    """What ``petals.utils.peft.using_adapter`` does when no adapter is loaded."""
    if active_adapter:
        raise ValueError(f"This server has no adapter {active_adapter}")
    return contextlib.nullcontext()


def _replace_peft() -> None:
    module = types.ModuleType("petals.utils.peft", "Stands in for Petals' module of LoRA adapters.")
    vars(module)["using_adapter"] = _using_adapter
    sys.modules[module.__name__] = module


_restore_hivemind_names()
_replace_peft()

# transformers 4.34 warns at import about torch's own deprecations: nothing that its user could act on.
logging.getLogger("torch.utils._pytree").setLevel(logging.ERROR)
