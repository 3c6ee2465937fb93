"""A wrapper for a secret value on its way through a process (S1, K3).

The value can be used, by asking for it, and cannot get out by accident: not printed, logged, formatted, compared,
serialized, pickled, copied into a task or shown in an exception report.
"""

from collections.abc import Callable
from typing import Any, NoReturn, Self

MASK = "[secret value]"


class SecretValueLeak(TypeError):
    """Something tried to serialize or copy a secret value."""

    def __init__(self, way: str) -> None:
        super().__init__(f"A secret value cannot be {way}. Call reveal() where it is used, nowhere else.")


class SecretValue:
    """Holds a secret; `reveal()` is the only way to it."""

    __slots__ = ("_reveal",)
    _reveal: Callable[[], str | bytes]

    def __init__(self, value: str | bytes) -> None:
        if not isinstance(value, str | bytes):
            raise TypeError("A secret value is text or bytes.")
        # A closure and not an attribute: what walks attributes (pprint, debuggers' dumps, vars()) finds no value.
        self._reveal = lambda: value

    def reveal(self) -> str | bytes:
        """The value itself."""
        return self._reveal()

    def reveal_text(self) -> str:
        """The value as text; bytes must be UTF-8."""
        value = self._reveal()
        if isinstance(value, str):
            return value
        try:
            return value.decode()
        except UnicodeDecodeError:
            # The original error carries the bytes, and this frame would carry them into a report.
            del value
            raise ValueError("This secret value is not UTF-8 text.") from None

    def __repr__(self) -> str:
        return MASK

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._reveal())

    def __eq__(self, other: object) -> bool:
        """Identity only: comparing values leaks them through timing and through assertion messages."""
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise SecretValueLeak("pickled")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> NoReturn:
        raise SecretValueLeak("deep-copied")

    def __iter__(self) -> NoReturn:
        raise SecretValueLeak("iterated")

    def __bytes__(self) -> NoReturn:
        raise SecretValueLeak("converted to bytes")

    def __len__(self) -> NoReturn:
        raise SecretValueLeak("measured")

    def __getattr__(self, name: str) -> NoReturn:
        # Also what a JSON encoder's hooks (`__json__`, `isoformat`, `_asdict`, `for_json`) would ask for.
        raise AttributeError(f"A secret value has no {name!r}.")
