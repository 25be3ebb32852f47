"""The sRGB transfer function."""

from __future__ import annotations

import numpy as np

from vae_balance.color.srgb import to_encoded, to_linear


def test_srgb_transfer_functions_agree_with_the_standard() -> None:
    encoded = np.array([0.0, 0.04045, 0.5, 1.0], dtype=np.float32)
    linear = np.array([0.0, 0.0031308, 0.21404114, 1.0], dtype=np.float32)  # IEC 61966-2-1
    np.testing.assert_allclose(to_linear(encoded), linear, atol=1e-6)
    np.testing.assert_allclose(to_encoded(linear), encoded, atol=1e-6)
