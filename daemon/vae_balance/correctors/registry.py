"""Which correctors there are; each is imported when it is asked for."""

from __future__ import annotations

from importlib import import_module

from vae_balance.correctors.corrector import Corrector, Wants
from vae_balance.errors import ModelError
from vae_balance.models.store import ModelInfo, find_model, verify_files
from vae_balance_protocol.options import DEVICE, MODEL, Option

# What model.json calls it -> module within this package, class.
_CORRECTORS = {
    "latent-balancer": ("latent_balancer.corrector", "LatentBalancerCorrector"),
    "grey-world": ("classical", "GreyWorld"),
    "shades-of-grey": ("classical", "ShadesOfGrey"),
    "stretch": ("classical", "Stretch"),
    "vae-white-balance": ("vae_white_balance.corrector", "VaeWhiteBalance"),
    "unet": ("unet.corrector", "UNetCorrector"),
    "mixed-light": ("mixed_light.corrector", "MixedLightCorrector"),
    "colorize-autoencoder": ("colorize.corrector", "AutoencoderColorizer"),
    "colorize-fusion": ("colorize.corrector", "FusionColorizer"),
    "colorize-cross-channel": ("colorize.corrector", "CrossChannelColorizer"),
}
NAMES = tuple(_CORRECTORS)


def corrector_type(name: str) -> type[Corrector]:
    """Return the class of the corrector that a `model.json` names.

    Raises:
        KeyError: there is none of this name.
    """
    module, kind = _CORRECTORS[name]
    found: type[Corrector] = getattr(import_module(f"{__package__}.{module}"), kind)
    return found


def wants_of(info: ModelInfo) -> Wants:
    """Return what the corrector of a model is shown; nothing is loaded for it.

    Raises:
        ModelError: it is for a later version.
    """
    return _type_for(info).wants


def options_of(info: ModelInfo) -> tuple[Option, ...]:
    """Return the options that the corrector of a model heeds; as `wants_of`."""
    return _type_for(info).options


def load_corrector(name: str = MODEL.default, device: str = DEVICE.default) -> Corrector:
    """Load what `--model` names, when its files are whole.

    Args:
        name: a model's name or the path of its folder.
        device: "auto" (CUDA when there is one), "cpu", "cuda" or "cuda:N".

    Raises:
        ModelError: no such model, its files are damaged, or it is for a later version.
        OptionError: no such device.
    """
    info = find_model(name)
    verify_files(info)
    return load_found(info, device)


def load_found(info: ModelInfo, device: str) -> Corrector:
    """Load a model that was found; as `load_corrector`, without a look at the checksums.

    Raises:
        ModelError: it is for a later version, or its files are not what they should be.
        OptionError: no such device.
    """
    return _type_for(info).load(info, device)


def _type_for(info: ModelInfo) -> type[Corrector]:
    try:
        return corrector_type(info.corrector)
    except KeyError:
        raise ModelError(
            f"model {info.name}: is for a corrector {info.corrector!r}, which this version of VAE "
            "Balance does not have: install a later one"
        ) from None
