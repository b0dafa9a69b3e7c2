"""Downloads from a hub on this computer that fails in every way a hub does."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub import Fault, HubStandIn, commit_of, hub
from tests.prepare import PYTHON
from tests.way import NAME, Proxy, make_authority, proxy_here
from torbiz.download_job import DownloadError, Speed
from torbiz.hub import CHUNK, Hub, Limits
from torbiz.hub_download import BLOCK_PREFIXES, ModelFiles, block_prefix, cached_models, files_with
from torbiz.seeder import explain
from torbiz.status import Download
from torbiz.web import Way

REPOSITORY = "maker/tiny-llama"
SHARD_BYTES = 600_000
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
QUICK = Limits(connect=2.0, silence=1.0, start=1.5, patience=2.0, retry=0.02)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the hub has: weights of 4 blocks in two files, of which nobody here reads the contents."""
    folder = tmp_path / "hub" / REPOSITORY
    folder.mkdir(parents=True)
    weights = {f"model.layers.{block}.w": SHARDS[block // 2] for block in range(4)}
    weights |= {"model.embed_tokens.weight": SHARDS[0], "lm_head.weight": SHARDS[1]}
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}))
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    (folder / "tokenizer.json").write_text("{}")
    for number, name in enumerate(SHARDS):
        (folder / name).write_bytes(hashlib.shake_128(bytes([number])).digest(SHARD_BYTES))
    return folder


@pytest.fixture
def stand_in(folder: Path) -> Iterator[HubStandIn]:
    with hub(folder.parent.parent) as stand_in:
        yield stand_in


class Cache:
    """A seeder's cache, and what it is told of downloads."""

    def __init__(self, root: Path, stand_in: HubStandIn) -> None:
        self.root = root
        self._stand_in = stand_in
        self.told: list[Download | None] = []
        self.tell: Callable[[Download | None], None] = self.told.append
        self.said: list[str | None] = []

    def open(self, *, token: str | None = None, revision: str = "main", limit: int | None = None) -> ModelFiles:
        self.root.mkdir(exist_ok=True)
        files = ModelFiles(
            self.root,
            Hub(REPOSITORY, token=token, endpoint=self._stand_in.url, limits=QUICK, say=self.said.append),
            revision,
            tell=self.tell,
            say=self.said.append,
            max_disk_space=limit,
        )
        files.open()
        return files

    def bring(self, blocks: range = range(4), **options: Any) -> Path:
        files = self.open(**options)
        files.bring_blocks(blocks)
        return files.snapshot

    def fails(self, blocks: range = range(4), **options: Any) -> DownloadError:
        with pytest.raises(DownloadError) as failure:
            self.bring(blocks, **options)
        return failure.value


@pytest.fixture
def cache(tmp_path: Path, stand_in: HubStandIn) -> Cache:
    return Cache(tmp_path / "cache", stand_in)


def ranges_of(stand_in: HubStandIn) -> list[str | None]:
    return [request.range for request in stand_in.requests if request.place == "store"]


def test_the_snapshot_is_as_the_hubs_own_library_keeps_it(cache: Cache, folder: Path) -> None:
    snapshot = cache.bring()
    from huggingface_hub import scan_cache_dir, try_to_load_from_cache

    (found,) = scan_cache_dir(cache.root).repos
    assert (found.repo_id, [revision.commit_hash for revision in found.revisions]) == (REPOSITORY, [commit_of(folder)])
    for name in (*SHARDS, "config.json", "model.safetensors.index.json"):
        assert try_to_load_from_cache(REPOSITORY, name, cache_dir=str(cache.root)) == str(snapshot / name)
        assert (snapshot / name).read_bytes() == (folder / name).read_bytes()
    assert not list(cache.root.rglob("*.incomplete"))


def test_only_files_with_the_wanted_blocks_come_and_each_once(cache: Cache, stand_in: HubStandIn) -> None:
    snapshot = cache.bring(range(1, 2))
    assert (snapshot / SHARDS[0]).is_file()
    assert not (snapshot / SHARDS[1]).exists()
    stand_in.fail()
    cache.bring(range(1, 3))
    assert {request.file for request in stand_in.requests} == {SHARDS[1]}


def test_what_is_here_is_used_without_a_word_to_the_hub(cache: Cache, stand_in: HubStandIn) -> None:
    snapshot = cache.bring()
    stand_in.fail(Fault(silent_after=0))
    assert cache.bring() == snapshot
    assert cache.bring(revision=snapshot.name) == snapshot
    assert stand_in.requests == []


def test_progress_is_told_by_file(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torbiz.hub_download.TELL_SECONDS", 0)
    cache.bring()
    told = [download for download in cache.told if download is not None]
    for number, name in enumerate(SHARDS):
        done = [download.done for download in told if download.file == name]
        assert done == sorted(done)
        assert done[0] == 0
        assert done[-1] == SHARD_BYTES
        assert len(done) > 3
        assert {(d.total, d.files, d.filesDone) for d in told if d.file == name} == {(SHARD_BYTES, 2, number)}
    assert cache.told[-1] is None


def test_a_cut_is_gone_on_from(cache: Cache, stand_in: HubStandIn, folder: Path) -> None:
    stand_in.fail(Fault(SHARDS[0], cut_after=250_000, times=2))
    snapshot = cache.bring(range(2))
    first, second, third = ranges_of(stand_in)
    assert first is None
    assert second is not None
    assert third is not None
    assert 100_000 < int(second[6:-1]) <= 250_000 < int(third[6:-1])
    assert (snapshot / SHARDS[0]).read_bytes() == (folder / SHARDS[0]).read_bytes()
    assert any(said and "broke off. Trying again." in said for said in cache.said)
    assert cache.said[-1] is None


def test_what_came_before_an_end_is_kept_for_the_next_start(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.fail(Fault(SHARDS[0], cut_after=250_000, times=1), Fault(SHARDS[0], place="store", status=503))
    assert cache.fails().code == "hub-unreachable"
    stand_in.fail()
    cache.bring(range(2))
    assert ranges_of(stand_in) == [f"bytes={250_000 // CHUNK * CHUNK}-"]


@pytest.mark.parametrize("partial", [b"", b"x" * 1000, b"x" * SHARD_BYTES, b"x" * (SHARD_BYTES + 1)])
def test_a_server_that_only_gives_the_whole_and_a_partial_file_of_any_length(
    cache: Cache, stand_in: HubStandIn, folder: Path, partial: bytes
) -> None:
    sha256 = hashlib.sha256((folder / SHARDS[0]).read_bytes()).hexdigest()
    blobs = cache.root / "models--maker--tiny-llama" / "blobs"
    blobs.mkdir(parents=True)
    (blobs / f"{sha256}.incomplete").write_bytes(partial)
    stand_in.fail(Fault(whole=True))
    if len(partial) == SHARD_BYTES:
        assert cache.fails().code == "model-broken"  # complete and wrong: it goes, and the next start brings it
    assert (cache.bring(range(2)) / SHARDS[0]).read_bytes() == (folder / SHARDS[0]).read_bytes()


def test_a_wrong_hash_is_told_and_nothing_of_it_stays(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.fail(Fault(SHARDS[1], wrong=True))
    failure = cache.fails()
    assert failure.code == "model-broken"
    assert str(failure).startswith(f"{SHARDS[1]} of {REPOSITORY} came with a wrong hash")
    assert len([path for path in cache.root.rglob("blobs/*") if path.stat().st_size == SHARD_BYTES]) == 1
    stand_in.fail()
    cache.bring()


@pytest.mark.parametrize(
    ("fault", "token", "code", "words"),
    [
        (Fault("config.json", status=401, code="GatedRepo"), None, "model-gated", "no token was given. Ask for access"),
        (Fault("config.json", status=403, code="GatedRepo"), "hf_x", "model-gated", "owner is not one of them"),
        (Fault("config.json", status=403), "hf_x", "model-gated", "http"),
        (Fault("api", status=401), "hf_x", "model-gated", "doesn't accept the Hugging Face token"),
        (Fault("api", status=401), None, "model-unknown", f"no model {REPOSITORY}, or it is private."),
        (Fault("api", status=404, code="RepoNotFound"), None, "model-unknown", f"no model {REPOSITORY}"),
        (Fault("api", status=404, code="RevisionNotFound"), None, "model-unknown", "no revision main"),
        (Fault("config.json", status=404, code="EntryNotFound"), None, "model-unknown", "no file config.json"),
        (Fault("config.json", status=418), None, "hub-unreachable", "error (418)"),
        (Fault("api", status=503), None, "hub-unreachable", "error (503)"),
        (Fault("api", status=429), None, "hub-unreachable", "too many requests"),
    ],
)
def test_a_refusal_is_told_in_words(
    cache: Cache, stand_in: HubStandIn, fault: Fault, token: str | None, code: str, words: str
) -> None:
    stand_in.fail(fault)
    failure = cache.fails(token=token)
    assert failure.code == code
    assert words in str(failure)


def test_a_hub_that_recovers_is_waited_for(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.fail(Fault("api", status=503, times=1), Fault("config.json", status=429, times=1))
    cache.bring()


def test_a_token_goes_to_the_hub_and_not_on_to_its_store(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.state.token = "hf_secret"
    assert cache.fails(token="hf_other").code == "model-gated"
    stand_in.fail()
    cache.bring(token="hf_secret")
    assert {(request.place, request.token) for request in stand_in.requests if request.place != "store"} == {
        ("api", "hf_secret"),
        ("hub", "hf_secret"),
    }


@pytest.mark.parametrize("fault", [Fault("api", silent_after=0), Fault("config.json", silent_after=0)])
def test_a_hub_that_never_answers_is_told_in_bounded_time(cache: Cache, stand_in: HubStandIn, fault: Fault) -> None:
    stand_in.fail(fault)
    began = time.monotonic()
    failure = cache.fails()
    assert (failure.code, "has sent nothing for" in str(failure)) == ("hub-unreachable", True)
    assert time.monotonic() - began < 20


def test_a_hub_that_falls_silent_is_asked_again_and_then_given_up(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.fail(Fault(SHARDS[0], silent_after=200_000, times=1))
    cache.bring()
    assert ranges_of(stand_in)[1] is not None
    assert any(said and "has sent nothing for" in said and "Trying again" in said for said in cache.said)


def test_a_hub_that_stays_silent_is_given_up(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.fail(Fault(SHARDS[0], silent_after=200_000, times=1), Fault(SHARDS[0], place="store", silent_after=0))
    began = time.monotonic()
    failure = cache.fails()
    assert (failure.code, "has sent nothing for" in str(failure)) == ("hub-unreachable", True)
    assert time.monotonic() - began < 20


def test_a_slow_hub_is_told_with_its_speed(cache: Cache, stand_in: HubStandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torbiz.hub_download.TELL_SECONDS", 0.2)
    monkeypatch.setattr("torbiz.hub_download.SLOW_AFTER_SECONDS", 0.5)
    monkeypatch.setattr("torbiz.hub_download.SLOW_BYTES_PER_SECOND", 500_000)
    stand_in.fail(Fault(SHARDS[0], bytes_per_second=300_000))
    cache.bring(range(2))
    (slow, *_) = [said for said in cache.said if said]
    assert slow.startswith("The model hub sends ")
    assert "kB/s: this file takes " in slow
    assert cache.said[-1] is None


def test_a_speed_is_known_however_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 16.0, 48.0])
    monkeypatch.setattr("torbiz.download_job.time.monotonic", lambda: next(times))
    speed = Speed()
    assert [speed.note(done) for done in (0, 16_000, 32_000)] == [None, 1000.0, 500.0]


def test_nobody_at_the_address(cache: Cache, stand_in: HubStandIn) -> None:
    stand_in.close()
    failure = cache.fails()
    assert (failure.code, "can't be reached" in str(failure)) == ("hub-unreachable", True)


def test_something_else_at_the_address(tmp_path: Path, cache: Cache, stand_in: HubStandIn) -> None:
    (tmp_path / "hub" / REPOSITORY / "config.json").unlink()
    assert cache.fails().code == "model-unknown"
    other = Hub(REPOSITORY, endpoint=f"{stand_in.url}/_requests?", limits=QUICK)
    with pytest.raises(DownloadError, match="doesn't answer as a model hub does"):
        other.list_files("main")


def test_the_disks_limit_is_kept_and_nothing_is_removed_for_it(cache: Cache) -> None:
    cache.bring(range(2))
    before = cached_models(cache.root)
    failure = cache.fails(limit=SHARD_BYTES + 300_000)
    assert failure.code == "disk-full"
    assert "needs 0.6 MB more" in str(failure) or "needs 600 kB more" in str(failure)
    assert f"Models that could be removed: {REPOSITORY} (" in str(failure)
    assert cached_models(cache.root) == before
    cache.bring(limit=2 * SHARD_BYTES + 300_000)


def test_a_disk_without_room_is_told(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torbiz.hub_download.RESERVE_BYTES", 1 << 60)
    failure = cache.fails()
    assert (failure.code, "0 bytes can be used" in str(failure)) == ("disk-full", True)


# Only there can a disk be made for a test.
if sys.platform == "linux" and os.geteuid() == 0:

    @pytest.fixture
    def small_disk(tmp_path: Path) -> Iterator[Path]:
        """A disk of 1 MiB, which is one file of the weights and not two."""
        disk = tmp_path / "disk"
        disk.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=True)
        yield disk
        subprocess.run(["umount", "--lazy", disk], check=True)

    def test_a_disk_that_gets_full_in_the_middle_keeps_what_came_and_goes_on_when_there_is_room(
        small_disk: Path, stand_in: HubStandIn, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("torbiz.hub_download.RESERVE_BYTES", 0)
        monkeypatch.setattr("torbiz.hub_download.TELL_SECONDS", 0)
        filler = small_disk / "filler"

        def fill(download: Download | None) -> None:
            """Somebody else takes the room that there was when the download began."""
            if download is not None and download.file == SHARDS[0] and download.done > 0 and not filler.exists():
                filler.write_bytes(bytes(max(0, shutil.disk_usage(small_disk).free - 100_000)))

        cache = Cache(small_disk / "cache", stand_in)
        cache.tell = fill
        with pytest.raises(OSError, match="No space left") as failure:
            cache.bring(range(2))
        assert explain(failure.value) == ("disk-full", "No space is left on the cache volume.")
        (partial,) = cache.root.rglob("*.incomplete")
        kept = partial.stat().st_size
        assert 100_000 <= kept < SHARD_BYTES
        # Without any room it isn't even begun.
        stand_in.requests.clear()
        assert "needs " in str(cache.fails(range(2)))
        assert ranges_of(stand_in) == []
        filler.unlink()
        cache.tell = cache.told.append
        assert (cache.bring(range(2)) / SHARDS[0]).read_bytes() == (folder / SHARDS[0]).read_bytes()
        assert ranges_of(stand_in) == [f"bytes={kept}-"]


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin"])
def test_pickle_files_are_refused(cache: Cache, folder: Path, pickle: str) -> None:
    for name in (*SHARDS, "model.safetensors.index.json"):
        (folder / name).unlink()
    (folder / pickle).write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    failure = cache.fails()
    assert (failure.code, "only as pickle files" in str(failure)) == ("model-unsupported", True)


@pytest.mark.parametrize("name", ["evil.bin", "../evil.safetensors", "/evil.safetensors", ".safetensors", ""])
def test_an_index_that_leads_elsewhere_is_refused(name: str) -> None:
    with pytest.raises(DownloadError, match="no safetensors file"):
        files_with({"weight_map": {"w": name}}, lambda _: True)


def test_a_damaged_config_comes_anew(cache: Cache, folder: Path) -> None:
    good = (folder / "config.json").read_text()
    (folder / "config.json").write_text("{")
    assert cache.fails().code == "model-broken"
    (folder / "config.json").write_text(good)
    cache.bring()


def test_a_model_in_one_file_comes_whole(cache: Cache, folder: Path, stand_in: HubStandIn) -> None:
    (folder / "model.safetensors.index.json").unlink()
    (folder / SHARDS[0]).rename(folder / "model.safetensors")
    snapshot = cache.bring(range(1, 2))
    assert (snapshot / "model.safetensors").is_file()
    stand_in.fail()
    cache.bring(range(3, 4))
    assert stand_in.requests == []


def test_names_that_would_lead_out_of_the_cache_are_refused(cache: Cache, stand_in: HubStandIn) -> None:
    for revision in ("../main", "/etc", "a/../b", ""):
        assert cache.fails(revision=revision).code == "model-unknown"
    for repository in ("..", "a/..", "owner", "a/b/c", "-/-/"):
        with pytest.raises(DownloadError):
            Hub(repository, endpoint=stand_in.url)


def test_the_blocks_names_begin_as_petals_says() -> None:
    from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

    # isort: split
    from petals.utils.auto_config import _CLASS_MAPPING

    assert {kind: classes.config.block_prefix for kind, classes in _CLASS_MAPPING.items()} == BLOCK_PREFIXES
    with pytest.raises(DownloadError, match="not of gpt2"):
        block_prefix({"model_type": "gpt2"})


@pytest.fixture
def bring_client(tmp_path: Path, stand_in: HubStandIn) -> Callable[[], subprocess.Popen[str]]:
    """Starts the client's download, as the extension does."""

    def start() -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "torbiz.hub_download", "--repo", REPOSITORY, "--revision", "main"),
                *("--out", str(tmp_path / "models/tiny/petals"), "--status", str(tmp_path / "status.json")),
                *("--lock", str(tmp_path / "lock")),
            ],
            env={**os.environ, "PYTHONPATH": str(PYTHON), "HF_ENDPOINT": stand_in.url},
            stdin=subprocess.PIPE,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.close()
        return process

    return start


def test_a_client_gets_all_that_is_in_no_block(
    tmp_path: Path, folder: Path, stand_in: HubStandIn, bring_client: Callable[[], subprocess.Popen[str]]
) -> None:
    weights = {"model.layers.0.w": SHARDS[0], "lm_head.weight": SHARDS[1]}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
    assert bring_client().wait(60) == 0
    out = tmp_path / "models/tiny/petals"
    assert sorted(path.name for path in out.iterdir()) == [
        *("config.json", SHARDS[1], "model.safetensors.index.json", "tokenizer.json"),
    ]
    for path in (out, out.parent, *out.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)
    assert json.loads((tmp_path / "status.json").read_text())["state"] == "done"
    stand_in.fail()
    assert bring_client().wait(60) == 0
    assert stand_in.requests == []


def test_a_client_goes_on_where_it_was_cancelled(
    tmp_path: Path, stand_in: HubStandIn, bring_client: Callable[[], subprocess.Popen[str]]
) -> None:
    stand_in.fail(Fault(SHARDS[1], bytes_per_second=50_000))
    process = bring_client()
    status: dict[str, Any] = {}
    while status.get("doneBytes", 0) < SHARD_BYTES + 100_000:
        assert process.poll() is None
        time.sleep(0.05)
        if (tmp_path / "status.json").exists():
            status = json.loads((tmp_path / "status.json").read_text())
    assert status["totalBytes"] == 2 * SHARD_BYTES
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 130
    assert not (tmp_path / "models/tiny/petals/config.json").exists()
    stand_in.fail()
    assert bring_client().wait(60) == 0
    assert [request.range is not None for request in stand_in.requests if request.place == "store"] == [True]
    assert (tmp_path / "models/tiny/petals/config.json").exists()


def test_a_clients_failure_is_in_its_status(
    tmp_path: Path, stand_in: HubStandIn, bring_client: Callable[[], subprocess.Popen[str]]
) -> None:
    stand_in.fail(Fault(SHARDS[0], wrong=True))
    assert bring_client().wait(60) == 1
    assert json.loads((tmp_path / "status.json").read_text())["code"] == "model-broken"


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    yield from proxy_here()


def test_what_the_host_tells_of_proxies_and_authorities_is_the_way_to_a_hub(
    folder: Path, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # not the one that is told
    authority = make_authority(tmp_path)
    authorities = (authority / "ca.pem").read_text()
    with hub(folder.parent.parent, authority) as stand_in:
        endpoint = f"https://{NAME}:{stand_in.port}"

        def files(way: Way) -> ModelFiles:
            hub = Hub(REPOSITORY, endpoint=endpoint, way=way, limits=QUICK, token="hf_secret")
            return ModelFiles(tmp_path / "cache", hub, "main")

        def failure(way: Way) -> str:
            with pytest.raises(DownloadError) as failed:
                files(way).open()
            assert failed.value.code == "hub-unreachable"
            return str(failed.value).removesuffix(f" Missing here of {REPOSITORY} at main: everything.")

        led = {"https": f"http://me:p%40ss@127.0.0.1:{proxy.port}"}
        host = f"{NAME}:{stand_in.port}"
        assert "a certificate that this computer doesn't trust" in failure(Way(led))
        assert failure(Way({**led, "no": NAME}, authorities)) == f"{host} can't be reached."
        lost = Way({"https": "http://me:p%40ss@127.0.0.1:9"}, authorities)
        assert failure(lost) == f"{host} is behind a proxy, which can't be reached."
        proxy.status = 407
        asked = len(proxy.targets)
        behind = f"{host} is behind a proxy, which"
        assert failure(Way(led, authorities)) == f"{behind} doesn't accept the user name and password."
        assert len(proxy.targets) == asked + 1  # it won't pass by itself
        nameless = {"https": f"http://127.0.0.1:{proxy.port}"}
        assert failure(Way(nameless, authorities)) == f"{behind} wants a user name and a password."
        proxy.status = 502
        assert failure(Way(led, authorities)) == f"{behind} answers with 502."
        assert proxy.targets.pop(asked + 1) == (host, None)
        socks = Way({"https": "socks5://me:p%40ss@127.0.0.1:9"}, authorities)
        assert failure(socks) == f"{host} can't be reached: the proxy that is set isn't an http:// address."
        assert stand_in.requests == []

        proxy.status = 200
        brought = files(Way(led, authorities))
        snapshot = brought.open()
        brought.bring_blocks(range(4))
        for name in SHARDS:
            assert (snapshot / name).read_bytes() == (folder / name).read_bytes()
        # Also where the hub sends one on to.
        assert {request.place for request in stand_in.requests} == {"api", "hub", "store"}
        assert {request.token for request in stand_in.requests if request.place != "store"} == {"hf_secret"}
        assert set(proxy.targets) == {(host, f"Basic {b64encode(b'me:p@ss').decode()}")}


def test_a_login_kept_for_other_programs_does_not_go_before_the_token(
    cache: Cache, stand_in: HubStandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password other\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    stand_in.state.token = "hf_mine"
    cache.open(token="hf_mine")
    assert {request.token for request in stand_in.requests} == {"hf_mine"}


def test_without_a_hub_what_is_missing_here_is_told(cache: Cache, stand_in: HubStandIn, folder: Path) -> None:
    commit = commit_of(folder)
    cache.bring(range(2))
    stand_in.fail(Fault(status=503))
    failure = cache.fails(blocks=range(4), revision=commit)
    assert failure.code == "hub-unreachable"
    assert str(failure).endswith(f" Missing here of {REPOSITORY} at {commit[:7]}: {SHARDS[1]}.")
    other = cache.fails(revision="b" * 40)
    assert str(other).endswith(f" Missing here of {REPOSITORY} at bbbbbbb: everything.")
    stand_in.fail()
    cache.bring(range(2), revision=commit)
    assert stand_in.requests == []
