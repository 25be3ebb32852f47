"""Pictures that come in strips and become proxies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from vae_balance.server.jobs import Job
from vae_balance.server.pixels import as_pixels
from vae_balance.server.workers import Result
from vae_balance_protocol import DaemonError, Malformed
from vae_balance_protocol.messages import BUSY, MALFORMED, PICTURES

if TYPE_CHECKING:
    from vae_balance.photos.proxy import GrowingProxy

# What must be the same in all strips of a picture.
_CONSTANT = ("width", "height", "channels", "dtype", "profile", "kind")


class Picture:
    """A picture of which some strips have come.

    Attributes:
        next_row: the first row of the strip that has to come next.
        broken: a strip was out of order, was cancelled or failed: nothing will become of it.
        constants: the fields that all strips share.
    """

    def __init__(self, fields: dict[str, Any]) -> None:
        self.next_row = 0
        self.broken = False
        self.constants = {name: fields[name] for name in _CONSTANT}
        self._proxy: GrowingProxy | None = None
        self._rows = 0  # that are in the proxy

    def expect(self, fields: dict[str, Any]) -> None:
        """Check that a strip is the next one, which ends the picture if it is not.

        `broken` is only ever set: strips that came before may be at work in another thread.

        Raises:
            Malformed: it is not.
        """
        try:
            self._check(fields)
        except Malformed:
            self.broken = True
            raise
        self.next_row += fields["rows"]

    def _check(self, fields: dict[str, Any]) -> None:
        for constant in _CONSTANT:
            if fields[constant] != self.constants[constant]:
                raise Malformed(
                    MALFORMED, f"shrink: {constant} must be that of the first strip of the picture"
                )
        first_row = fields["first_row"]
        if first_row != self.next_row:
            raise Malformed(
                MALFORMED, f"shrink: first_row must be {self.next_row}, not {first_row}"
            )

    def shrink(self, job: Job) -> Result:
        """Take in a strip; the last one gives the proxy, (224, 224, 3) of f32."""
        try:
            return self._shrink(job)
        except Exception:
            self.broken = True
            raise

    def _shrink(self, job: Job) -> Result:
        from vae_balance.photos.proxy import GrowingProxy

        fields = job.fields
        if self.broken or fields["first_row"] != self._rows:
            raise Malformed(MALFORMED, "shrink: another strip has ended this picture")
        shape = (fields["rows"], fields["width"], fields["channels"])
        strip = as_pixels(job.frames[0], *shape, fields["dtype"])
        if self._proxy is None:
            whole = (fields["height"], *shape[1:])
            self._proxy = GrowingProxy(whole, strip.dtype, fields["kind"], fields["profile"])
        self._proxy.add(strip)
        self._rows += fields["rows"]
        result = {"first_row": fields["first_row"], "rows": fields["rows"]}
        if self._rows < fields["height"]:
            return result, []
        return result, [self._proxy.finish().astype("<f4", order="C", copy=False)]


class Pictures:
    """The unfinished pictures of one client, by name."""

    def __init__(self) -> None:
        self._open: dict[str, Picture] = {}

    def expect(self, fields: dict[str, Any]) -> Picture:
        """Return the picture that a strip continues or begins.

        Raises:
            Malformed: the strip is not the next one of its picture, which it ends.
            DaemonError: there are too many unfinished pictures; code "busy".
        """
        self._open = {n: picture for n, picture in self._open.items() if not picture.broken}
        name, first_row = fields["picture"], fields["first_row"]
        picture = self._open.pop(name, None)
        if picture is None:
            if first_row != 0:
                raise Malformed(
                    MALFORMED, f"shrink: first_row is {first_row}, but the rows above are not here"
                )
            if len(self._open) >= PICTURES:
                raise DaemonError(BUSY, f"shrink: {PICTURES} pictures are unfinished: finish one")
            picture = Picture(fields)
        picture.expect(fields)
        if picture.next_row < fields["height"]:
            self._open[name] = picture
        return picture
