"""What a batch has to do: which photos there are, where their results go, what is done already."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from vae_balance import __version__
from vae_balance.batch.report import Report, Stamp, path_digest
from vae_balance.errors import BalanceError, OptionError, OutputExistsError
from vae_balance.files import same_files
from vae_balance.models.store import ModelInfo, description_sha256
from vae_balance.photos.formats import SUFFIXES, target_name
from vae_balance_protocol import messages

ROLL_CUBE_NAME = "roll.cube"

_MSGPACK_BYTES = 6  # of a string beside its letters, and of the array around it
_HEADER_ROOM = 100_000  # bytes of a request's header for all but the photos


@dataclass(frozen=True)
class Found:
    """The photos of a folder, by path within it, in order, and its other files by suffix.

    Attributes:
        photos: paths within the folder.
        passed_over: how many files have which suffix, in lower case ("" for none).
    """

    photos: list[str]
    passed_over: Counter[str]

    def told(self) -> str:
        """Say how many files of which kind are passed over: "3 .nef, 1 without suffix"."""
        kinds = sorted(self.passed_over.items(), key=lambda kind: (-kind[1], kind[0]))
        return ", ".join(f"{count} {suffix or 'without suffix'}" for suffix, count in kinds)


class State(Enum):
    """How it stands with a photo before a run."""

    DONE = "its result is there, and would be the same again"
    NEW = "nothing is in the place of its outputs"
    OURS = "an earlier run has made what is in their place"
    TAKEN = "something else is in their place"
    NAMELESS = "its path is not Unicode, and cannot be sent to the daemon"


@dataclass(frozen=True)
class Folders:
    """Absolute paths of the folders of photos, of their results and, if wanted, of their looks."""

    sources: Path
    targets: Path
    cubes: Path | None


@dataclass(frozen=True, slots=True)
class Planned:
    """A photo of a batch, its outputs, and how it stands; absolute paths.

    Attributes:
        taken: the output in whose place something else is, if the state is TAKEN.
    """

    source: Path
    target: Path
    cube: Path | None
    state: State
    taken: Path | None


@dataclass(frozen=True)
class Request:
    """Photos to ask for at once, and whether what is in their place may be overwritten."""

    photos: list[Planned]
    overwrite: bool

    def cube_of(self, photo: Planned, roll: bool) -> Path | None:
        """Return where the look of a photo goes.

        The cube of a roll that goes on is there already, and would be refused as existing.
        """
        kept = roll and not self.overwrite and self._goes_on
        return None if kept else photo.cube

    @cached_property
    def _goes_on(self) -> bool:
        return any(photo.state is State.DONE for photo in self.photos)


def find_photos(folder: Path, recursive: bool, leave_out: Path) -> Found:
    """Find the photos in a folder by the suffixes that can be read.

    Hidden files and folders do not count; links to folders are not followed.

    Args:
        folder: absolute path.
        recursive: look into its folders, too.
        leave_out: absolute path of a folder that is not looked into.

    Raises:
        BalanceError: there is no such folder, or it cannot be read, or has no photos.
    """
    photos = []
    passed_over: Counter[str] = Counter()
    for place, folders, names in os.walk(folder, onerror=_unreadable):
        inner = [name for name in folders if not name.startswith(".")]
        folders[:] = [n for n in inner if recursive and Path(place, n) != leave_out]
        inside = "" if Path(place) == folder else str(Path(place).relative_to(folder))
        for name in names:
            if name.startswith("."):
                continue
            suffix = os.path.splitext(name)[1].lower().rstrip(".")  # noqa: PTH122 - as below
            if suffix in SUFFIXES:
                photos.append(os.path.join(inside, name))  # noqa: PTH118 - there may be a million
            else:
                passed_over[suffix] += 1
    found = Found(sorted(photos), passed_over)
    if not photos:
        instead = f" but {found.told()}" if passed_over else ""
        deeper = "" if recursive else "; --recursive looks into its folders, too"
        kinds = ".jpg, .png, .tif, .heic, raw files..."
        raise BalanceError(f"{folder}: no photos here ({kinds}){instead}{deeper}")
    return found


def check_targets(photos: Sequence[str], targets: Path) -> None:
    """Check that no two photos would be written to one file.

    Raises:
        OptionError: two would, as where names that differ in case only are one file.
    """
    for first, second in same_files(_within(targets, photos)):
        both = f"{photos[first]} and {photos[second]}"
        raise OptionError(f"{both} would be written to one file: rename one")


def _within(targets: Path, photos: Sequence[str]) -> list[str]:
    """Return the paths of results."""
    folder = str(targets / "_")[:-1]
    return [folder + target_name(photo) for photo in photos]


def plan_photos(
    names: Sequence[str],
    folders: Folders,
    roll: bool,
    settings: Mapping[str, Any],
    report: Report,
) -> Iterator[Planned]:
    """Yield of every photo where its outputs go and how it stands with them, when it is asked for.

    Args:
        names: paths within the folder of sources.
        folders: where photos and outputs are.
        roll: all photos share one cube.
        settings: all that the results depend on, beside each photo itself.
        report: of earlier runs.
    """
    everyone = {path_digest(folders.sources / name) for name in names} if roll else set()
    for name in names:
        source = folders.sources / name
        target = folders.targets / target_name(name)
        itself = {path_digest(source)}
        owners = {target: itself}
        cube = None
        if folders.cubes is not None:
            cube = folders.cubes / (ROLL_CUBE_NAME if roll else f"{name}.cube")
            owners[cube] = everyone if roll else itself
        taken = None
        if not all(_is_unicode(path) for path in (source, *owners)):
            state = State.NAMELESS
        elif report.is_done(source, target, cube, settings):
            state = State.DONE
        else:
            there = [path for path in owners if os.path.lexists(path)]
            others = (path for path in there if report.owner(path) not in owners[path])
            taken = next(others, None)
            if taken is not None:
                state = State.TAKEN
            else:
                # The cube of a roll is there for the frames that were done; `plan_roll` minds it.
                state = State.OURS if target in there or (there and not roll) else State.NEW
        yield Planned(source, target, cube, state, taken)


def photos_to_do(planned: Iterable[Planned], force: bool) -> Iterator[tuple[Planned, bool]]:
    """Yield the photos that are to be done, and whether what is in their place is replaced.

    Args:
        planned: photos that do not share a look.
        force: replace what is taken, too.
    """
    for photo in planned:
        if photo.state is State.NEW:
            yield photo, False
        elif photo.state is State.OURS or (photo.state is State.TAKEN and force):
            yield photo, True


def plan_roll(planned: Sequence[Planned], force: bool) -> Request | None:
    """Say how a roll is done, so that what is done stays and what is taken is not lost.

    A roll is asked for whole, because its look depends on all photos; without `overwrite` those
    that are done are refused as existing, and so kept.

    Args:
        planned: all photos of the roll.
        force: overwrite what is taken, too.

    Returns:
        All photos, or None if nothing is to be done.

    Raises:
        OutputExistsError: an output is taken.
    """
    for photo in planned:
        if photo.taken is not None and not force:
            raise OutputExistsError(
                f"{photo.taken}: exists, and is not of this batch; the photos of a roll are done "
                "together: give --force to overwrite it or choose another folder"
            )
    todo = [photo for photo, _ in photos_to_do(planned, force)]
    if not todo:
        return None
    first_cube = planned[0].cube
    made_for_none = State.DONE not in {p.state for p in planned}
    left_behind = first_cube is not None and made_for_none and os.path.lexists(first_cube)
    overwrite = left_behind or any(photo.state is not State.NEW for photo in todo)
    return Request([p for p in planned if p.state is not State.NAMELESS], overwrite)


def plan_alone(planned: Iterable[Planned], force: bool) -> Iterator[Request]:
    """Yield a request for each photo that is to be done, as soon as it is planned."""
    for photo, overwrite in photos_to_do(planned, force):
        yield Request([photo], overwrite)


def plan_requests(planned: Iterable[Planned], roll: bool, force: bool) -> Iterator[Request]:
    """Yield what to ask the daemon for, as soon as enough photos for a request are planned.

    Args:
        planned: all photos of the batch.
        roll: they share one look.
        force: overwrite what is taken, too.

    Raises:
        OutputExistsError: an output of a roll is taken.
        OptionError: there are too many photos for one roll.
    """
    if roll:
        whole = plan_roll(list(planned), force)
        if whole is not None:
            photos = whole.photos
            if len(list(_parts((photo, False) for photo in photos))) > 1:
                raise OptionError(f"a roll of {len(photos)} photos: at most {messages.PHOTOS}")
            yield whole
        return
    yield from _parts(photos_to_do(planned, force))


def _parts(photos: Iterable[tuple[Planned, bool]]) -> Iterator[Request]:
    """Sort photos into requests: those that may replace something, and those that may not."""
    most = messages.HEADER_BYTES - _HEADER_ROOM
    parts: dict[bool, list[Planned]] = {False: [], True: []}
    room = {False: most, True: most}
    for photo, overwrite in photos:
        paths = (photo.source, photo.target, photo.cube)
        needed = sum(len(str(path).encode()) + _MSGPACK_BYTES for path in paths)
        part = parts[overwrite]
        if part and (needed > room[overwrite] or len(part) == messages.PHOTOS):
            yield Request(part, overwrite)
            parts[overwrite] = part = []
            room[overwrite] = most
        part.append(photo)
        room[overwrite] -= needed
    for overwrite, part in parts.items():
        if part:
            yield Request(part, overwrite)


def outputs_of(request: Request) -> dict[Path, Path]:
    """Return every file that a request writes -> the photo it is made from."""
    return {
        output: photo.source
        for photo in request.photos
        for output in (photo.target, photo.cube)
        if output is not None and (request.overwrite or photo.state is not State.DONE)
    }


def settings_of(
    chosen: Mapping[str, Any], proxy: str, model: ModelInfo, roll: Sequence[Path]
) -> dict[str, Any]:
    """Return all that the result of a photo depends on, beside the photo itself.

    Args:
        chosen: options of learning and of treating photos, by name.
        proxy: "centre" or "frame".
        model: what is learned with.
        roll: absolute paths of the photos that share a look, none if each has its own.
    """
    stamps = repr([(str(photo), Stamp.of(photo)) for photo in roll])
    return {
        **chosen,
        "program": __version__,
        "proxy": proxy,
        "model": model.name,
        "model_version": model.version,
        "model_sha256": description_sha256(model),
        "roll_sha256": hashlib.sha256(stamps.encode()).hexdigest() if roll else None,
    }


def _is_unicode(path: Path) -> bool:
    try:
        str(path).encode()
    except UnicodeEncodeError:  # on Linux names are bytes, mostly UTF-8
        return False
    return True


def _unreadable(error: OSError) -> None:
    reason = error.strerror or str(error)
    raise BalanceError(f"{error.filename}: cannot be read: {reason}") from error
