"""What surrounds the pixels in a picture file: one module a format, reading and putting back.

OpenImageIO decodes and encodes pixels. It parses EXIF into attributes of its own and writes those
back, without maker notes and unknown tags; so the bytes of EXIF, XMP and ICC profiles are carried
from file to file here instead. Each module has a function `inspect`, which also refuses files that
have no single color picture to offer, and a function `embed`.
"""

from vae_balance.photos.containers.metadata import Metadata

__all__ = ["Metadata"]
