"""Models and their checksums."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from vae_balance.doctor import model_files
from vae_balance.errors import ModelError
from vae_balance.models import store

AGAIN = "run the installer again: python3 installer/install.py"


def test_the_embedded_model_is_whole() -> None:
    line, *_others = model_files.model_lines()
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
    line = next(line for line in model_files.model_lines() if not line.ok)
    assert line.subject == ("model random" if own else "model embedded")
    assert line.finding.startswith(f"{folder / 'vae/config.json'}: damaged: its sha256 is ")
    assert line.mend == (
        f"put a whole copy of it into {folder}, or remove that folder" if own else AGAIN
    )


def test_a_package_without_its_model_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> list[store.ModelInfo]:
        raise ModelError("model.json: not a model description")

    monkeypatch.setattr(model_files, "list_models", fail)
    (line,) = model_files.model_lines()
    assert (line.finding, line.mend) == ("model.json: not a model description", AGAIN)
