"""The speed self-test with Petals' own blocks, and the cache of blocks in the layout of the hub's own library."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from tests.prepare import PYTHON
from tests.warm import WarmProcess
from torbiz.block_cache import cached_models, remove_model

SMALL = {
    "model_type": "llama",
    "hidden_size": 256,
    "intermediate_size": 512,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LARGE = SMALL | {"hidden_size": 2048, "intermediate_size": 8192, "num_attention_heads": 32}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def run(module: str, *arguments: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": str(PYTHON)},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def speed(config: dict[str, object], seconds: str) -> float:
    options = ("--config", json.dumps(config), "--seconds", seconds)
    process = WarmProcess(["-m", "torbiz.speed_test", *options], {**os.environ, "OMP_NUM_THREADS": "1"})
    lines = process.stdout.read().splitlines()
    assert process.wait() == 0
    measured: float = json.loads(lines[-1])["tokensPerSecond"]
    return measured


def test_larger_blocks_are_measured_as_slower_ones() -> None:
    # 74 times the numbers to multiply: whatever else runs here, it shows.
    assert speed(SMALL, "2") > 3 * speed(LARGE, "2") > 0


def test_every_family_is_measured() -> None:
    common = {"hidden_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4}
    assert speed({"model_type": "bloom", **common}, "1") > 0
    assert speed({"model_type": "falcon", "new_decoder_architecture": True, "num_kv_heads": 2, **common}, "1") > 0


def test_the_measuring_keeps_to_its_time() -> None:
    began = time.monotonic()
    speed(LARGE, "0")
    assert time.monotonic() - began < 120  # torch, Petals and two steps: much less than the 100 steps of a server


def cache(root: Path, repository: str, contents: dict[str, bytes]) -> None:
    """What the hub's library leaves of a model: contents by their hashes, and a snapshot of links."""
    folder = root / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    for path in (folder / "blobs", folder / "refs", snapshot):
        path.mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for index, (name, content) in enumerate(contents.items()):
        blob = folder / "blobs" / f"{index:040x}"
        blob.write_bytes(content)
        (snapshot / name).symlink_to(Path("../../blobs") / blob.name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    cache(tmp_path, "owner/small", {"config.json": b"{}"})
    cache(tmp_path, "other/Large-1.0", {"config.json": b"{}", "model.safetensors": bytes(5000)})
    (tmp_path / "blocks.lock").touch()
    (tmp_path / "throughput_v5.json").write_text("{}")
    return tmp_path


def test_the_cache_tells_each_models_size_as_the_hubs_library_does(root: Path) -> None:
    models = cached_models(root)
    assert list(models) == ["other/Large-1.0", "owner/small"]
    for repo in scan_cache_dir(root).repos:
        assert models[repo.repo_id] == repo.size_on_disk + len(COMMIT)
    listed = json.loads(run("torbiz.block_cache", "--root", str(root), "list"))
    assert listed == {"models": [{"repository": name, "bytes": size} for name, size in models.items()]}


def test_a_removed_model_is_gone_and_the_others_stay(root: Path) -> None:
    size = cached_models(root)["other/Large-1.0"]
    answer = json.loads(run("torbiz.block_cache", "--root", str(root), "remove", "other/Large-1.0"))
    assert answer == {"removed": size}
    assert list(cached_models(root)) == ["owner/small"]
    assert remove_model(root, "other/Large-1.0") == 0
    assert (root / "throughput_v5.json").exists()


@pytest.mark.parametrize("name", ["..", "../x", "/etc", "owner", "a/b/c", "owner/../small", ""])
def test_only_a_repositorys_folder_can_be_removed(root: Path, name: str) -> None:
    with pytest.raises(ValueError, match="repository"):
        remove_model(root, name)


def test_an_empty_volume_has_no_models(tmp_path: Path) -> None:
    assert cached_models(tmp_path / "petals") == {}
