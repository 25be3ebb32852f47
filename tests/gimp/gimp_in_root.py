"""A real GIMP in a root folder, for the tests that run it again and again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import roots
from daemon_outside import VARIABLES


@dataclass(frozen=True)
class Gimp:
    """A GIMP to run.

    Attributes:
        root: the folder with its Debian.
        io: the folder that it sees as /io; its profile is in there.
        variable: of the environment, which tells it where its profile is.
    """

    root: Path
    io: Path
    variable: str

    def run(self, *command: str) -> str:
        """Run a command in the root; return what it printed, errors included."""
        variables = {self.variable: "/io/profile", **VARIABLES}
        return roots.output_inside(self.root, self.io, command, roots.PATIENCE, **variables)
