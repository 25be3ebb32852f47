"""Which build of PyTorch is installed, and why."""

from __future__ import annotations

from pathlib import Path

import pytest
from programs import shell_script

import torch_build
from environment import InstallError
from torch_build import CPU, CUDA, choose_torch, torch_version
from vae_balance.installation import nvidia
from vae_balance.installation.nvidia import Gpu, find_gpu, read_gpu

PROJECT = Path(__file__).parents[2]

VERSION = torch_version()
INDEX = "https://download.pytorch.org/whl"
NEW = Gpu("NVIDIA GeForce RTX 4070", (580, 65, 6), (8, 9))
OLDER_DRIVER = Gpu("NVIDIA GeForce RTX 3060", (535, 183, 1), (8, 6))
OLDER_GPU = Gpu("NVIDIA GeForce GTX 1080", (580, 65, 6), (6, 1))
OLD_DRIVER = Gpu("NVIDIA GeForce GTX 1080", (470, 256, 2), (6, 1))
NEWEST_GPU_OLDER_DRIVER = Gpu("NVIDIA GeForce RTX 5090", (570, 1), (12, 0))


@pytest.mark.parametrize(
    ("platform", "machine", "gpu", "requirement", "index"),
    [
        ("linux", "x86_64", None, f"torch=={VERSION}+cpu", f"{INDEX}/cpu"),
        ("linux", "x86_64", NEW, f"torch=={VERSION}", None),
        ("linux", "aarch64", NEW, f"torch=={VERSION}+cu130", f"{INDEX}/cu130"),
        ("linux", "x86_64", OLDER_DRIVER, f"torch=={VERSION}+cu126", f"{INDEX}/cu126"),
        ("linux", "x86_64", OLDER_GPU, f"torch=={VERSION}+cu126", f"{INDEX}/cu126"),
        ("linux", "x86_64", OLD_DRIVER, f"torch=={VERSION}+cpu", f"{INDEX}/cpu"),
        ("linux", "x86_64", NEWEST_GPU_OLDER_DRIVER, f"torch=={VERSION}+cpu", f"{INDEX}/cpu"),
        ("win32", "AMD64", None, f"torch=={VERSION}", None),
        ("win32", "AMD64", NEW, f"torch=={VERSION}+cu130", f"{INDEX}/cu130"),
        ("darwin", "arm64", None, f"torch=={VERSION}", None),
    ],
)
def test_the_build_fits_the_computer(
    platform: str, machine: str, gpu: Gpu | None, requirement: str, index: str | None
) -> None:
    build = choose_torch(None, platform, machine, gpu)
    assert (build.requirement, build.index) == (requirement, index)


@pytest.mark.parametrize(
    ("gpu", "reason"),
    [
        (None, "there is no NVIDIA driver"),
        (NEW, "NVIDIA GeForce RTX 4070, driver 580.65.6, runs CUDA 13"),
        (OLDER_DRIVER, "NVIDIA GeForce RTX 3060, driver 535.183.1, runs CUDA 12"),
        (
            OLD_DRIVER,
            "NVIDIA GeForce GTX 1080, driver 470.256.2, is too old: "
            "CUDA 12 needs driver 525 or later",
        ),
        (
            NEWEST_GPU_OLDER_DRIVER,
            "NVIDIA GeForce RTX 5090, driver 570.1: "
            "PyTorch has no code that runs on this GPU with this driver",
        ),
    ],
)
def test_the_reason_is_told(gpu: Gpu | None, reason: str) -> None:
    assert choose_torch(None, "linux", "x86_64", gpu).reason == reason


def test_a_build_can_be_forced() -> None:
    forced = choose_torch(CPU, "linux", "x86_64", NEW)
    assert (forced.kind, forced.reason) == (CPU, "as you asked for")
    forced = choose_torch(CUDA, "linux", "x86_64", None)
    assert forced.kind == CUDA
    assert forced.reason == "as you asked for, though there is no NVIDIA driver"
    with pytest.raises(InstallError, match="no CUDA for macOS"):
        choose_torch(CUDA, "darwin", "arm64", None)


def test_the_build_for_the_cpu_is_the_smaller_one() -> None:
    cpu = choose_torch(CPU, "linux", "x86_64", NEW)
    assert cpu.megabytes * 5 < choose_torch(CUDA, "linux", "x86_64", NEW).megabytes


def test_what_is_configured_for_pip_is_asked_before_the_index_of_pytorch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = choose_torch(CPU, "linux", "x86_64", None)
    python = tmp_path / "python"
    monkeypatch.setattr(torch_build, "pip", lambda python, *arguments: [str(python)])
    for status, expected in ((0, []), (1, ["--extra-index-url", f"{INDEX}/cpu"])):
        shell_script(python, f"exit {status}")
        assert torch_build.sources(build, python) == expected
    on_pypi = choose_torch(None, "linux", "x86_64", NEW)
    assert torch_build.sources(on_pypi, tmp_path / "is not asked") == []


def test_the_driver_is_asked_for_its_gpu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    smi = tmp_path / "nvidia-smi"
    shell_script(smi, "echo NVIDIA H100 80GB HBM3, 550.90.07, 9.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert find_gpu() == Gpu("NVIDIA H100 80GB HBM3", (550, 90, 7), (9, 0))
    # An older driver, which does not know the field for the generation.
    old = 'case "$*" in *compute_cap*) exit 2;; esac\necho GeForce GTX 680, 450.80.02'
    shell_script(smi, old)
    assert find_gpu() == Gpu("GeForce GTX 680", (450, 80, 2), None)


def test_without_its_tool_a_driver_is_found_by_its_kernel_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(nvidia, "_KERNEL_MODULE", tmp_path / "version")
    assert find_gpu() is None
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    )
    gpu = find_gpu()
    assert gpu is not None and gpu.driver == (535, 183, 1)


def test_a_driver_that_does_not_work_is_none() -> None:
    assert read_gpu("NVIDIA-SMI has failed because it couldn't communicate with the driver") is None
