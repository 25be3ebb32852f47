"""Each system's paths, looked at on any machine."""

from __future__ import annotations

import os
import sys

import platformdirs
import pytest

from vae_balance.installation.places import Places
from vae_balance.models.store import user_models_folder

LINUX = {"HOME": "/home/anna"}
MACOS = {"HOME": "/Users/anna"}
WINDOWS = {"USERPROFILE": r"C:\Users\anna"}


@pytest.mark.parametrize(
    ("environ", "platform", "name", "path"),
    [
        (LINUX, "linux", "environment", "/home/anna/.local/share/vae-balance/environment"),
        (LINUX, "linux", "command_link", "/home/anna/.local/bin/vae-balance"),
        (LINUX, "linux", "client_file", "/home/anna/.config/vae-balance/client.json"),
        (LINUX, "linux", "install_log", "/home/anna/.local/state/vae-balance/install.log"),
        (LINUX, "linux", "login_file", "/home/anna/.config/systemd/user/vae-balance.service"),
        (
            MACOS,
            "darwin",
            "environment_python",
            "/Users/anna/Library/Application Support/vae-balance/environment/bin/python",
        ),
        (
            MACOS,
            "darwin",
            "login_file",
            "/Users/anna/Library/LaunchAgents/io.github.vae-balance.daemon.plist",
        ),
        (
            WINDOWS,
            "win32",
            "environment_program",
            r"C:\Users\anna\AppData\Local\vae-balance\environment\Scripts\vae-balance.exe",
        ),
        (WINDOWS, "win32", "client_file", r"C:\Users\anna\AppData\Local\vae-balance\client.json"),
        (WINDOWS, "win32", "command_link", "None"),
        (
            {**LINUX, "XDG_DATA_HOME": "/data"},
            "linux",
            "data",
            "/data/vae-balance",
        ),
        (
            {**LINUX, "XDG_CONFIG_HOME": "relative"},
            "linux",
            "config",
            "/home/anna/.config/vae-balance",
        ),
        (
            {**WINDOWS, "LOCALAPPDATA": r"D:\Local"},
            "win32",
            "data",
            r"D:\Local\vae-balance",
        ),
        (
            {**LINUX, "XDG_DATA_HOME": "relative"},
            "linux",
            "data",
            "/home/anna/.local/share/vae-balance",
        ),
        (LINUX, "freebsd14", "data", "/home/anna/.local/share/vae-balance"),
    ],
)
def test_where_things_lie(environ: dict[str, str], platform: str, name: str, path: str) -> None:
    assert str(getattr(Places(environ, platform), name)) == path


@pytest.mark.parametrize(
    ("environ", "platform", "folders"),
    [
        (
            LINUX,
            "linux",
            {
                "package or AppImage": "/home/anna/.config/GIMP",
                "flatpak": "/home/anna/.var/app/org.gimp.GIMP/config/GIMP",
                "snap": "/home/anna/snap/gimp/current/.config/GIMP",
            },
        ),
        (MACOS, "darwin", {"app": "/Users/anna/Library/Application Support/GIMP"}),
        (
            WINDOWS,
            "win32",
            {
                "installer": r"C:\Users\anna\AppData\Roaming\GIMP",
                "Store": r"C:\Users\anna\AppData\Local\Packages\*GIMP*\LocalCache\Roaming\GIMP",
            },
        ),
    ],
)
def test_where_gimp_keeps_profiles(
    environ: dict[str, str], platform: str, folders: dict[str, str]
) -> None:
    found = Places(environ, platform).gimp_folders
    assert {folder.kind: str(path) for folder, path in found} == folders


def test_a_gimp_in_a_sandbox_is_known_as_one() -> None:
    sandboxed = {f.kind: f.sandboxed for f, _path in Places(LINUX, "linux").gimp_folders}
    assert sandboxed == {"package or AppImage": False, "flatpak": True, "snap": True}


def test_the_data_folder_is_where_models_are_looked_for() -> None:
    places = Places(os.environ, sys.platform)
    assert str(places.models) == str(user_models_folder())
    assert str(places.data) == platformdirs.user_data_dir("vae-balance", appauthor=False)
