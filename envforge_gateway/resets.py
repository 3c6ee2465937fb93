"""Ending a TCP connection at once, from within: what the kernel still held for the client is thrown away."""

import ctypes
import socket

_connect = ctypes.CDLL(None).connect
_connect.argtypes = (ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
# connect(2): an address of AF_UNSPEC dissolves the association of a socket, which for TCP is a reset.
_NOBODY = socket.AF_UNSPEC.to_bytes(16, "little")


def reset(number: int) -> None:
    """Send one reset and forget what was queued; the descriptor stays whoever's it was, to be closed by them.

    A `shutdown` takes two packets, and lets a slow client read on in what is queued. A socket that is gone already is none of ours.
    """
    _connect(number, _NOBODY, len(_NOBODY))
