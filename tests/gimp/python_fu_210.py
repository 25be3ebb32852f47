"""A root with GIMP 2.10 and its real Python-Fu on Python 2.7, which no Debian of today has whole.

GIMP 2.10.22 and Python 2.7 are packages of bullseye. Python-Fu is compiled there, from the source
of GIMP 2.10.34 that Debian's mirror has and from PyGObject 3.36, the last for Python 2.7. gimpfu's
dialog would need PyGTK as well: procedures run without one.
"""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
from pathlib import Path

import roots

SUITE = "bullseye"
PACKAGES = (
    "gimp", "python2.7", "python2.7-dev", "libgimp2.0-dev", "libgirepository1.0-dev",
    "libffi-dev", "gcc", "libc6-dev", "pkg-config", "python-pip-whl",
)  # fmt: skip
_GIMP = "pool/main/g/gimp/gimp_2.10.34.orig.tar.bz2"
_GIMP_SHA256 = "84004642d351b398a4293cd7fd3592044a944f05bb52850ee6068f247c657aa3"
_PYGOBJECT = "PyGObject==3.36.1"
_PYGOBJECT_SHA256 = "012a589aec687bfa809a1ff9f5cd775dc7f6fcec1a6bc7fe88e1002a68f8ba34"
_BUILD = r"""
set -eu
wheels=/usr/share/python-wheels target=/opt/python-fu
export PYTHONPATH=$(ls $wheels/setuptools-4*.whl):$(ls $wheels/pkg_resources-*.whl)
cd /usr/src/pygobject
PYGOBJECT_WITHOUT_PYCAIRO=1 python2.7 setup.py -q build_ext
mkdir -p $target include
cp -r gi $target
cp build/lib*/gi/_gi.so $target/gi
cp gi/pygobject.h include
# All that gimpmodule.c wants of PyGTK.
printf 'def require(version):\n    pass\n' > $target/pygtk.py
cat > include/config.h << 'END'
#define GETTEXT_PACKAGE "gimp20"
#define init_pygobject() pygobject_init (-1, -1, -1)
END
flags="-shared -fPIC -O1 -w -DHAVE_CONFIG_H -I/usr/include/python2.7 -I$PWD/include -I."
flags="$flags $(pkg-config --cflags gimp-2.0 gimpui-2.0 gegl-0.4 gobject-2.0)"
cd /usr/src/pygimp
gcc $flags -o $target/gimp.so gimpmodule.c pygimp-item.c pygimp-display.c pygimp-drawable.c \
    pygimp-image.c pygimp-parasite.c pygimp-pdb.c pygimp-tile.c pygimp-vectors.c \
    $(pkg-config --libs gimpui-2.0 gegl-0.4)
gcc $flags -o $target/_gimpenums.so gimpenumsmodule.c $(pkg-config --libs gimp-2.0)
gcc $flags -o $target/gimpcolor.so gimpcolormodule.c pygimp-colors.c $(pkg-config --libs gimp-2.0)
cp gimpenums.py gimpfu.py gimpplugin.py gimpshelf.py $target
cd /usr/lib/gimp/2.0
echo ': PYTHONPATH=/opt/python-fu' > environ/pygimp.env
printf 'python2=/usr/bin/python2.7\n:Python:E::py::python2.7:\n' > interpreters/pygimp.interp
"""


def root() -> Path:
    """Return the root; the first time it is built, which takes minutes.

    Raises:
        roots.RootError: it cannot be had here.
    """
    recipe = Path(__file__).read_text(encoding="utf-8")
    return roots.cached(SUITE, PACKAGES, _add_python_fu, recipe)


def _add_python_fu(root: Path) -> None:
    source = root / "usr/src"
    address = f"{roots.mirror().rstrip('/')}/{_GIMP}"
    with urllib.request.urlopen(address) as answer:
        _unpack(answer.read(), _GIMP_SHA256, "plug-ins/pygimp/", source / "pygimp")
    with tempfile.TemporaryDirectory() as folder:
        _unpack(_download(_PYGOBJECT, folder), _PYGOBJECT_SHA256, "", source / "pygobject")
    done = subprocess.run(
        roots.command_inside(root, root / "io", ["sh", "-c", _BUILD]),
        check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    if done.returncode:
        raise roots.RootError(f"Python-Fu cannot be compiled: {done.stdout[-2000:]}")


def _download(requirement: str, folder: str) -> bytes:
    """Return the source archive of a package of PyPI's."""
    command = [sys.executable, "-m", "pip", "download", "-d", folder, requirement]
    command += ["--no-deps", "--no-build-isolation", "--no-binary", ":all:"]
    environ = {**os.environ, "PYGOBJECT_WITHOUT_PYCAIRO": "1"}
    done = subprocess.run(command, env=environ, check=False, capture_output=True, text=True)
    if done.returncode:
        raise roots.RootError(f"{requirement} cannot be downloaded: {done.stderr[-500:]}")
    return next(Path(folder).iterdir()).read_bytes()


def _unpack(archive: bytes, checksum: str, part: str, target: Path) -> None:
    """Unpack what is below the first folder of an archive, or below a part of that folder."""
    if hashlib.sha256(archive).hexdigest() != checksum:
        raise roots.RootError(f"the archive of {target.name} is not the one that is known")
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for member in tar:
            name = member.name.partition("/")[2]
            if member.isfile() and name.startswith(part):
                path = target / name.removeprefix(part)
                path.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                path.write_bytes(content.read())
