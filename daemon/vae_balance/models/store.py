"""Which models there are, whether their files are whole, and loading them.

A model is a folder:

    model.json            name, version, license, source, corrector, sha256 of every file below
    README.md             model card
    vae/                  and whatever else its corrector reads

Those that come with the program lie beside this file; some of them are a description only.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from vae_balance.errors import ModelError
from vae_balance.files import atomic_write
from vae_balance.models.catalog import FETCHABLE, VAE_FOLDER
from vae_balance.models.checksum import sha256_of

EMBEDDED = "embedded"
DESCRIPTION_NAME = "model.json"
# Of a description that names none: it was written before there were others.
FIRST_CORRECTOR = "latent-balancer"
_HERE = Path(__file__).parent
_log = logging.getLogger(__name__)
# Bounds of what a description may say and name: it may come from anywhere.
_DESCRIPTION_BYTES = 1 << 20
_TEXT_CHARACTERS = 1000
_FILES = 1000
_FILE_BYTES = 8 << 30


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    Attributes:
        name: what `--model` calls it.
        folder: where it lies.
        version: of its weights.
        license: under which they may be used.
        source: where they come from.
        sha256: file name within the folder -> hex digest.
        corrector: what the model is for, as in `correctors/registry.py`.
    """

    name: str
    folder: Path
    version: str
    license: str
    source: str
    sha256: dict[str, str]
    corrector: str = FIRST_CORRECTOR


def user_models_folder() -> Path:
    """Return the folder in which the user's own models are looked for by name."""
    return platformdirs.user_data_path("vae-balance", appauthor=False) / "models"


def list_models() -> list[ModelInfo]:
    """Return the embedded model, others of the program, and those in the user's folder, by name.

    A folder whose description is malformed is left out, with a warning in the log.
    """
    own = user_models_folder()
    folders = sorted(own.iterdir()) if own.is_dir() else []
    found = [folder for folder in folders if (folder / DESCRIPTION_NAME).is_file()]
    infos = [read_info(_HERE / EMBEDDED), *map(read_info, _bundled())]
    for folder in found:
        try:
            infos.append(read_info(folder))
        except ModelError as error:
            _log.warning("%s; left out", error)
    return infos


def find_model(name: str) -> ModelInfo:
    """Return the model called `name`: a known name, or the path of a model's folder.

    Raises:
        ModelError: there is none.
    """
    for folder in _folders_of(name):
        if _is_file(folder / DESCRIPTION_NAME, name):
            return read_info(folder)
    raise ModelError(_unknown(name))


def description_sha256(info: ModelInfo) -> str:
    """Return what tells a model from another one of its name: a checksum of its checksums."""
    return hashlib.sha256(json.dumps(info.sha256, sort_keys=True).encode()).hexdigest()


def find_vae(name: str) -> Path:
    """Return the folder of a VAE: `name` itself, or the VAE of the model called so.

    A model that was fetched in part, without a latent balancer, has a VAE, too.

    Raises:
        ModelError: there is none.
    """
    for folder in (Path(name), *(folder / VAE_FOLDER for folder in _folders_of(name))):
        if _is_file(folder / "config.json", name):
            return folder
    for folder in _folders_of(name):
        if folder.is_dir():
            raise ModelError(
                f"{folder}: has no VAE: give a model with a folder {VAE_FOLDER}, or the folder "
                "of a VAE, with its config.json"
            )
    raise ModelError(_unknown(name))


def _folders_of(name: str) -> tuple[Path, ...]:
    """Return where the model called `name` may lie."""
    folders = (Path(name), user_models_folder() / name)
    ours = [folder for folder in (_HERE / EMBEDDED, *_bundled()) if folder.name == name]
    return (*folders, *ours)


def _is_file(path: Path, name: str) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError) as error:  # not a name that a file can have, or no access
        raise ModelError(f"model {name[:100]!r}: cannot be looked for: {error}") from error


def _unknown(name: str) -> str:
    if name in FETCHABLE:
        return f"model {name!r}: not on this computer yet; get it: vae-balance models fetch {name}"
    known = ", ".join(info.name for info in list_models())
    return (
        f"model {name!r}: no such model; known: {known}; or give the path of a folder "
        f"with a {DESCRIPTION_NAME}"
    )


def read_info(folder: Path) -> ModelInfo:
    """Read the description of the model in `folder`.

    Raises:
        ModelError: it is missing or malformed.
    """
    path = folder / DESCRIPTION_NAME
    try:
        with path.open("rb") as file:
            content = file.read(_DESCRIPTION_BYTES + 1)
        if len(content) > _DESCRIPTION_BYTES:
            raise ValueError(f"longer than {_DESCRIPTION_BYTES} bytes")
        values: dict[str, Any] = json.loads(content)
        texts = {key: str(values[key]) for key in ("name", "version", "license", "source")}
        corrector = str(values.get("corrector", FIRST_CORRECTOR))
        digests = {str(name): str(digest) for name, digest in values["sha256"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelError(f"{path}: not a model description: {error!r}") from error
    for key, text in {**texts, "corrector": corrector}.items():
        if len(text) > _TEXT_CHARACTERS:
            raise ModelError(f"{path}: its {key} is longer than {_TEXT_CHARACTERS} characters")
    if len(digests) > _FILES:
        raise ModelError(f"{path}: names more than {_FILES} files")
    for name in digests:
        if not _is_within(name):
            raise ModelError(f"{path}: names {name[:100]!r}, which is not in this folder")
    return ModelInfo(folder=folder, sha256=digests, corrector=corrector, **texts)


def _is_within(name: str) -> bool:
    """Return whether a name is one of a file in a folder or below it, on every system."""
    parts = name.replace("\\", "/").split("/")
    return not {"", ".", ".."} & set(parts) and ":" not in name and "\0" not in name


def verify_files(info: ModelInfo) -> None:
    """Compare every file of the model with its checksum.

    Raises:
        ModelError: a file is missing or changed, or is no file that can be read to its end.
    """
    for path in sorted(info.folder.glob("*/*")):
        _check_ordinary(path)
    for name, expected in info.sha256.items():
        path = info.folder / name
        if path.exists():
            _check_ordinary(path)
        try:
            digest = sha256_of(path)
        except OSError as error:
            raise ModelError(f"{path}: cannot be read ({error.strerror}); install again") from error
        if digest != expected:
            raise ModelError(
                f"{path}: damaged: its sha256 is {digest[:12]}..., not {expected[:12]}...; "
                "install the model again"
            )


def _check_ordinary(path: Path) -> None:
    """Check that a file is not a device, a pipe, or too long to be a network's.

    Raises:
        ModelError: it is.
    """
    if path.is_dir():
        return
    if not path.is_file():
        raise ModelError(f"{path}: not an ordinary file; install the model again")
    if path.stat().st_size > _FILE_BYTES:
        raise ModelError(f"{path}: longer than {_FILE_BYTES >> 30} GiB: not of a network")


def write_info(
    folder: Path,
    name: str,
    version: str,
    license_name: str,
    source: str,
    corrector: str = FIRST_CORRECTOR,
) -> None:
    """Describe the model in `folder`: hash every file of its networks into `model.json`."""
    files = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors"))
    digests = {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in files
        if path.name != DESCRIPTION_NAME
    }
    values = {
        "name": name,
        "version": version,
        "license": license_name,
        "source": source,
        "corrector": corrector,
        "sha256": digests,
    }
    text = json.dumps(values, indent=2) + "\n"
    with atomic_write(folder / DESCRIPTION_NAME, overwrite=True) as temporary:
        temporary.write_text(text, encoding="utf-8")


def comes_with_program(info: ModelInfo) -> bool:
    """Tell whether a model is one that is installed with the program."""
    return info.folder.parent == _HERE


def _bundled() -> list[Path]:
    """Return the folders of the models beside the embedded one that come with the program."""
    found = (path.parent for path in _HERE.glob(f"*/{DESCRIPTION_NAME}"))
    return sorted(folder for folder in found if folder.name != EMBEDDED)
