"""Who may connect: PLAIN with the token, asked for by ZAP (https://rfc.zeromq.org/spec/27/).

pyzmq's own authenticator writes passwords to its log.
"""

from __future__ import annotations

import hmac
import logging

import zmq

from vae_balance_protocol.messages import USER

DOMAIN = b"vae-balance"
_ENDPOINT = "inproc://zeromq.zap.01"
_log = logging.getLogger(__name__)


class Authenticator:
    """Answers ZeroMQ's question, for every new connection, whether it is let in.

    Must be made before the socket that it guards is bound.

    Attributes:
        socket: readable when there is a question.

    Args:
        context: of the guarded socket.
        token: that clients give as their password.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], token: str) -> None:
        self._user = USER.encode("ascii")
        self._token = token.encode("ascii")
        self.socket = context.socket(zmq.REP)
        self.socket.linger = 0
        self.socket.bind(_ENDPOINT)

    def answer(self) -> None:
        """Answer one question, if there is one."""
        try:
            question = self.socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return
        version, request, _domain, address, _identity, mechanism, *credentials = question
        welcome = self._is_welcome(mechanism, credentials)
        if not welcome:
            # Not what was given instead: it may be a typing error away from the token.
            _log.warning("refused a connection from %s: wrong token", address.decode("latin-1"))
        code, text = (b"200", b"OK") if welcome else (b"400", b"wrong token")
        self.socket.send_multipart([version, request, code, text, USER.encode("ascii"), b""])

    def close(self) -> None:
        """Let nobody in any more."""
        self.socket.close()

    def _is_welcome(self, mechanism: bytes, credentials: list[bytes]) -> bool:
        if mechanism != b"PLAIN" or len(credentials) != 2:
            return False
        user, password = credentials
        # Both are compared, in constant time, whatever the first says.
        return hmac.compare_digest(user, self._user) & hmac.compare_digest(password, self._token)
