"""Fetching a file: what breaks off goes on, what is damaged is not kept, nothing is asked twice."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hub_server import HubServer, path_of
from huggingface_hub import constants

from vae_balance.errors import ModelError
from vae_balance.models import hub
from vae_balance.models.catalog import SD_VAE_FT_MSE, RemoteFile
from vae_balance.models.hub import UnreachableError, fetch_file, url_of

CONTENT = bytes(range(256)) * 12_000  # much more than is written at once
FILE = RemoteFile(
    "huggingface.co",
    "owner/name",
    "0123456789abcdef0123456789abcdef01234567",
    "weights.safetensors",
    "vae/weights.safetensors",
    hashlib.sha256(CONTENT).hexdigest(),
    len(CONTENT),
)
UNSTATED = replace(FILE, host="github.com", path="part_00", sha256=None, size=None)

Fetch = Callable[..., None]


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model" / "vae" / "weights.safetensors"


@pytest.fixture
def fetch(server: HubServer, target: Path) -> Fetch:
    """Return a function that fetches a file, which the server has, to `target`."""
    for file in (FILE, UNSTATED):
        server.files[path_of(file)] = CONTENT

    def run(file: RemoteFile = FILE, progress: hub.FileProgress = lambda done, total: None) -> None:
        fetch_file(file, target, server.url, progress)

    return run


def nothing_left_but(target: Path) -> bool:
    return [path.name for path in target.parent.iterdir()] == [target.name]


@pytest.mark.parametrize("file", [FILE, UNSTATED])
def test_a_file_is_fetched_whole(fetch: Fetch, target: Path, file: RemoteFile) -> None:
    seen: list[tuple[int, int | None]] = []
    fetch(file, lambda done, total: seen.append((done, total)))
    assert target.read_bytes() == CONTENT
    assert nothing_left_but(target)
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert len(seen) > 2


def test_what_is_there_and_whole_is_not_asked_for(
    fetch: Fetch, server: HubServer, target: Path
) -> None:
    fetch()
    asked = len(server.asked)
    fetch()
    assert len(server.asked) == asked


@pytest.mark.parametrize("file", [FILE, UNSTATED])
def test_a_broken_connection_goes_on_where_it_broke(
    fetch: Fetch, server: HubServer, target: Path, file: RemoteFile
) -> None:
    server.cuts = [1_500_000, 0, 1_000_000]
    fetch(file)
    assert target.read_bytes() == CONTENT
    starts = [int(wanted.strip("bytes=-") or 0) for _, wanted in server.requests]
    assert starts[0] == 0
    assert starts[-1] > 2_300_000
    assert starts == sorted(starts)


def test_a_run_that_was_interrupted_goes_on_in_the_next(
    fetch: Fetch, server: HubServer, target: Path
) -> None:
    def interrupt(done: int, total: int | None) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(FILE, interrupt)
    assert not target.exists()
    fetch()
    assert target.read_bytes() == CONTENT
    assert server.requests[-1][1] == f"bytes={1 << 16}-"


def test_a_server_without_ranges_sends_all_again(
    fetch: Fetch, server: HubServer, target: Path
) -> None:
    server.ranges = False
    server.cuts = [1_500_000]
    fetch()
    assert target.read_bytes() == CONTENT


@pytest.mark.parametrize("file", [FILE, UNSTATED])
def test_what_is_left_of_a_longer_file_is_thrown_away(
    fetch: Fetch, target: Path, file: RemoteFile
) -> None:
    target.parent.mkdir(parents=True)
    target.with_name(target.name + ".part").write_bytes(b"x" * (len(CONTENT) + 5))
    fetch(file)
    assert target.read_bytes() == CONTENT


def test_a_wrong_checksum_is_refused_and_nothing_is_kept(
    fetch: Fetch, server: HubServer, target: Path
) -> None:
    server.files[path_of(FILE)] = b"x" + CONTENT[1:]
    with pytest.raises(ModelError, match=r"weights.safetensors: not the file that is expected"):
        fetch()
    assert not list(target.parent.iterdir())


def test_a_damaged_file_is_replaced(fetch: Fetch, target: Path) -> None:
    target.parent.mkdir(parents=True)
    target.write_bytes(CONTENT[:-1])
    fetch()
    assert target.read_bytes() == CONTENT


def test_a_missing_file_is_asked_for_once(fetch: Fetch, server: HubServer) -> None:
    server.files.clear()
    with pytest.raises(UnreachableError, match="cannot be fetched: HTTP 404 Not Found"):
        fetch()
    assert len(server.asked) == 1


def test_a_busy_server_is_asked_again(fetch: Fetch, server: HubServer, target: Path) -> None:
    server.statuses = [503, 429]
    fetch()
    assert target.read_bytes() == CONTENT


def test_a_server_that_stays_busy_is_given_up(fetch: Fetch, server: HubServer) -> None:
    server.statuses = [503] * 100
    with pytest.raises(UnreachableError, match="HTTP 503"):
        fetch()
    assert len(server.asked) == 5


def test_a_connection_that_always_breaks_is_given_up(fetch: Fetch, server: HubServer) -> None:
    server.cuts = [0] * 100
    with pytest.raises(UnreachableError, match="it breaks off again and again"):
        fetch()


def test_without_a_network_it_says_so(target: Path) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # not listening: a connection is refused
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with pytest.raises(UnreachableError, match="no connection"):
            fetch_file(FILE, target, url, lambda done, total: None)


def test_offline_nothing_is_asked_for(
    fetch: Fetch, server: HubServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(UnreachableError, match="HF_HUB_OFFLINE is set"):
        fetch()
    assert not server.asked


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the hub's cache has the file."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    snapshots = tmp_path / "cache" / "models--owner--name" / "snapshots"
    path = snapshots / FILE.revision / FILE.path
    path.parent.mkdir(parents=True)
    path.write_bytes(CONTENT)
    return path


def test_what_the_hubs_cache_has_is_taken_from_there(
    fetch: Fetch, server: HubServer, target: Path, cached: Path
) -> None:
    fetch()
    assert target.read_bytes() == cached.read_bytes() == CONTENT
    assert not server.asked


def test_what_is_damaged_in_the_hubs_cache_is_fetched(
    fetch: Fetch, target: Path, cached: Path
) -> None:
    cached.write_bytes(b"damaged")
    fetch()
    assert target.read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_named(fetch: Fetch, target: Path) -> None:
    target.parent.parent.mkdir()
    target.parent.write_text("a file is in the way")
    with pytest.raises(ModelError, match=r"weights.safetensors: cannot be written: "):
        fetch()


def test_every_address_names_a_commit() -> None:
    for file in (*SD_VAE_FT_MSE.vae, *SD_VAE_FT_MSE.balancer_parts):
        assert f"/{file.revision}/" in url_of(file)
        assert url_of(file).startswith("https://")
        assert url_of(file, "http://m/") == (
            f"http://m/{file.repository}/resolve/{file.revision}/{file.path}"
        )
