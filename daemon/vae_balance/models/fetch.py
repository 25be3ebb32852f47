"""Fetch a model of the catalog into the user's folder for models, and make it whole.

What is there already and whole stays: the same command mends what is damaged, goes on with what
broke off, and takes up files that were copied by hand.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import filelock

from vae_balance.errors import ModelError, OptionError
from vae_balance.models import store
from vae_balance.models.catalog import (
    CHECKPOINT_NAME,
    FETCHABLE,
    LATENT_BALANCER_FOLDER,
    RemoteFile,
    RemoteModel,
)
from vae_balance.models.hub import UnreachableError, fetch_file, is_whole, url_of

# Called with the file that is being fetched, the bytes that are there, and all its bytes if known.
Progress = Callable[[RemoteFile, int, int | None], None]

_LOCK_NAME = ".fetch.lock"


def fetch_model(
    name: str,
    mirror: str | None = None,
    trained: Path | None = None,
    progress: Progress = lambda file, done, total: None,
) -> store.ModelInfo:
    """Fetch what a model lacks, and describe it; the model is then found by its name.

    Args:
        name: of a model of the catalog.
        mirror: where its files are fetched instead, see `hub.url_of`.
        trained: folder of a model whose latent balancer was trained for this model's VAE; it is
            used in place of the published one.
        progress: told how much of a file is there.

    Raises:
        OptionError: there is no model of this name to fetch.
        ModelError: a file cannot be fetched, or is not the one that is expected.
    """
    if name not in FETCHABLE:
        known = ", ".join(FETCHABLE)
        raise OptionError(f"model {name!r}: there is none of this name to fetch; choose: {known}")
    if mirror is not None and not mirror.startswith(("http://", "https://")):
        raise OptionError(
            f"mirror {mirror!r}: not an address; for instance https://hub.example.org"
        )
    remote = FETCHABLE[name]
    folder = store.user_models_folder() / name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / _LOCK_NAME, timeout=0):
            published = trained is None and not _has_balancer(folder)
            joined = (folder / LATENT_BALANCER_FOLDER / CHECKPOINT_NAME).is_file()
            parts = remote.balancer_parts if published and not joined else ()
            _fetch_files(remote, (*remote.vae, *parts), folder, mirror, progress)
            if trained is not None:
                _take_balancer(remote, trained, folder)
            elif published:
                _convert_balancer(remote, folder)
            return store.read_info(folder)
    except filelock.Timeout as error:
        raise ModelError(f"{folder}: another vae-balance fetches it; wait for that") from error


def _has_balancer(folder: Path) -> bool:
    """Return whether the model has a latent balancer, and it is whole."""
    try:
        info = store.read_info(folder)
        own = {
            name: digest
            for name, digest in info.sha256.items()
            if name.startswith(LATENT_BALANCER_FOLDER)
        }
        store.verify_files(replace(info, sha256=own))
    except ModelError:
        return False
    return bool(own)


def _take_balancer(remote: RemoteModel, trained: Path, folder: Path) -> None:
    """Copy a latent balancer that was trained for the model's VAE.

    Raises:
        ModelError: there is none, it is damaged, or it was trained for another VAE.
    """
    info = store.read_info(trained)
    store.verify_files(info)
    for file in remote.vae:
        if info.sha256.get(file.target) != file.sha256:
            raise ModelError(
                f"{trained}: its latent balancer was trained for another VAE; train one with "
                f"vae-balance train balancer --vae {remote.name}"
            )
    target = folder / LATENT_BALANCER_FOLDER
    if target.resolve() != (trained / LATENT_BALANCER_FOLDER).resolve():
        shutil.copytree(trained / LATENT_BALANCER_FOLDER, target, dirs_exist_ok=True)
    _describe(remote, folder, f"latent balancer of {info.name} {info.version}")


def _convert_balancer(remote: RemoteModel, folder: Path) -> None:
    """Make a network's folder of the published latent balancer, joined or still in parts.

    Raises:
        ModelError: it is none.
    """
    from vae_balance.correctors.latent_balancer.published_network import read_checkpoint

    checkpoint = folder / LATENT_BALANCER_FOLDER / CHECKPOINT_NAME
    if not checkpoint.is_file():  # else it was joined by hand
        _join([folder / part.target for part in remote.balancer_parts], checkpoint)
    balancer = read_checkpoint(checkpoint)
    balancer.save_folder(folder / LATENT_BALANCER_FOLDER, balancer.conv1.conv.weight.dtype)
    source = remote.balancer_parts[0]
    _describe(remote, folder, f"latent balancer {source.host}/{source.repository}")
    checkpoint.unlink()


def _fetch_files(
    remote: RemoteModel,
    files: Sequence[RemoteFile],
    folder: Path,
    mirror: str | None,
    progress: Progress,
) -> None:
    """Fetch the files that are not there.

    Raises:
        ModelError: one cannot be fetched, and what to do by hand; or one is not what is expected.
    """
    for file in files:

        def follow(done: int, total: int | None, file: RemoteFile = file) -> None:
            progress(file, done, total)

        try:
            fetch_file(file, folder / file.target, mirror, follow)
        except UnreachableError as error:
            advice = _by_hand(files, folder)
            if file in remote.balancer_parts:
                advice += (
                    "; or train a latent balancer of your own for the VAE, which is there: "
                    f"vae-balance train balancer --vae {remote.name}"
                )
            raise ModelError(f"{error}; {advice}") from error


def _by_hand(files: Sequence[RemoteFile], folder: Path) -> str:
    missing = [file for file in files if not is_whole(file, folder / file.target)]
    copies = ", ".join(f"{url_of(file)} to {folder / file.target}" for file in missing)
    return (
        "without a connection, download on another computer, copy each file to its place and run "
        f"the same command again: {copies}"
    )


def _join(parts: Sequence[Path], whole: Path) -> None:
    joined = whole.with_name(whole.name + ".part")
    with joined.open("wb") as out:
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, out)
    joined.replace(whole)
    for part in parts:
        part.unlink()


def _describe(remote: RemoteModel, folder: Path, balancer: str) -> None:
    source = f"{remote.source}; {balancer}"
    store.write_info(folder, remote.name, remote.version, remote.license, source)
