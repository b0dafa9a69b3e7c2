from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from torbiz.contribution import FILE, MAX_DAYS, Contribution


def read(path: Path) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(path.read_text())
    return value


def today() -> str:
    return datetime.now(UTC).date().isoformat()


def test_it_goes_on_where_the_last_run_ended(tmp_path: Path) -> None:
    path = tmp_path / FILE
    first = Contribution(path)
    first.add(sessions=1, tokens=40, online_seconds=2.0, blocks=30)
    first.add(tokens=2, online_seconds=2.0, blocks=30)
    first.save()
    second = Contribution(path)
    second.add(sessions=1)
    second.save()
    assert read(path)["days"] == {today(): {"sessions": 2, "tokens": 42, "onlineSeconds": 4, "blockSeconds": 120}}
    assert list(tmp_path.iterdir()) == [path]


def test_it_is_written_once_a_minute_and_only_when_there_is_news(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / FILE
    seconds = 0.0
    monkeypatch.setattr("torbiz.contribution.time.monotonic", lambda: seconds)
    contribution = Contribution(path)
    for _ in range(59):
        seconds += 1
        contribution.add(online_seconds=1.0, blocks=2)
    assert not path.exists()
    seconds += 1
    contribution.add(online_seconds=1.0, blocks=2)
    assert read(path)["days"][today()]["onlineSeconds"] == 60
    path.unlink()
    seconds += 100
    contribution.add()
    assert not path.exists()


@pytest.mark.parametrize(
    "content",
    ["", "{", "[]", '{"id": "a"}', '{"id": "a", "days": {"2026-01-31": {"tokens": "many"}}}', '{"id":1,"days":[1]}'],
)
def test_a_damaged_file_is_set_aside_and_another_begun(tmp_path: Path, content: str) -> None:
    path = tmp_path / FILE
    path.write_text(content)
    contribution = Contribution(path)
    contribution.add(tokens=1)
    contribution.save()
    assert read(path)["days"] == {today(): {"sessions": 0, "tokens": 1, "onlineSeconds": 0, "blockSeconds": 0}}
    assert len(read(path)["id"]) == 32
    assert (tmp_path / "contribution.damaged.json").read_text() == content


def test_a_full_disk_costs_nothing_but_the_writing(tmp_path: Path) -> None:
    path = tmp_path / "gone" / FILE
    contribution = Contribution(path)
    contribution.add(tokens=1)
    contribution.save()
    path.parent.mkdir()
    contribution.save()
    assert read(path)["days"][today()]["tokens"] == 1


def test_it_stays_small(tmp_path: Path) -> None:
    path = tmp_path / FILE
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    days = {(begin + timedelta(days=day)).date().isoformat(): {"tokens": day} for day in range(1500)}
    path.write_text(json.dumps({"id": "a" * 32, "days": days}))
    contribution = Contribution(path)
    contribution.add(tokens=1)
    contribution.save()
    kept = read(path)["days"]
    assert len(kept) == MAX_DAYS
    assert max(kept) == today()
    assert len(path.read_bytes()) < 64_000
