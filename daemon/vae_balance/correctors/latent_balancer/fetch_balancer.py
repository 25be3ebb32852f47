"""Fetch a model of the catalog, a VAE and a latent balancer for it, and make it whole."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import filelock

from vae_balance.correctors.latent_balancer.published_network import read_checkpoint
from vae_balance.errors import ModelError, OptionError
from vae_balance.files import real_path
from vae_balance.models import store
from vae_balance.models.catalog import (
    CHECKPOINT_NAME,
    FETCHABLE,
    LATENT_BALANCER_FOLDER,
    RemoteFile,
    RemoteModel,
)
from vae_balance.models.fetch import FetchProgress, check_mirror, fetch_files

_LOCK_NAME = ".fetch.lock"


def fetch_model(
    name: str,
    mirror: str | None = None,
    trained: Path | None = None,
    progress: FetchProgress = lambda file, done, total: None,
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
    check_mirror(mirror)
    remote = FETCHABLE[name]
    folder = store.user_models_folder() / name

    def train_instead(file: RemoteFile) -> str:
        if file not in remote.balancer_parts:
            return ""
        return (
            "; or train a latent balancer of your own for the VAE, which is there: "
            f"vae-balance train balancer --vae {name}"
        )

    folder.mkdir(parents=True, exist_ok=True)
    try:
        with filelock.FileLock(folder / _LOCK_NAME, timeout=0):
            published = trained is None and not _has_balancer(folder)
            joined = (folder / LATENT_BALANCER_FOLDER / CHECKPOINT_NAME).is_file()
            parts = remote.balancer_parts if published and not joined else ()
            fetch_files((*remote.vae, *parts), folder, mirror, progress, train_instead)
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
    if real_path(target) != real_path(trained / LATENT_BALANCER_FOLDER):
        shutil.copytree(trained / LATENT_BALANCER_FOLDER, target, dirs_exist_ok=True)
    _describe(remote, folder, f"latent balancer of {info.name} {info.version}")


def _convert_balancer(remote: RemoteModel, folder: Path) -> None:
    """Make a network's folder of the published latent balancer, joined or still in parts.

    Raises:
        ModelError: it is none.
    """
    checkpoint = folder / LATENT_BALANCER_FOLDER / CHECKPOINT_NAME
    if not checkpoint.is_file():  # else it was joined by hand
        _join([folder / part.target for part in remote.balancer_parts], checkpoint)
    balancer = read_checkpoint(checkpoint)
    balancer.save_folder(folder / LATENT_BALANCER_FOLDER, balancer.conv1.conv.weight.dtype)
    source = remote.balancer_parts[0]
    _describe(remote, folder, f"latent balancer {source.host}/{source.repository}")
    checkpoint.unlink()


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
