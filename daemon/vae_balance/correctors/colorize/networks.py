"""The networks of the three designs, by the name of their corrector."""

from __future__ import annotations

from vae_balance.correctors.colorize.autoencoder import AutoencoderConfig, ColorAutoencoder
from vae_balance.correctors.colorize.cross_channel import CrossChannel, CrossChannelConfig
from vae_balance.correctors.colorize.fusion import ColorFusion, FusionConfig

AnyColorizer = ColorAutoencoder | ColorFusion | CrossChannel
# The folder of a model that has the network.
NETWORK_FOLDER = "colorizer"
# Design -> class, sizes.
_DESIGNS = {
    "autoencoder": (ColorAutoencoder, AutoencoderConfig),
    "fusion": (ColorFusion, FusionConfig),
    "cross-channel": (CrossChannel, CrossChannelConfig),
}
DESIGNS = tuple(_DESIGNS)


def corrector_of(design: str) -> str:
    """Return the name of the corrector that a design is for."""
    return f"colorize-{design}"


def colorizer_type(corrector: str) -> type[AnyColorizer]:
    """Return the class of the network of a corrector.

    Raises:
        KeyError: there is no such corrector.
    """
    return {corrector_of(design): kinds[0] for design, kinds in _DESIGNS.items()}[corrector]


def new_colorizer(design: str, classes: bool) -> AnyColorizer:
    """Return an untrained network of a design; see `ColorHead` for the classes.

    Raises:
        KeyError: there is no such design.
    """
    network, config = _DESIGNS[design]
    return network(config(classes=classes))
