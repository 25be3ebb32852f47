"""The local balancer: a latent balancer that asks of every place what light falls there.

It is a fused latent balancer, and begins with the weights of one: what that knows of things and
their colors holds for any light. That one reads one context from the whole photo, and moves every
latent by it. This one reads a context of each of 3 x 3 overlapping parts of the photo as well, by
the same layers, tells for every place how much each of these counts there, and adds what the
place's own surroundings say.

Sizes in the comments are for a 224 x 224 proxy.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vae_balance.correctors.classifier import Features
from vae_balance.correctors.latent_balancer.fused_network import (
    Answer,
    FusedBalancerConfig,
    FusedLatentBalancer,
    chosen_of,
    normalized,
    places_of,
)

# Parts of the photo along each edge, and tokens of 14 along the edge of a part.
PARTS, PART = 3, 6
_STRIDE, _TOKENS = 4, 14
# Sides of the squares of tokens whose means a place is told.
_AROUND = (3, 5, 9)


@dataclass(frozen=True)
class LocalBalancerConfig(FusedBalancerConfig):
    """Sizes of the network; further ones as in `FusedBalancerConfig`.

    Attributes:
        base: name or folder of the model whose VAE it works on, and whose look it adds to.
        near: channels of what is read from a place's surroundings.
        near_blocks: blocks that read it, each looking further.
        near_dropout: of these, in training.
    """

    base: str = "embedded"
    near: int = 128
    near_blocks: int = 3
    near_dropout: float = 0.2


class _NearBlock(nn.Module):
    """Residual block: means of surroundings of three sizes, at times all places, every place."""

    def __init__(self, channels: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.dropout = dropout
        self.norm_around, self.norm = nn.LayerNorm(channels), nn.LayerNorm(channels)
        self.around = nn.Linear(len(_AROUND) * channels, channels)
        self.attention = nn.MultiheadAttention(channels, heads, batch_first=True) if heads else None
        self.enter = nn.Linear(channels, 2 * channels)
        self.leave = nn.Linear(2 * channels, channels)
        nn.init.normal_(self.around.weight, std=0.02)
        nn.init.normal_(self.leave.weight, std=0.02)
        if self.attention is not None:
            nn.init.zeros_(self.attention.out_proj.weight)

    def forward(self, x: Tensor, around: Tensor) -> Tensor:
        """Map (B, 196, C) to the same shape; `around`, see `_means_around`."""
        means = (around @ self.norm_around(x)[:, None]).transpose(1, 2).flatten(2)
        x = x + self.around(means)
        h = self.norm(x)
        if self.attention is not None:
            # Attention that tells its weights is trained twice as fast on the CPU.
            x = x + self.attention(h, h, h, need_weights=self.training)[0]
        h = F.silu(self.enter(h))
        # Whole channels of a photo: to draw for every place would take a fifth of a step's time.
        h = h * F.dropout(torch.ones_like(h[:, :1]), self.dropout, self.training)
        changed: Tensor = self.leave(h)
        return x + changed


class LocalBalancer(FusedLatentBalancer):
    """Moments of B photos and what is seen in them to moments, each place by its own light.

    Only the means of the moments that it gives are learned.
    """

    config_type = LocalBalancerConfig
    config: LocalBalancerConfig
    _counts: Tensor
    _around: Tensor

    def __init__(self, config: LocalBalancerConfig = LocalBalancerConfig()) -> None:
        super().__init__(config)
        near, context, token = config.near, config.context, config.token
        self.enter_near = nn.Linear(token + context + 8 * config.latent_channels, near)
        self.near = nn.ModuleList(
            _NearBlock(near, 0 if number else config.attention, config.near_dropout)
            for number in range(config.near_blocks)
        )
        self.norm_near = nn.LayerNorm(near)
        self.tell_parts = nn.Linear(near, 1 + PARTS**2)
        self.tell_context = nn.Linear(near, context)
        self.tell_token = nn.Linear(near, token)
        for last in (self.tell_parts, self.tell_context, self.tell_token):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)
        self.register_buffer("_counts", _counts_of_parts(), persistent=False)
        self.register_buffer("_around", _means_around(), persistent=False)

    def forward(
        self,
        moments: Tensor,
        features: Features,
        statistics: Tensor,
        corner: tuple[int, int] | None = None,
    ) -> Answer:
        """Move moments to where the undamaged photos lie; see `FusedLatentBalancer.forward`."""
        x = self._scaled(moments)
        latents = places_of(chosen_of(x, corner))
        context, tokens = self._describe(x, latents, features, statistics)
        parts = self._describe_parts(latents, tokens, features, statistics)
        lights, tokens = self._light_of_places(x, context, parts, tokens)
        if corner is None:
            lights = _to_latents(lights)
        change = self._change(latents, lights, tokens, corner)
        return self._answer(chosen_of(moments, corner), change, context, latents)

    def _describe_parts(
        self, latents: Tensor, tokens: Tensor, features: Features, statistics: Tensor
    ) -> Tensor:
        """Return a context of every part of the photo, (B, 9, K), as `_describe` makes one of all.

        Only the colors and tokens are those of the part.
        """
        colors = _parts_of(self.palette(latents))  # (B, 9, places, C)
        things = self._things_of(features)[:, None].expand(-1, PARTS**2, -1)
        statistics = statistics[:, None].expand(-1, PARTS**2, -1)
        context = self._context_of(things, colors, statistics)
        return self._looked_over(context, _parts_of(tokens), _parts_of(self.gaze(tokens)))

    def _light_of_places(
        self, x: Tensor, context: Tensor, parts: Tensor, tokens: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return a context of every place, (B, 196, K), and tokens that know it."""
        contexts = torch.cat([context[:, None], parts], dim=1)
        nearest = self._counts.log_softmax(dim=-1)
        around = nearest.exp() @ contexts
        colors = places_of(F.pixel_unshuffle(x, 2))
        read = self.enter_near(torch.cat([tokens, around, colors], dim=-1))
        for block in self.near:
            read = block(read, self._around)
        read = self.norm_near(read)
        counts = (nearest + self.tell_parts(read)).softmax(dim=-1)
        lights = normalized(counts @ contexts + self.tell_context(read))
        return lights, tokens + self.tell_token(read)


def _parts_of(x: Tensor) -> Tensor:
    """Return (B, N, C) at N places of a square as (B, 9, places, C) of overlapping parts."""
    side = round(x.shape[1] ** 0.5)
    square = x.unflatten(1, (side, side))
    size, stride = side * PART // _TOKENS, side * _STRIDE // _TOKENS
    parts = square.unfold(1, size, stride).unfold(2, size, stride)  # (B, 3, 3, C, size, size)
    return parts.flatten(4).flatten(1, 2).transpose(-2, -1)


def _counts_of_parts() -> Tensor:
    """Return how much the whole photo and its parts count at every token, as logits (196, 10)."""
    token = torch.arange(_TOKENS) + 0.5
    middle = torch.arange(PARTS) * _STRIDE + PART / 2
    near = -0.5 * ((token[:, None] - middle) / (PART / 2)).square()  # (14, 3)
    parts = (near[:, None, :, None] + near[None, :, None, :]).flatten(2).flatten(0, 1)
    whole = torch.zeros(len(parts), 1)
    return torch.cat([whole, parts.log_softmax(dim=-1)], dim=1)


def _means_around() -> Tensor:
    """Return what makes the means of a token's surroundings of each size, (3, 196, 196)."""
    token = torch.arange(_TOKENS)
    means = []
    for side in _AROUND:
        near = ((token[:, None] - token).abs() <= side // 2).float()
        near = near / near.sum(dim=1, keepdim=True)
        means.append(torch.kron(near, near))
    return torch.stack(means)


def _to_latents(x: Tensor) -> Tensor:
    """Return what tokens know, (B, 196, C), for each of the 2 x 2 latents of each."""
    square = x.transpose(1, 2).unflatten(2, (_TOKENS, _TOKENS))
    return places_of(F.interpolate(square, scale_factor=2.0, mode="nearest"))
