"""PyTorch, and whether its build, the NVIDIA driver and the GPU go together."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

from vae_balance.doctor.finding import INSTALL_AGAIN, Finding
from vae_balance.installation.nvidia import OLDEST_DRIVER, Gpu, find_gpu

_FOR_CPU = f"{INSTALL_AGAIN} --torch cpu"
_FOR_CUDA = f"{INSTALL_AGAIN} --torch cuda"


@dataclass(frozen=True)
class Torch:
    """What PyTorch says of itself.

    Attributes:
        version: with the build's tag.
        cuda: the version of CUDA that it is built for; None for the CPU only.
        gpu: the GPU that it can use; None if it cannot.
        trouble: why it cannot, as PyTorch tells it; "" if it does not.
    """

    version: str
    cuda: str | None
    gpu: str | None
    trouble: str


def torch_finding() -> Finding:
    """Look at PyTorch and the device that it will use."""
    try:
        torch = ask_torch()
    except (ImportError, OSError) as error:  # a package or a library of the system is missing
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return Finding("torch", f"cannot be imported: {reason}", INSTALL_AGAIN)
    return judge(torch, find_gpu())


def ask_torch() -> Torch:
    """Return what PyTorch says of itself; try its GPU.

    Raises:
        ImportError: it, or a package that it needs, is missing.
        OSError: one of its libraries cannot be loaded.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        import torch

        gpu, trouble = None, ""
        if torch.cuda.is_available():
            try:
                torch.zeros(1, device="cuda").add_(1).cpu()
                gpu = torch.cuda.get_device_name()
            except RuntimeError as error:
                trouble = str(error).splitlines()[0]
        elif torch.version.cuda is not None:
            told = [str(w.message) for w in caught if "CUDA" in str(w.message)]
            trouble = told[0].splitlines()[0] if told else ""
    return Torch(torch.__version__, torch.version.cuda, gpu, trouble)


def judge(torch: Torch, gpu: Gpu | None) -> Finding:
    """Return the line of a PyTorch on a computer with or without a GPU."""
    build = f"built for CUDA {torch.cuda}" if torch.cuda else "built for the CPU"
    about = f"{torch.version}, {build}"
    if torch.gpu is not None:
        return Finding("torch", f"{about}, uses {torch.gpu}")
    if torch.cuda is None:
        unused = f"; {_FOR_CUDA} uses the {gpu.name}" if gpu else ""
        return Finding("torch", about + unused)
    if gpu is None:
        return Finding("torch", f"{about}, uses the CPU: there is no NVIDIA driver")
    here = f"{about}, but {gpu.name} has driver {gpu.driver_text}"
    major = int(torch.cuda.split(".")[0])
    oldest = OLDEST_DRIVER.get(major)
    if oldest is not None and gpu.driver < oldest:
        finding = f"{here}, and CUDA {major} needs {oldest[0]} or later"
        return Finding("torch", finding, f"renew the driver; or, for the CPU, {_FOR_CPU}")
    reason = torch.trouble or "PyTorch finds no GPU that it can use"
    return Finding(
        "torch",
        f"{here}: {reason}",
        f"restart the computer if the driver was just renewed; else {_FOR_CUDA}, "
        f"or, for the CPU, {_FOR_CPU}",
    )
