"""What goes wrong on a cluster: unfit workers, photos that end them, a scheduler that is lost."""

from __future__ import annotations

import datetime
import ipaddress
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import Result
from dask_cluster import HERE, WAIT, dask_cluster, wait_for
from test_batch_command import MANY, REPORT, Batches

from vae_balance import __version__
from vae_balance.batch import crew
from vae_balance.commands import console
from vae_balance.models.store import write_info

pytest.importorskip("distributed")

Run = Callable[..., Result]


@pytest.fixture
def batches(tmp_path: Path, run: Run, random_model: Path) -> Batches:
    return Batches(tmp_path, random_model, run)


def of_version(folder: Path, version: str) -> dict[str, str]:
    """Return the environment of a worker that has another version of the program."""
    import vae_balance

    package = folder / "vae_balance"
    package.mkdir(parents=True)
    text = (
        f"__version__ = {version!r}\n__path__.append({str(Path(vae_balance.__file__).parent)!r})\n"
    )
    (package / "__init__.py").write_text(text)
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(HERE)])}


def can_hide_folders() -> bool:
    command = ["unshare", "--mount", "true"]
    return (
        bool(shutil.which("unshare"))
        and not subprocess.run(command, capture_output=True).returncode
    )


def test_workers_that_cannot_do_it_are_named_and_the_others_go_on(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    homes = {name: tmp_path / name for name in ("here", "elsewhere")}
    for name, home in homes.items():
        model = shutil.copytree(batches.model, home / "vae-balance" / "models" / "mine")
        write_info(model, "mine", name, "MIT", f"made {name}")
    changed = homes["elsewhere"] / "vae-balance/models/mine/latent_balancer/config.json"
    changed.write_text(changed.read_text() + "\n")
    write_info(changed.parent.parent, "mine", "2", "MIT", "made elsewhere")
    monkeypatch.setenv("XDG_DATA_HOME", str(homes["here"]))
    batches.model = Path("mine")
    batches.photos("a.png", "b.png")
    with dask_cluster(tmp_path / "cluster", 0) as cluster:
        cluster.add_worker(environ=of_version(tmp_path / "old", "0.0.9"))
        cluster.add_worker(environ={"XDG_DATA_HOME": str(homes["elsewhere"])})
        hiding = can_hide_folders()
        if hiding:
            hide = 'mount -t tmpfs none "$0" && exec "$@"'
            out = batches.folder / "out"
            out.mkdir()
            cluster.add_worker(command=("unshare", "--mount", "sh", "-c", hide, str(out)))
        cluster.wait_for_workers(2 + hiding)
        monkeypatch.setattr(crew, "_GRACE_SECONDS", 1.0)
        result = batches.run("--scheduler", cluster.address)
        assert result.exit_code == console.FAILED
        assert batches.report() == []
        lines = result.stderr.splitlines()
        expected = [
            rf"left out: has version 0.0.9 of VAE Balance, not {__version__}: install it there",
            "left out: has another model mine, of version 2 and checksum ",
            *([f"left out: does not see {batches.folder / 'out'}"] if hiding else []),
        ]
        assert len(lines) == len(expected) + 1
        for text in expected:
            (line,) = [line for line in lines[:-1] if text in line]
            assert line.startswith("vae-balance: worker tcp://127.0.0.1:")
        assert "no worker can do this: worker tcp://127.0.0.1:" in lines[-1]

        cluster.add_worker()
        cluster.wait_for_workers(3 + hiding)
        result = batches.run("--scheduler", cluster.address)
        assert result.exit_code == 0
        assert len(result.stderr.splitlines()) == len(expected)
        assert batches.written() == ["a.png", "b.png", "contact-sheet.jpg", REPORT]


def test_a_photo_that_ends_three_workers_is_reported_and_left(
    batches: Batches, tmp_path: Path
) -> None:
    batches.photos("a.png", "b.png", "deadly.png", "e.png", "f.png", "g.png")
    with dask_cluster(tmp_path / "cluster", 0) as cluster:
        # Two threads: a photo beside the deadly one must not be blamed for it.
        for _ in range(2):
            deadly = str(HERE / "dask_deadly_photo.py")
            cluster.add_worker("--nthreads", "2", "--preload", deadly)
        cluster.wait_for_workers(2)
        result = batches.run("--scheduler", cluster.address)
        assert result.exit_code == console.FAILED
        *losses, failed = result.stderr.splitlines()
        assert len([line for line in losses if "is lost; others do what it was doing" in line]) == 3
        source = batches.folder / "in" / "deadly.png"
        assert failed.startswith(f"vae-balance: {source}: ended 3 workers, the last worker tcp://")
        outcomes = {Path(line["source"]).name: line["outcome"] for line in batches.report()}
        assert len(batches.report()) == len(outcomes) == 6
        assert outcomes.pop("deadly.png") == "failed"
        assert set(outcomes.values()) == {"done"}
        wait_for(cluster.is_clean)


def test_a_lost_scheduler_is_told_and_the_next_run_goes_on(
    batches: Batches, tmp_path: Path
) -> None:
    batches.photos(*MANY, side=300)
    with dask_cluster(tmp_path / "first", 1) as cluster:
        cluster.wait_for_workers(1)
        process = batches.start("--scheduler", cluster.address)
        batches.wait_for_lines(2, process)
        cluster.scheduler.kill()
        _, errors = process.communicate(timeout=WAIT)
        assert process.returncode == console.FAILED
        text = f"vae-balance: {cluster.address}: the scheduler is lost; the same command goes on\n"
        assert errors == text
    done = {Path(line["target"]).name for line in batches.report()}
    assert 2 <= len(done) < len(MANY)
    with dask_cluster(tmp_path / "second", 1) as cluster:
        outcomes = batches.outcomes("--scheduler", cluster.address)
    assert {name for name, outcome in outcomes.items() if outcome == "skipped"} == done
    assert set(outcomes.values()) == {"skipped", "done"}
    assert batches.written() == sorted([*MANY, "contact-sheet.jpg", REPORT])


def test_no_workers_and_no_scheduler_are_told(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches.photos("a.png")
    monkeypatch.setattr(crew, "_WAIT_SECONDS", 1.0)
    monkeypatch.setattr(crew, "_TELL_SECONDS", 0.5)
    with dask_cluster(tmp_path / "cluster", 0) as cluster:
        result = batches.run("--scheduler", cluster.address)
        assert result.exit_code == console.FAILED
        waiting, error = result.stderr.splitlines()
        assert waiting == f"vae-balance: {cluster.address}: waiting for workers"
        assert f"has no workers: start some, `dask worker {cluster.address}`" in error
        assert batches.written() == []
    monkeypatch.setattr("vae_balance.batch.dask_runner._CONNECT_SECONDS", 1.0)
    result = batches.run("--scheduler", cluster.address)
    assert result.exit_code == console.FAILED
    assert f"{cluster.address}: no scheduler answers there" in result.stderr
    assert result.stderr.count("\n") == 1


def certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Return the files of an authority, and of a certificate of its for 127.0.0.1 and the key."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    now = datetime.datetime.now(datetime.timezone.utc)
    day = datetime.timedelta(days=1)
    names = [x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, n)]) for n in ("ca", "us")]
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in names]
    folder.mkdir()
    paths = folder / "ca.pem", folder / "cert.pem", folder / "key.pem"
    for is_ours in (False, True):
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[is_ours])
            .issuer_name(names[0])
            .public_key(keys[is_ours].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - day)
            .not_valid_after(now + day)
            .add_extension(x509.BasicConstraints(ca=not is_ours, path_length=None), critical=True)
        )
        if is_ours:
            address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
            builder = builder.add_extension(x509.SubjectAlternativeName([address]), critical=False)
        signed = builder.sign(keys[0], hashes.SHA256())
        paths[is_ours].write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    paths[2].write_bytes(
        keys[1].private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


def test_a_cluster_behind_tls_takes_who_has_a_certificate(
    batches: Batches, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches.photos("a.png")
    ca, cert, key = map(str, certificates(tmp_path / "tls"))
    tls = ("--tls-ca-file", ca, "--tls-cert", cert, "--tls-key", key)
    monkeypatch.setattr("vae_balance.batch.dask_runner._CONNECT_SECONDS", 5.0)
    with dask_cluster(tmp_path / "cluster", 1, tls) as cluster:
        assert cluster.address.startswith("tls://")
        _, strange_cert, strange_key = map(str, certificates(tmp_path / "stranger"))
        strange = ("--tls-ca-file", ca, "--tls-cert", strange_cert, "--tls-key", strange_key)
        for address, files in ((cluster.address, strange), (cluster.address[6:], ())):
            scheduler = address if files else f"tcp://{address}"
            result = batches.run("--scheduler", scheduler, *files)
            assert result.exit_code == console.FAILED
            assert "no scheduler answers there" in result.stderr
            assert ("trust each other" in result.stderr) == bool(files)
        assert batches.run("--scheduler", cluster.address, *tls).exit_code == 0
    assert "a.png" in batches.written()


@pytest.mark.parametrize(
    ("files", "hint"),
    [
        (("junk", "cert", "key"), "junk: is not a certificate in the form PEM"),
        (("ca", "junk", "key"), "junk: is not a certificate in the form PEM"),
        (("ca", "key", "key"), "key.pem: is not a certificate in the form PEM"),
        (("ca", "cert", "junk"), "junk: has no private key in the form PEM that opens without"),
        (("ca", "cert", "locked"), "locked: has no private key in the form PEM that opens without"),
        (("ca", "cert", None), "cert.pem: has no private key in the form PEM that opens without"),
        (("ca", "ca", "key"), "key.pem: is not the key of the certificate"),
    ],
)
def test_a_file_that_is_no_certificate_or_no_key_of_it_is_told_before_any_work(
    batches: Batches, tmp_path: Path, files: tuple[str | None, ...], hint: str
) -> None:
    from cryptography.hazmat.primitives import serialization as form

    batches.photos("a.png")
    paths = dict(zip(("ca", "cert", "key"), certificates(tmp_path / "tls"), strict=True))
    for name in ("junk", "locked"):
        paths[name] = tmp_path / name
    paths["junk"].write_bytes(b"-----BEGIN CERTIFICATE-----\n\0junk\n")
    key = form.load_pem_private_key(paths["key"].read_bytes(), None)
    locked = key.private_bytes(
        form.Encoding.PEM, form.PrivateFormat.PKCS8, form.BestAvailableEncryption(b"secret")
    )
    paths["locked"].write_bytes(locked)
    flags = ("--tls-ca-file", "--tls-cert", "--tls-key")
    options = [text for flag, name in zip(flags, files, strict=True) if name
               for text in (flag, str(paths[name]))]  # fmt: skip
    result = batches.run("--scheduler", "tls://127.0.0.1:1", *options)
    assert result.exit_code == console.WRONG_USAGE
    assert hint in result.stderr
    assert result.stderr.count("\n") == 1
    assert batches.written() == []


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        (["--scheduler", "10.0.0.1:8786"], "must be local, tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "tcp://10.0.0.1"], "must be local, tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "tcp://h:port"], "must be local, tcp://HOST:PORT or tls://HOST:PORT"),
        (["--scheduler", "tls://10.0.0.1:8786"], "needs --tls-ca-file and --tls-cert"),
        (["--scheduler", "tcp://10.0.0.1:8786", "--tls-cert", "a.pem"], "TLS is for tls://"),
        (["--tls-cert", "a.pem"], "are of --scheduler"),
        (
            ["--scheduler", "tls://h:1", "--tls-ca-file", "no.pem", "--tls-cert", "a.pem"],
            "no.pem: no such file",
        ),
    ],
)
def test_wrong_usage_is_told_before_any_work(
    batches: Batches, options: list[str], hint: str
) -> None:
    batches.photos("a.png")
    result = batches.run(*options)
    assert result.exit_code == console.WRONG_USAGE
    assert hint in result.stderr
    assert batches.written() == []


WITHOUT_DASK = """
import sys
from importlib.machinery import PathFinder

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("dask", "distributed"):
            return None
        return PathFinder.find_spec(name, path, target)

sys.meta_path[:] = [f for f in sys.meta_path if f is not PathFinder] + [Hidden()]
from vae_balance.cli import main
main()
"""


def test_where_the_extra_is_missing_the_error_says_what_to_install(batches: Batches) -> None:
    batches.photos("a.png")
    arguments = batches.arguments("--scheduler", "local")
    command = [sys.executable, "-c", WITHOUT_DASK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=WAIT)
    assert done.returncode == console.WRONG_USAGE
    assert done.stderr == (
        "vae-balance: this needs distributed, which is not installed: "
        "pip install 'vae-balance[cluster]'\n"
    )


@pytest.mark.slow
def test_twenty_workers_killed_at_random_moments_cost_nothing(
    batches: Batches, tmp_path: Path
) -> None:
    import random
    import time

    moments = random.Random(17)
    names = [f"{number:03d}.png" for number in range(120)]
    batches.photos(*names, side=300)
    with dask_cluster(tmp_path / "cluster", 3) as cluster:
        cluster.wait_for_workers(3)
        killed = 0
        process = batches.start("--scheduler", cluster.address, "--force", "--no-contact-sheet")
        while killed < 20:
            time.sleep(moments.uniform(0.0, 3.0))
            if process.poll() is not None:
                has_left_photos_by_chance(process)
                (batches.folder / "out" / REPORT).unlink()
                process = batches.start(
                    "--scheduler", cluster.address, "--force", "--no-contact-sheet"
                )
                continue
            if pids := cluster.pids():
                with suppress(ProcessLookupError):  # it was killed, and is not missed yet
                    os.kill(moments.choice(pids), signal.SIGKILL)
                    killed += 1
        if has_left_photos_by_chance(process):
            process = batches.start("--scheduler", cluster.address, "--no-contact-sheet")
            _, errors = process.communicate(timeout=10 * WAIT)
            assert process.returncode == 0, errors
    done = [line for line in batches.report() if line["outcome"] == "done"]
    assert sorted(Path(line["target"]).name for line in done) == names
    assert batches.written() == sorted([*names, REPORT])
    assert len({line["look"] for line in done}) == len(names)


def has_left_photos_by_chance(process: subprocess.Popen[str]) -> bool:
    """Wait for the end of a batch; tell whether it left photos undone, which chance may do.

    Where photos take long, one may be in work on three workers that are killed.
    """
    _, errors = process.communicate(timeout=10 * WAIT)
    left = errors.count(f": ended {crew.MOST_LOSSES} workers, the last ")
    assert left == errors.count("left undone")
    assert process.returncode == (console.FAILED if left else 0), errors
    return left > 0
