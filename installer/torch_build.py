"""Which build of PyTorch: for the CPU, or for a version of CUDA that the driver can run."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from environment import CONSTRAINTS, InstallError, pip
from vae_balance.installation.nvidia import OLDEST_DRIVER, Gpu
from vae_balance.installation.places import LINUX, MACOS, WINDOWS

CPU, CUDA = "cpu", "cuda"
# Where PyTorch keeps the builds that the Python Package Index does not have.
_INDEX = "https://download.pytorch.org/whl"
_X86 = ("x86_64", "amd64")


@dataclass(frozen=True)
class TorchBuild:
    """A build of PyTorch.

    Attributes:
        kind: CPU or CUDA.
        requirement: what pip is asked for.
        index: where pip finds it, beside the index that is configured; None if it needs no other.
        megabytes: about how many are downloaded for it.
        reason: why this one.
    """

    kind: str
    requirement: str
    index: str | None
    megabytes: int
    reason: str


@dataclass(frozen=True)
class _Cuda:
    """A version of CUDA that this version of PyTorch is built for.

    Attributes:
        tag: as in the version of the build.
        major: version.
        oldest_gpu: the first generation of GPUs that the build has code for.
        newest_gpu: the last; None for no end.
    """

    tag: str
    major: int
    oldest_gpu: tuple[int, ...]
    newest_gpu: tuple[int, ...] | None


# For PyTorch 2.13, best first: its release notes' table of CUDA versions and GPUs.
_CUDAS = (
    _Cuda("cu130", 13, (7, 5), None),
    _Cuda("cu126", 12, (5, 0), (9, 0)),
)
# Megabytes, with the packages that the build brings along. (platform, kind) -> about how many.
_MEGABYTES = {
    (LINUX, CPU): 190,
    (LINUX, CUDA): 2600,
    (MACOS, CPU): 90,
    (WINDOWS, CPU): 120,
    (WINDOWS, CUDA): 2000,
}


def choose_torch(wanted: str | None, platform: str, machine: str, gpu: Gpu | None) -> TorchBuild:
    """Return the build for this computer.

    Args:
        wanted: CPU or CUDA; None takes CUDA if GPU and driver can run it.
        platform: LINUX, MACOS or WINDOWS.
        machine: as `platform.machine()` has it.
        gpu: of this computer; None if there is none.

    Raises:
        InstallError: there is no CUDA for this platform.
    """
    if wanted == CPU:
        return _cpu(platform, "as you asked for")
    if platform == MACOS:
        if wanted == CUDA:
            raise InstallError("there is no CUDA for macOS: leave out --torch cuda")
        return _cpu(platform, "there is no CUDA for macOS")
    cuda, reason = _fitting_cuda(gpu)
    if cuda is None and wanted == CUDA:
        cuda, reason = _CUDAS[0], f"as you asked for, though {reason}"
    if cuda is None:
        return _cpu(platform, reason)
    # The default of the Python Package Index is the first CUDA on Linux, and the CPU elsewhere.
    indexed = platform == LINUX and machine.lower() in _X86 and cuda is _CUDAS[0]
    return TorchBuild(
        CUDA,
        f"torch=={torch_version()}" + ("" if indexed else f"+{cuda.tag}"),
        None if indexed else f"{_INDEX}/{cuda.tag}",
        _MEGABYTES[platform, CUDA],
        reason,
    )


def torch_version() -> str:
    """Return the version of PyTorch in constraints.txt."""
    text = CONSTRAINTS.read_text(encoding="utf-8")
    match = re.search(r"^torch==(\S+)$", text, re.MULTILINE)
    if match is None:
        raise InstallError(f"{CONSTRAINTS}: names no version of torch")
    return match.group(1)


def sources(build: TorchBuild, python: Path) -> list[str]:
    """Return the options with which pip finds a build.

    What is configured for pip, such as a folder of wheels, is asked first; PyTorch's own index only
    if that does not have it.
    """
    if build.index is None:
        return []
    probe = pip(python, "install", "--dry-run", "--quiet", "--no-deps", build.requirement)
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return []
    return ["--extra-index-url", build.index]


def _cpu(platform: str, reason: str) -> TorchBuild:
    megabytes = _MEGABYTES[platform, CPU]
    if platform == LINUX:
        requirement = f"torch=={torch_version()}+cpu"
        return TorchBuild(CPU, requirement, f"{_INDEX}/cpu", megabytes, reason)
    return TorchBuild(CPU, f"torch=={torch_version()}", None, megabytes, reason)


def _fitting_cuda(gpu: Gpu | None) -> tuple[_Cuda | None, str]:
    """Return the best CUDA that GPU and driver can run, if any, and why."""
    if gpu is None:
        return None, "there is no NVIDIA driver"
    here = f"{gpu.name}, driver {gpu.driver_text}"
    for cuda in _CUDAS:
        if gpu.driver >= OLDEST_DRIVER[cuda.major] and _has_code_for(cuda, gpu):
            return cuda, f"{here}, runs CUDA {cuda.major}"
    needed = OLDEST_DRIVER[_CUDAS[-1].major][0]
    if gpu.driver < (needed,):
        return None, f"{here}, is too old: CUDA {_CUDAS[-1].major} needs driver {needed} or later"
    return None, f"{here}: PyTorch has no code that runs on this GPU with this driver"


def _has_code_for(cuda: _Cuda, gpu: Gpu) -> bool:
    if gpu.capability is None:
        return True
    newest = cuda.newest_gpu or gpu.capability
    return cuda.oldest_gpu <= gpu.capability <= newest
