"""One photo, all the way: read, shown to a corrector, changed, written.

    task.photo -> read -> proxy -> corrector learns -> look -> changes all pixels -> task.output
                                                         '-> labeled as a LUT ----> task.lut

This is the only place where that is conducted. It knows no people: whoever wants to tell how far a
photo is, to look on or to stop gives a callback.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from vae_balance.color.lut import MOST_THREADS
from vae_balance.color.toning import toning_of
from vae_balance.correctors.corrector import (
    Corrector,
    LookOptions,
    Progress,
    Proxy,
    Wants,
    is_plain,
)
from vae_balance.errors import HasColorsError, IsGreyError, OptionError
from vae_balance.files import as_private_as, atomic_write, check_new, make_folder
from vae_balance.looks.labels import file_look, labeled_lut, require_lut
from vae_balance.looks.look import Look, Place
from vae_balance.luts.files import format_lut, lut_format
from vae_balance.photos.grey import is_grey
from vae_balance.photos.photo import Photo, read_photo, write_photo
from vae_balance.photos.proxy import make_proxy
from vae_balance.photos.task import PhotoTask
from vae_balance_protocol.options import CENTRE, PROXY, SEED, TREATING, Option

P = TypeVar("P", bound=Photo)


@dataclass(frozen=True)
class How:
    """How photos are treated, beside what their looks are learned with.

    Attributes:
        proxy: what a corrector is shown, "centre" or "frame"; None leaves it to the corrector.
        overwrite: replace outputs that exist.
        umask: of whoever wants the files, by default that of this process; photos are besides
            never open to more people than their sources.
        strength: with which looks are applied.
        threads: change so many parts of a photo at a time at most.
        make_folders: make the folders of outputs where they are missing, which else is an error.
        wants: what the corrector is shown, where it learns from the photos.
        any_colors: show it photos whose colors, or lack of them, it does not want, as well.
        average_lut: of a look that differs from place to place, the LUT file holds the average.
    """

    proxy: str | None = PROXY.default
    overwrite: bool = False
    umask: int | None = None
    strength: float = 1.0
    threads: int = MOST_THREADS
    make_folders: bool = False
    wants: Wants = field(default_factory=Wants)
    any_colors: bool = False
    average_lut: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any], **further: Any) -> How:
        """Return how photos are treated, of values by name, such as the flags of a command.

        Args:
            values: of rows of `TREATING`, among others.
            further: attributes that are no options.
        """
        chosen = {row.name: values[row.name] for row in TREATING if row.name in values}
        return cls(**chosen, **further)

    @property
    def part(self) -> str:
        """What a corrector is shown of a photo, "centre" or "frame"."""
        return self.proxy or self.wants.part


@dataclass(frozen=True, eq=False)
class LearnedLook:
    """A look, on which device it was learned, and how long the stages took."""

    look: Look
    device: str = ""
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Changed:
    """A photo that was changed and written: its look, its size as stored, seconds by stage."""

    learned: LearnedLook
    width: int
    height: int
    seconds: dict[str, float]


# Learns one look from proxies; may be called by several threads.
Learn = Callable[[list[Proxy]], LearnedLook]
# Called before every stage; raises what is to end the photo there.
Check = Callable[[], None]


def learn(
    corrector: Corrector,
    proxies: Sequence[Proxy],
    options: LookOptions,
    progress: Progress = lambda done, total, stage: None,
) -> Look:
    """Show proxies to a corrector, and return what it learned from them.

    Raises:
        OptionError: there is no proxy, or the corrector learns from one photo only, or draws no
            samples that a seed could be for.
    """
    if len(proxies) > 1:
        check_roll(corrector.wants, corrector.info.name)
    check_seed(options.seed, corrector.options, corrector.info.name)
    return corrector.learn(proxies, options, progress)


def check_roll(wants: Wants, model: str) -> None:
    """Check that a corrector learns one look from several photos.

    Args:
        wants: of the corrector.
        model: what people call it.

    Raises:
        OptionError: it does not.
    """
    if not wants.roll:
        raise OptionError(
            f"model {model}: learns each look from one photo: balance the photos one by one"
        )


def check_seed(seed: int | None, heeded: Sequence[Option], model: str) -> None:
    """Check that a seed, if there is one, is for something.

    Args:
        seed: of the samples.
        heeded: options of the corrector.
        model: what people call it.

    Raises:
        OptionError: the corrector draws no samples.
    """
    if seed is not None and SEED not in heeded:
        raise OptionError(
            f"model {model} draws no samples, so that a seed changes nothing: leave --seed out"
        )


def balance_photo(
    task: PhotoTask,
    how: How,
    learn: Learn,
    check: Check = lambda: None,
    seen: Callable[[Photo, Look], None] = lambda photo, look: None,
) -> Changed:
    """Balance a photo by a look of its own.

    Files are written whole or not at all, the LUT together with the photo.

    Args:
        task: the photo and its outputs.
        how: how it is treated.
        learn: gives the look of its proxy.
        check: see `Check`.
        seen: called with the photo as it was read and its look, before it is changed.

    Raises:
        BalanceError: the photo cannot be read or learned from, or an output cannot be written.
    """
    how = replace(how, overwrite=how.overwrite or task.overwrite)
    stages = _Stages(check)
    photo = _read(task, how, stages)
    with stages.stage("shrink"):
        proxy = shown(photo, how)
    check()
    learned = learn([proxy])
    stages.seconds.update(learned.seconds)
    check_look(learned.look, photo, how)
    if task.lut is not None:
        require_lut(file_look(learned.look, how.average_lut))
    seen(photo, learned.look)
    return _finish(task, how, photo, learned, stages)


def change_photo(
    task: PhotoTask, how: How, learned: LearnedLook, check: Check = lambda: None
) -> Changed:
    """Change a photo by a look that is there; as `balance_photo`."""
    how = replace(how, overwrite=how.overwrite or task.overwrite)
    stages = _Stages(check)
    photo = _read(task, how, stages)
    return _finish(task, how, photo, learned, stages)


def proxy_of(photo: Path, how: How) -> Proxy:
    """Return what a corrector is shown of a photo.

    Raises:
        ImageError: the photo cannot be read.
        HasColorsError, IsGreyError: it is not for this corrector.
    """
    return shown(read_photo(photo), how)


def shown(photo: Photo, how: How) -> Proxy:
    """Return what a corrector is shown of a photo that was read.

    Raises:
        HasColorsError: it has colors and the corrector wants none.
        IsGreyError: the other way round.
    """
    proxy = make_proxy(photo, how.part)
    wanted = how.wants.colors
    if wanted == "any" or how.any_colors:
        return proxy
    if wanted == "grey":
        check_proxies(how.wants, [proxy])
    # What is of a single grey all over is left as it is, as what is of any other single color.
    elif is_grey(photo, proxy) and not is_plain(proxy[None]).all():
        raise IsGreyError("is grey, so there are no colors to balance: colorize it")
    return proxy


def check_proxies(wants: Wants, proxies: Sequence[Proxy]) -> None:
    """Check proxies whose photos nobody has seen, as `shown` does.

    Whoever wants grey ones takes those that were toned, sepia for instance. Grey ones are shown to
    any corrector: they may be of a part that is grey, of a selection.

    Raises:
        HasColorsError: they have colors, and the corrector wants none.
    """
    if wants.colors == "grey" and not all(toning_of(proxy).is_grey for proxy in proxies):
        raise HasColorsError(
            "has colors already, and this model is for grey photos: balance it with another"
        )


def check_look(look: Look, photo: Photo, how: How) -> None:
    """Check that a look which depends on the place was learned from all of a photo.

    Raises:
        OptionError: it was learned from the square in the middle, and there is more.
    """
    height, width = photo.pixels.shape[:2]
    if look.lut is None and how.part == CENTRE and height != width:
        raise OptionError(
            f"model {look.origin.model}: what it learns depends on the place in the photo: show it "
            "all of it, --proxy frame"
        )


def changed(photo: P, look: Look) -> P:
    """Return a photo as a look changes it; the one that is given stays as it is."""
    place = Place.whole(photo.pixels, photo.orientation)
    return replace(photo, pixels=look.apply(photo.pixels, place, photo.icc_profile))


def write_look(look: Look, lut: Path, how: How, photos: Sequence[Path]) -> None:
    """Write the LUT file of a look, which tells the photos that it was learned from.

    It is open to nobody who cannot read all of them.

    Raises:
        LutError: the look has no LUT.
        OptionError: the file has no name of one.
        OutputExistsError: the file exists and is not to be replaced.
        BalanceError: it cannot be written.
    """
    with as_private_as(photos, how.umask), _written_lut(look, lut, how, photos):
        pass


class _Stages:
    """Asks before each stage of a photo whether to go on, and adds up their seconds."""

    def __init__(self, check: Check) -> None:
        self.seconds: dict[str, float] = {}
        self._check = check

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self._check()
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = time.perf_counter() - began


def _read(task: PhotoTask, how: How, stages: _Stages) -> Photo:
    with stages.stage("read"):
        check_new(task.output, how.overwrite)
        return read_photo(task.photo)


def _finish(
    task: PhotoTask, how: How, photo: Photo, learned: LearnedLook, stages: _Stages
) -> Changed:
    """Change a photo that was read, in place, and write it and its LUT."""
    look = learned.look
    with stages.stage("apply"):
        place = Place.whole(photo.pixels, photo.orientation)
        profile = photo.icc_profile
        look.apply(photo.pixels, place, profile, how.strength, photo.pixels, how.threads)
    with (
        stages.stage("write"),
        as_private_as([task.photo], how.umask),
        _written_lut(look, task.lut, how, [task.photo]),
    ):
        _make_way(task.output, how)
        write_photo(photo, task.output, overwrite=how.overwrite)
    height, width = photo.pixels.shape[:2]
    return Changed(learned, width, height, stages.seconds)


def _make_way(output: Path, how: How) -> None:
    if how.make_folders:
        make_folder(output.parent)


@contextmanager
def _written_lut(look: Look, lut: Path | None, how: How, photos: Sequence[Path]) -> Iterator[None]:
    """Write a LUT file; it appears when the block has ended well."""
    if lut is None:
        yield
        return
    labeled = labeled_lut(file_look(look, how.average_lut), how.part, photos)
    _make_way(lut, how)
    with atomic_write(lut, how.overwrite) as temporary:
        temporary.write_bytes(format_lut(labeled, lut_format(lut)))
        yield
