"""All of the doctor's lines, in their order."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from vae_balance.doctor.gimp_plug_ins import gimp_lines
from vae_balance.doctor.line import Line
from vae_balance.doctor.model_files import classifier_line, model_lines
from vae_balance.doctor.running_daemon import daemon_line
from vae_balance.doctor.software import command_line, package_line, python_line, settings_line
from vae_balance.doctor.storage import disk_line, log_line
from vae_balance.doctor.torch_device import torch_line
from vae_balance.doctor.trial import photo_line
from vae_balance.installation.places import Places


def examine(photo: Path | None = None) -> Iterator[Line]:
    """Look at everything.

    Args:
        photo: a folder; a bundled photo is balanced and left there. None leaves that out.
    """
    places = Places(os.environ, sys.platform)
    yield python_line()
    yield package_line()
    yield torch_line()
    yield from model_lines()
    yield classifier_line()
    yield settings_line()
    yield command_line()
    yield disk_line(places)
    yield daemon_line()
    if photo is not None:
        yield photo_line(photo)
    yield from gimp_lines(places)
    yield log_line(places)
