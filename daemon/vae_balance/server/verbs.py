"""What the threads beside the learner do for a request."""

from __future__ import annotations

import logging
import os
from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import vae_balance
from vae_balance.errors import BalanceError
from vae_balance.server.jobs import Job
from vae_balance.server.look_store import KeptLook, LookStore
from vae_balance.server.pixels import as_pixels
from vae_balance.server.workers import Result
from vae_balance_protocol import messages

if TYPE_CHECKING:
    from vae_balance.batch.runner import PhotoReport
    from vae_balance.server.learner import Learner
    from vae_balance.server.slots import Slots

_LIMITS = {
    "frame_bytes": messages.FRAME_BYTES,
    "header_bytes": messages.HEADER_BYTES,
    "requests": messages.REQUESTS,
    "window_bytes": messages.WINDOW_BYTES,
    "proxies": messages.PROXIES,
}
_log = logging.getLogger(__name__)


def greet(device: str) -> Result:
    """Tell who we are and what we allow."""
    from vae_balance.models.store import list_models

    try:
        models = [info.name for info in list_models()]
    except BalanceError as error:
        _log.error("%s", error)
        models = []
    return {
        "version": vae_balance.__version__,
        "protocol": messages.PROTOCOL,
        "pid": os.getpid(),
        "device": device,
        "limits": _LIMITS,
        "models": models,
    }, []


def apply_look(look: KeptLook, job: Job) -> Result:
    """Apply a look to a strip, in place."""
    from vae_balance.looks.look import Place

    fields = job.fields
    place = None if fields["place"] is None else Place(**fields["place"])
    shape = (fields["rows"], fields["width"], fields["channels"])
    pixels = as_pixels(job.frames[0], *shape, fields["dtype"])
    look.apply(pixels, place, fields["profile"], fields["strength"])
    return {"look": look.name}, [pixels]


def import_look(looks: LookStore, job: Job) -> Result:
    """Keep the look of a LUT file."""
    from vae_balance.color.lut import Lut3D
    from vae_balance.looks.given_look import GivenLook
    from vae_balance.luts.files import parse_lut

    content = b"".join(job.frames)
    lut = parse_lut(content, job.fields["format"], job.fields["name"])
    size = lut.size if isinstance(lut, Lut3D) else None
    return {"look": looks.keep(GivenLook(lut)).name, "size": size}, []


def describe_model(job: Job) -> Result:
    """Tell what a model is, and what it wants to be shown."""
    from vae_balance.correctors.registry import wants_of
    from vae_balance.models.store import find_model

    info = find_model(job.fields["model"])
    wants = wants_of(info)
    return {
        "model": info.name,
        "model_version": info.version,
        "proxy": wants.part,
        "colors": wants.colors,
        "roll": wants.roll,
    }, []


def export_look(look: KeptLook, job: Job) -> Result:
    """Give a look as a LUT file, in as many frames as it takes."""
    from vae_balance.luts.files import format_lut

    content = memoryview(format_lut(look.file_lut(job.fields["average"]), job.fields["format"]))
    step = messages.FRAME_BYTES
    return {"look": look.name}, [content[i : i + step] for i in range(0, len(content), step)]


def balance_photos(learner: Learner, slots: Slots, job: Job) -> Result:
    """Balance photos on disk: each in its client's turn, and when nobody waits for a look."""
    from vae_balance.batch.local_runner import LocalRunner, sensible_jobs
    from vae_balance.correctors.registry import wants_of
    from vae_balance.models.store import find_model
    from vae_balance.photos.task import PhotoTask
    from vae_balance.pipeline import How, check_roll

    fields = job.fields
    info = find_model(fields["model"])
    wants = wants_of(info)
    if fields["roll"]:
        check_roll(wants, info.name)
    photos = [
        PhotoTask(Path(source), Path(target), Path(cube) if cube is not None else None)
        for source, target, cube in fields["photos"]
    ]
    reported = 0
    seconds: Counter[str] = Counter()

    def report(photo: PhotoReport) -> None:
        nonlocal reported
        reported += 1
        job.facts[photo.outcome] = job.facts.get(photo.outcome, 0) + 1
        seconds.update(photo.seconds)
        job.facts |= {f"all.{stage}": f"{total:.1f}" for stage, total in seconds.items()}
        values = asdict(photo)
        values["photo"] = values.pop("index")
        # Of what was being written when the batch was cancelled the client has to know.
        job.report("photo", reported, len(photos), **values)

    def keep_going() -> bool:
        learner.give_way(job)
        return not job.cancelled

    jobs = fields["jobs"] or sensible_jobs()
    with slots.of_batch(jobs):
        runner = LocalRunner(
            partial(learner.learn, job),
            jobs,
            keep_going,
            turn=lambda: slots.turn(job.client, lambda: not job.cancelled),
        )
        how = How.of(
            fields,
            overwrite=fields["overwrite"],
            umask=fields["umask"],
            wants=wants,
            any_colors=fields["any_colors"],
        )
        done, failed = runner.run(photos, how, fields["roll"], report)
    return {"done": done, "failed": failed}, []
