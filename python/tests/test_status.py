from __future__ import annotations

import io
import json
import logging
import os
from pathlib import Path

import pytest

from torbiz import memory
from torbiz.logs import OneLineFormatter, configure_logging
from torbiz.status import MAX_BYTES, Blocks, Download, Glance, Status, StatusFile


def read(path: Path) -> dict[str, object]:
    value: dict[str, object] = json.loads(path.read_text())
    return value


def test_every_change_is_in_the_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "run" / "status.json"
    status = StatusFile(path, Status(stage="starting", model="m"))
    assert read(path)["stage"] == "starting"
    status.update(stage="loading", blocks=Blocks(1, 30, 0, 30))
    assert read(path)["blocks"] == {"loaded": 1, "total": 30, "start": 0, "end": 30}
    assert list(path.parent.iterdir()) == [path]


def test_times_go_back_with_the_clock_and_return_but_a_sleep_is_time_that_passed(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    noon, one, two = (f"2026-01-31T{hour}:00:00.000Z" for hour in (12, 13, 14))
    status = StatusFile(path, Status(stage="finishing", model="m", since=one, finishBy=one))

    def after(hours: int) -> tuple[object, object]:
        status.move_times(hours * 3600.0)
        return read(path)["since"], read(path)["finishBy"]

    assert after(-1) == (noon, noon)
    assert after(+1) == (one, one)
    assert after(+1) == (one, two)  # asleep
    assert after(-2) == ("2026-01-31T11:00:00.000Z", noon)
    assert read(path)["lastActivity"] is None


def test_the_file_stays_small_whatever_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    status = StatusFile(path, Status(stage="online", model="m"))
    address = "/ip6/2001:db8:85a3::8a2e:370:7334/tcp/31330/p2p/12D3KooWQYhTNQdmr3ArTeUHRYzFg94BKyTkoWBDWez9kSCVe2Xo"
    download = Download("model-00001-of-00002.safetensors", 10**12, 10**12, 99, 99, 10**9)
    status.update(addresses=[address] * 60, message="x" * 5000, download=download)
    assert len(path.read_bytes()) <= MAX_BYTES
    assert read(path)["stage"] == "online"
    # What the swarm has is left out last, and only where it alone is too long.
    status.update(message=None, swarm=Glance(1, [(1, 1)] * 100))
    assert read(path)["swarm"] == {"peers": 1, "coverage": [[1, 1]] * 100}
    status.update(swarm=Glance(1, [(1, 1)] * 1000))
    assert len(path.read_bytes()) <= MAX_BYTES
    assert read(path)["swarm"] is None


def test_a_stage_is_logged_once_and_a_renewed_time_is_not(tmp_path: Path) -> None:
    stream = io.StringIO()
    configure_logging(stream=stream)
    status = StatusFile(tmp_path / "status.json", Status(stage="starting", model="m"))
    status.update(stage="loading", blocks=Blocks(3, 30, 0, 30))
    status.update()
    status.update(sessions=1)
    status.update(stage="downloading", download=Download("a.safetensors", 5, 10, 2, 1, None))
    status.update(download=Download("a.safetensors", 6, 10, 2, 1, 3))
    assert [line.split(": ", 1)[1] for line in stream.getvalue().splitlines()] == [
        "Stage: starting",
        "Stage: loading 3/30",
        "Stage: downloading 1/2 a.safetensors 5/10",
        "Stage: downloading 1/2 a.safetensors 6/10 at 3",
    ]


def test_a_log_record_is_one_line_without_secrets() -> None:
    formatter = OneLineFormatter(secrets=("hf_secret",))
    record = logging.LogRecord("torbiz", logging.INFO, "f", 1, "token %s\nand %s", ("hf_secret", "more"), None)
    line = formatter.format(record)
    assert line.endswith("Z INFO torbiz: token *** and more")
    assert "\n" not in line


def test_the_memory_of_the_container_counts_not_the_machines(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    limit.write_text("2000000000\n")
    assert memory.memory_limit(tmp_path) == 2_000_000_000
    limit.write_text("max\n")
    assert memory.memory_limit(tmp_path) > 2_000_000_000
    limit.unlink()
    (tmp_path / "sys/fs/cgroup/memory").mkdir()
    (tmp_path / "sys/fs/cgroup/memory/memory.limit_in_bytes").write_text("3000000000")
    assert memory.memory_limit(tmp_path) == 3_000_000_000


@pytest.mark.parametrize(
    ("files", "processors"),
    [
        ({"cpu.max": "50000 100000\n"}, 0.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.max": "99900000 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "25000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.25),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
        ({}, None),
    ],
)
def test_the_processors_of_the_container_count_not_the_machines(
    tmp_path: Path, files: dict[str, str], processors: float | None
) -> None:
    for name, text in files.items():
        file = tmp_path / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert memory.processor_limit(tmp_path) == (processors or os.cpu_count())


def test_blocks_are_planned_from_memory() -> None:
    assert memory.blocks_that_fit(16 * 10**9, 176_000_000, 16_000_000, 22) == 22
    assert memory.blocks_that_fit(memory.RUNTIME_BYTES + 3 * 200_000_000, 180_000_000, 20_000_000, 22) == 3
    assert memory.blocks_that_fit(10**9, 176_000_000, 16_000_000, 22) == 0
