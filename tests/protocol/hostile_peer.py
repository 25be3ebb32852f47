# ruff: noqa: UP010, UP031
"""Connect to a peer that means no good, and tell what became of it.

    python hostile_peer.py PORT SECONDS SECONDS

It waits so long for the peer to take data, and then to say something.

Prints the code and message of the error, and the peak of memory in KiB above what it was before.
"""

from __future__ import absolute_import, print_function

import resource
import sys

from vae_balance_protocol import ConnectionLost, zmtp


def peak():
    """Return the peak of memory of this process, KiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


if __name__ == "__main__":
    taking, saying = map(float, sys.argv[2:])
    before = peak()
    try:
        dealer = zmtp.Dealer("127.0.0.1", int(sys.argv[1]), b"vae-balance", b"f" * 64, timeout=1.0)
        dealer.send([b"id", b"header", bytearray(8000000)], timeout=taking)
        for _ in range(3):
            dealer.receive(saying)
        print("silent")
    except ConnectionLost as error:
        print("%s: %s" % (error.code, error))
    print(peak() - before)
