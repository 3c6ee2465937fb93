"""A client's WebSocket messages, taken apart (RFC 6455); for the shell relay, whose payload is bytes."""

LONGEST_FRAME = 1 << 20
_FIN, _RSV, _OPCODE, _MASKED = 0x80, 0x70, 0x0F, 0x80
_CONTINUED, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_SHORT, _LONG, _LONGEST_CONTROL = 126, 127, 125


class BadFrame(ValueError):
    """No frame a client may send."""


class Messages:
    """Takes bytes as they come. Frames need not be whole messages: what is carried is a stream."""

    __slots__ = ("_held", "_open")

    def __init__(self) -> None:
        self._held = b""
        self._open = False

    def feed(self, data: bytes) -> tuple[bytes, list[bytes], bool]:
        """Payload, what to answer at once (pongs), and whether the client closes.

        Raises:
            BadFrame: the client does not speak the protocol.
        """
        data = self._held + data if self._held else data
        at, size = 0, len(data)
        content: list[bytes] = []
        pongs: list[bytes] = []
        while size - at >= 2:
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            start = at + 2
            if length >= _SHORT:
                wide = 2 if length == _SHORT else 8
                if size - start < wide:
                    break
                length = int.from_bytes(data[start : start + wide], "big")
                start += wide
            self._check(first, second, length)
            end = start + 4 + length
            if end > size:
                break
            payload = _unmasked(data[start + 4 : end], data[start : start + 4])
            at = end
            opcode = first & _OPCODE
            if opcode == _CLOSE:
                self._held = b""
                return b"".join(content), pongs, True
            if opcode == _PING:
                pongs.append(b"\x8a" + bytes((len(payload),)) + payload)
            elif opcode != _PONG:
                content.append(payload)
        self._held = data[at:]
        return b"".join(content), pongs, False

    def _check(self, first: int, second: int, length: int) -> None:
        opcode, final = first & _OPCODE, bool(first & _FIN)
        if first & _RSV or not second & _MASKED or length > LONGEST_FRAME:
            raise BadFrame
        if opcode in {_CLOSE, _PING, _PONG}:
            if not final or length > _LONGEST_CONTROL:
                raise BadFrame
        elif opcode == _BINARY or (opcode == _CONTINUED and self._open):
            self._open = not final
        else:
            raise BadFrame


def frame(payload: bytes) -> bytes:
    """A whole binary message, as a server sends it."""
    size = len(payload)
    if size < _SHORT:
        return bytes((0x82, size)) + payload
    if size < 1 << 16:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload


def _unmasked(payload: bytes, mask: bytes) -> bytes:
    size = len(payload)
    if not size:
        return b""
    repeated = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
