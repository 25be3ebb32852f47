"""Networks kept as folders of diffusers' form: config.json and one safetensors file."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn
from typing_extensions import Self

from vae_balance.errors import ModelError
from vae_balance.files import atomic_write, make_folder

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "diffusion_pytorch_model.safetensors"


class FolderModel(nn.Module):
    """A network with a frozen dataclass of sizes, saved to and loaded from a folder."""

    config_type: ClassVar[type[Any]]

    def __init__(self, config: Any) -> None:
        super().__init__()
        self.config = config

    def save_folder(self, folder: Path, dtype: torch.dtype = torch.float16) -> None:
        """Write config.json and the weights as `dtype` into `folder`, made when missing.

        Files of before are replaced by whole ones: who is killed meanwhile has not lost them.

        Raises:
            BalanceError: the folder or a file cannot be written.
        """
        make_folder(folder)
        config = {"_class_name": type(self).__name__, **asdict(self.config)}
        text = json.dumps(config, indent=2) + "\n"
        state = {name: value.to(dtype).contiguous() for name, value in self.state_dict().items()}
        weights = save(state, metadata={"format": "pt"})
        for name, content in ((CONFIG_NAME, text.encode()), (WEIGHTS_NAME, weights)):
            with atomic_write(folder / name, overwrite=True) as temporary:
                temporary.write_bytes(content)

    @classmethod
    def load_folder(cls, folder: Path) -> Self:
        """Read a network that `save_folder` wrote; weights become float32.

        Raises:
            ModelError: a file is missing, broken, or of another network.
        """
        config = cls._read_config(folder / CONFIG_NAME)
        model = cls(config)
        weights = folder / WEIGHTS_NAME
        try:
            state = load_file(str(weights))
            model.load_state_dict({name: value.float() for name, value in state.items()})
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise ModelError(f"{weights}: not the weights of a {cls.__name__}: {reason}") from error
        return model.eval()

    @classmethod
    def _read_config(cls, path: Path) -> Any:
        name, values = _read_class_and_settings(path)
        if name != cls.__name__:
            raise ModelError(f"{path}: describes a {name}, where a {cls.__name__} is needed")
        known = {field.name for field in fields(cls.config_type)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ModelError(f"{path}: unknown setting {unknown[0]!r}; known: {sorted(known)}")
        lists = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
        return cls.config_type(**lists)


def class_name_of(folder: Path) -> str:
    """Return the class that the config.json in `folder` names.

    Raises:
        ModelError: there is none, or it is no model configuration.
    """
    return _read_class_and_settings(folder / CONFIG_NAME)[0]


def _read_class_and_settings(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return values.pop("_class_name"), values
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: not a model configuration: {error}") from error
