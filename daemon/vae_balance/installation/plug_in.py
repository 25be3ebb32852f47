"""The plug-in in a profile of GIMP: put there, looked at, and taken away.

In GIMP's folder of plug-ins it is a folder named as its program, in which everything that the
program imports lies beside it: what the plug-ins of all versions share, and the client.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vae_balance.installation.gimp_profiles import GimpProfile

NAME = "vae-balance"
PROGRAM = f"{NAME}.py"
MANIFEST = "installed.json"

_SOURCES = {"2.10": "vae-balance-2.10"}  # all others have the one for GIMP 3
_SHARED = ("gimp-plugin/common", "shared")
_LEFT_OUT = (".po", ".md", ".pyc", ".pyi")
_PARTIAL, _OLD = f".{NAME}.partial", f".{NAME}.old"
# What the plug-in, and GIMP about it, keep in the profile outside of the plug-in's own folder.
_LEFT_IN_PROFILE = (f"{NAME}/last-look.cube", f"plug-in-settings/*plug-in-{NAME}*.last")


def files_for(checkout: Path, gimp_version: str) -> dict[str, Path]:
    """Return the files of the plug-in for a version of GIMP: path in its folder -> source.

    Raises:
        FileNotFoundError: the checkout has no such plug-in.
    """
    plugin = checkout / "gimp-plugin" / _SOURCES.get(gimp_version, NAME)
    if not (plugin / PROGRAM).is_file():
        raise FileNotFoundError(f"{plugin / PROGRAM}: not there")
    files: dict[str, Path] = {}
    for folder in (plugin, *(checkout / name for name in _SHARED)):
        for path in sorted(folder.rglob("*")):
            inside = path.relative_to(folder)
            hidden = any(part.startswith(".") or part == "__pycache__" for part in inside.parts)
            if path.is_file() and not hidden and path.suffix not in _LEFT_OUT:
                files[inside.as_posix()] = path
    return files


def is_current(profile: GimpProfile, files: dict[str, Path], version: str) -> bool:
    """Return whether exactly these files of this version are in place, and can be run."""
    wanted = {name: _digest(source) for name, source in files.items()}
    manifest = read_manifest(profile)
    return (
        manifest == {"version": version, "files": wanted}
        and not changed_files(profile)
        and is_executable(profile)
    )


def install(profile: GimpProfile, files: dict[str, Path], version: str) -> None:
    """Put the plug-in into a profile, in place of the one that is there.

    GIMP finds either the old one or the new one whole. Files that are nobody's go over to it.

    Raises:
        OSError: it cannot be written.
    """
    _clear_up(profile)
    partial, old = profile.folder / _PARTIAL, profile.folder / _OLD
    for name, source in files.items():
        target = partial / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
    (partial / PROGRAM).chmod(0o755)
    for path in _strangers(profile):
        kept = partial / path.relative_to(folder_of(profile))
        if not kept.exists():
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, kept)
    manifest = {"version": version, "files": {name: _digest(path) for name, path in files.items()}}
    (partial / MANIFEST).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    profile.plug_ins.mkdir(exist_ok=True)
    place = folder_of(profile)
    if place.exists():
        place.rename(old)
    partial.rename(place)
    shutil.rmtree(old, ignore_errors=True)


def remove(profile: GimpProfile) -> Iterator[Path]:
    """Take away the plug-in and what it keeps in the profile; yield each path that is gone.

    What the installer did not put into the plug-in's folder stays there.
    """
    yield from _clear_up(profile)
    place = folder_of(profile)
    manifest = read_manifest(profile)
    if manifest is not None:
        for name in [*manifest["files"], MANIFEST]:
            (place / name).unlink(missing_ok=True)
            (place / f"{name}c").unlink(missing_ok=True)  # Python 2's bytecode, in GIMP 2.10
        for cache in sorted(place.rglob("__pycache__")):
            shutil.rmtree(cache, ignore_errors=True)
        _remove_empty_folders(place)
        yield place
    for pattern in _LEFT_IN_PROFILE:
        for path in sorted(profile.folder.glob(pattern)):
            path.unlink()
            yield path
    own = profile.folder / NAME
    if own.is_dir():
        _remove_empty_folders(own)
        if not own.exists():
            yield own


def folder_of(profile: GimpProfile) -> Path:
    """Return the folder that the plug-in has in a profile, where there is one or not."""
    return profile.plug_ins / NAME


def read_manifest(profile: GimpProfile) -> dict[str, Any] | None:
    """Return version and files (path -> sha256) of the plug-in that was installed, None if none."""
    try:
        content = json.loads((folder_of(profile) / MANIFEST).read_text(encoding="utf-8"))
        files = {str(name): str(digest) for name, digest in content["files"].items()}
        return {"version": str(content["version"]), "files": files}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def changed_files(profile: GimpProfile) -> list[str]:
    """Return the files of the plug-in that are missing or not as they were installed."""
    manifest = read_manifest(profile)
    if manifest is None:
        return []
    place = folder_of(profile)
    return [name for name, digest in manifest["files"].items() if _digest(place / name) != digest]


def is_executable(profile: GimpProfile) -> bool:
    """Return whether GIMP may run the plug-in; on Windows it always may."""
    if os.name == "nt":
        return True
    try:
        mode = (folder_of(profile) / PROGRAM).stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_IXUSR)


def misplaced(profile: GimpProfile) -> list[Path]:
    """Return copies of the plug-in at places where GIMP does not take it for one."""
    found = [*profile.plug_ins.glob(PROGRAM), *profile.plug_ins.glob(f"*/{PROGRAM}")]
    deeper = profile.plug_ins.glob(f"*/*/{PROGRAM}")
    right = folder_of(profile)
    return sorted(path for path in [*found, *deeper] if path.parent != right)


def _clear_up(profile: GimpProfile) -> list[Path]:
    """Clear up after an installation that was interrupted; return what is gone."""
    place, old = folder_of(profile), profile.folder / _OLD
    if old.exists() and not place.exists():  # it may hold files that are nobody's
        profile.plug_ins.mkdir(exist_ok=True)
        old.rename(place)
    leftovers = [path for path in (profile.folder / _PARTIAL, old) if path.exists()]
    for leftover in leftovers:
        shutil.rmtree(leftover, ignore_errors=True)
    return leftovers


def _strangers(profile: GimpProfile) -> list[Path]:
    """Return files in the plug-in's folder that the installer did not put there."""
    place = folder_of(profile)
    ours = {MANIFEST, *(read_manifest(profile) or {"files": ()})["files"]}
    files = (path for path in place.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return [path for path in files if path.relative_to(place).as_posix() not in ours]


def _remove_empty_folders(folder: Path) -> None:
    """Remove what is empty among a folder and those in it."""
    if not folder.is_dir():
        return
    inner = sorted((path for path in folder.rglob("*") if path.is_dir()), reverse=True)
    for path in [*inner, folder]:
        if not any(path.iterdir()):
            path.rmdir()


def _digest(path: Path) -> str:
    """Return the sha256 of a file; nothing if it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
