"""A model whose latent balancer is a committee of other models' balancers."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import torch

from vae_balance.correctors.latent_balancer.committee import BalancerCommittee
from vae_balance.correctors.latent_balancer.networks import load_members
from vae_balance.errors import ModelError, OptionError
from vae_balance.models.catalog import LATENT_BALANCER_FOLDER, VAE_FOLDER
from vae_balance.models.store import ModelInfo, find_model, read_info, verify_files, write_info


def make_committee(names: Sequence[str], out: Path) -> ModelInfo:
    """Make a model whose balancer gives the mean of what the balancers of others say.

    Weights are kept as 8-bit integers: two balancers take the space of one.

    Args:
        names: models, or their folders, in the order of the members; of a committee all members
            are taken.
        out: folder of the new model.

    Raises:
        OptionError: fewer than two, or `out` is the folder of one of them.
        ModelError: there is no such model, its files are damaged, or its balancer does not fit.
    """
    if len(names) < 2:
        raise OptionError("a committee has two members or more: name the models it is made of")
    infos = [find_model(name) for name in names]
    if any(info.folder.resolve() == out.resolve() for info in infos):
        raise OptionError(f"{out}: is a member itself; choose another folder for the committee")
    members = []
    for info in infos:
        verify_files(info)
        members += load_members(info.folder / LATENT_BALANCER_FOLDER)
        if _vae_of(info) != _vae_of(infos[0]):
            raise ModelError(
                f"{info.folder}: its latent balancer was trained for another VAE than that of "
                f"{infos[0].folder}"
            )
    try:
        committee = BalancerCommittee.of(members)
    except ValueError as error:
        raise ModelError(f"{', '.join(names)}: {error} make no committee") from error
    shutil.copytree(infos[0].folder / VAE_FOLDER, out / VAE_FOLDER, dirs_exist_ok=True)
    committee.save_folder(out / LATENT_BALANCER_FOLDER, torch.int8)
    licenses = {info.license for info in infos}
    license = licenses.pop() if len(licenses) == 1 else "not stated"
    source = "committee of " + ", ".join(f"{info.name} {info.version}" for info in infos)
    write_info(out, out.resolve().name, "1", license, source)
    return read_info(out)


def _vae_of(info: ModelInfo) -> dict[str, str]:
    """Return the checksums of the VAE's files."""
    return {name: sha for name, sha in info.sha256.items() if name.startswith(f"{VAE_FOLDER}/")}
