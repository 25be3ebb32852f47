"""What the doctor finds: what was looked at, what is wrong with it, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """What was found about one subject.

    Attributes:
        subject: what was looked at, in a word or two.
        finding: what was found, in a line.
        mend: what to do about it; "" if all is well.
    """

    subject: str
    finding: str
    mend: str = ""

    @property
    def ok(self) -> bool:
        """Whether all is well."""
        return not self.mend


# What mends most of what can be wrong with files that were installed.
INSTALL_AGAIN = "run the installer again: python3 installer/install.py"
