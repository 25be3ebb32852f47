"""All of the doctor's lines, in their order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from vae_balance.doctor.finding import Finding
from vae_balance.doctor.gimp_plug_ins import gimp_findings
from vae_balance.doctor.model_files import classifier_finding, model_findings
from vae_balance.doctor.running_daemon import daemon_finding
from vae_balance.doctor.software import (
    command_finding,
    package_finding,
    python_finding,
    settings_finding,
)
from vae_balance.doctor.storage import disk_finding, log_finding
from vae_balance.doctor.torch_device import torch_finding
from vae_balance.doctor.trial import photo_finding
from vae_balance.installation.places import Places


def examine(photo: Path | None = None) -> Iterator[Finding]:
    """Look at everything.

    Args:
        photo: a folder; a bundled photo is balanced and left there. None leaves that out.
    """
    places = Places(os.environ, sys.platform)
    yield python_finding()
    yield package_finding()
    yield torch_finding()
    yield from model_findings()
    yield classifier_finding()
    yield settings_finding()
    yield command_finding()
    yield disk_finding(places)
    yield daemon_finding()
    if photo is not None:
        yield photo_finding(photo)
    yield from gimp_findings(places)
    yield log_finding(places)
