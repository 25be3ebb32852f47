"""Where files lie, on systems that need not be this one."""

from __future__ import annotations

import pytest

from vae_balance_protocol import places

HOME = {"HOME": "/home/ann"}


@pytest.mark.parametrize(
    ("platform", "environ", "folder"),
    [
        ("linux", HOME, "/home/ann/.local/state/vae-balance"),
        ("linux2", HOME, "/home/ann/.local/state/vae-balance"),  # what Python 2 says
        ("linux", {**HOME, "XDG_STATE_HOME": "/x"}, "/x/vae-balance"),
        ("linux", {**HOME, "XDG_STATE_HOME": "x"}, "/home/ann/.local/state/vae-balance"),
        (
            "linux",
            {**HOME, "FLATPAK_ID": "org.gimp.GIMP", "XDG_STATE_HOME": "/sandbox"},
            "/home/ann/.local/state/vae-balance",
        ),
        (
            "linux",
            {**HOME, "FLATPAK_ID": "org.gimp.GIMP", "HOST_XDG_STATE_HOME": "/x"},
            "/x/vae-balance",
        ),
        (
            "linux",
            {"HOME": "/home/ann/snap/gimp/1", "SNAP_REAL_HOME": "/home/ann"},
            "/home/ann/.local/state/vae-balance",
        ),
        ("darwin", HOME, "/home/ann/Library/Application Support/vae-balance"),
        ("win32", {"LOCALAPPDATA": r"C:\Users\Ann\Local"}, r"C:\Users\Ann\Local\vae-balance"),
        ("win32", {"USERPROFILE": r"C:\Users\Ann"}, r"C:\Users\Ann\AppData\Local\vae-balance"),
        ("linux", {**HOME, "VAE_BALANCE_STATE": "/elsewhere"}, "/elsewhere"),
    ],
)
def test_state(platform: str, environ: dict[str, str], folder: str) -> None:
    assert places.state_folder(environ, platform) == folder


def test_files_of_the_daemon() -> None:
    folder = "/home/ann/.local/state/vae-balance"
    assert places.connection_file(HOME, "linux") == f"{folder}/daemon.json"
    assert places.lock_file(HOME, "linux") == f"{folder}/daemon.lock"
    assert places.log_file(HOME, "linux") == f"{folder}/daemon.log"
    windows = {"LOCALAPPDATA": "C:\\L"}
    assert places.connection_file(windows, "win32") == "C:\\L\\vae-balance\\daemon.json"


def test_configuration() -> None:
    assert places.config_folder(HOME, "linux") == "/home/ann/.config/vae-balance"
    chosen = {**HOME, "XDG_CONFIG_HOME": "/etc/x"}
    assert places.config_folder(chosen, "linux") == "/etc/x/vae-balance"
    flatpak = {**chosen, "FLATPAK_ID": "org.gimp.GIMP"}
    assert places.config_folder(flatpak, "linux") == "/home/ann/.config/vae-balance"


def test_nobody_s_home_is_needed_on_this_system() -> None:
    assert places.state_folder({}).endswith("vae-balance")
