"""PyTorch's build, the driver and the GPU: which go together, and what to do if they do not."""

from __future__ import annotations

import sys

import pytest

from vae_balance.doctor import torch_device
from vae_balance.doctor.torch_device import Torch, judge
from vae_balance.installation.nvidia import Gpu

AGAIN = "run the installer again: python3 installer/install.py"
GPU = Gpu("NVIDIA GeForce RTX 3060", (580, 65, 6), (8, 6))
OLD = Gpu("NVIDIA GeForce GTX 1080", (470, 256, 2), None)
FOR_CPU = Torch("2.13.0+cpu", None, None, "")
FOR_CUDA = Torch("2.13.0+cu130", "13.0", None, "")


def test_a_gpu_that_works_is_green() -> None:
    line = judge(Torch("2.13.0+cu130", "13.0", GPU.name, ""), GPU)
    assert line.ok
    assert line.finding == "2.13.0+cu130, built for CUDA 13.0, uses NVIDIA GeForce RTX 3060"


def test_the_cpu_is_green_and_says_so() -> None:
    assert judge(FOR_CPU, None).finding == "2.13.0+cpu, built for the CPU"
    line = judge(FOR_CUDA, None)
    assert line.ok
    assert line.finding.endswith("uses the CPU: there is no NVIDIA driver")


def test_a_gpu_that_lies_idle_is_told() -> None:
    line = judge(FOR_CPU, GPU)
    assert line.ok
    assert line.finding == (
        f"2.13.0+cpu, built for the CPU; {AGAIN} --torch cuda uses the NVIDIA GeForce RTX 3060"
    )


def test_a_driver_too_old_for_the_build_is_red() -> None:
    line = judge(FOR_CUDA, OLD)
    assert line.finding == (
        "2.13.0+cu130, built for CUDA 13.0, but NVIDIA GeForce GTX 1080 has driver 470.256.2, "
        "and CUDA 13 needs 580 or later"
    )
    assert line.mend == f"renew the driver; or, for the CPU, {AGAIN} --torch cpu"


def test_a_gpu_that_does_not_work_is_red_with_what_pytorch_says() -> None:
    trouble = "CUDA error: no kernel image is available for execution on the device"
    line = judge(Torch("2.13.0+cu130", "13.0", None, trouble), GPU)
    assert line.finding.endswith(f"has driver 580.65.6: {trouble}")
    assert line.mend.startswith("restart the computer if the driver was just renewed; else ")
    assert line.mend.endswith(f"or, for the CPU, {AGAIN} --torch cpu")


def test_pytorch_that_cannot_be_imported_is_red(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    line = torch_device.torch_finding()
    assert line.finding.startswith("cannot be imported: ")
    assert line.mend == AGAIN


def test_this_pytorch_is_asked() -> None:
    import torch

    asked = torch_device.ask_torch()
    assert asked.version == torch.__version__
    assert (asked.gpu is not None) == torch.cuda.is_available()
