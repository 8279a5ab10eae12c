"""Reads a pickle as data: a small machine that follows its opcodes and calls nothing it names.

Python's own reader would import each name in the file and call it. Here a name is looked up in
`names`, and a call makes one of our own objects. The file need not be trusted.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Sized
from typing import Any, BinaryIO, cast

from .errors import ForeignFileError, refused, unreadable
from .names import BUILDERS, INERT
from .stored import Inert, dictionary

LONGEST_LINE = 1 << 20
_MARK = object()
Persistent = Callable[[Any], Any]
"""A persistent id, which stands for something beside the pickle, and what it stands for."""

_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_NUMBERS = ("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT")
_TEXTS = ("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE")
_BYTES = ("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BINUNICODE8")
_LITERALS = frozenset((*_NUMBERS, *_TEXTS, *_BYTES))
_EMPTY: dict[str, Callable[[], Any]] = {
    "EMPTY_LIST": list,
    "EMPTY_DICT": dict,
    "EMPTY_TUPLE": tuple,
    "EMPTY_SET": lambda: Inert("builtins.set"),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_PUTS = frozenset(("PUT", "BINPUT", "LONG_BINPUT"))
_GETS = frozenset(("GET", "BINGET", "LONG_BINGET"))


def read_pickle(stream: BinaryIO, file: str, persistent: Persistent) -> Any:
    """The object of the pickle at the position of `stream`, which is left behind its end.

    Dictionaries, lists, tuples, texts and numbers are themselves, tensors `StoredTensor`, and
    objects of the classes in `names` are `Inert`. Keys of dictionaries are texts, numbers, None or
    `Inert`.

    Args:
        file: its name, for messages.
        persistent: makes something of persistent ids.

    Raises: ForeignFileError for a name that is not allowed, or a damaged pickle.
    """
    bounded = _Bounded(stream)
    machine = _Machine(file, persistent, bounded)
    try:
        for opcode, argument, _ in pickletools.genops(cast(Any, bounded)):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except ForeignFileError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        AttributeError,
        OverflowError,
        RecursionError,
    ) as error:
        raise unreadable(file, f"its pickle cannot be read ({error})") from error
    raise unreadable(file, "its pickle has no end")


class _Bounded:
    """A stream that reads no more at once than there is, whatever length a pickle states."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.start = stream.tell()
        self.end = stream.seek(0, 2)
        stream.seek(self.start)

    def read(self, count: int) -> bytes:
        return self.stream.read(min(count, self.end - self.stream.tell()))

    def readline(self) -> bytes:
        return self.stream.readline(LONGEST_LINE)

    def tell(self) -> int:
        return self.stream.tell()

    @property
    def num_read(self) -> int:
        """Bytes read so far: an honest pickle makes no more elements, and counts no further."""
        return self.tell() - self.start


def _paired(values: list[Any]) -> dict[Any, Any]:
    """A dictionary of keys and values in turn. Raises: ValueError, of `dictionary` too."""
    return dictionary(zip(values[::2], values[1::2], strict=True))


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, file: str, persistent: Persistent, stream: _Bounded) -> None:
        self.file, self.persistent, self.stream = file, persistent, stream
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.num_copied = 0  # elements of what calls were given

    def step(self, name: str, argument: Any) -> None:
        """Follow one opcode."""
        stack = self.stack
        if name in _LITERALS:
            stack.append(argument)
        elif name in _PUTS:
            if not 0 <= argument < self.stream.num_read:
                raise ValueError(f"it counts {argument} objects")
            self.memo[argument] = stack[-1]
        elif name in _GETS:
            stack.append(self.memo[int(argument)])
        elif name in _CONSTANTS:
            stack.append(_CONSTANTS[name])
        elif name in _EMPTY:
            stack.append(_EMPTY[name]())
        elif name in _TUPLES:
            count = _TUPLES[name]
            stack[-count:] = [tuple(stack[-count:])]
        elif name not in ("PROTO", "FRAME"):
            step = getattr(self, f"_{name.lower()}", None)
            if step is None:
                raise ValueError(f"the opcode {name} has no place in a checkpoint")
            step(argument)

    def _mark(self, _: Any) -> None:
        self.stack.append(_MARK)

    def _since_mark(self) -> list[Any]:
        stack, at = self.stack, len(self.stack) - 1
        while stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise ValueError("a mark is missing")
        values = stack[at + 1 :]
        del stack[at:]
        return values

    def _pop(self, _: Any) -> None:
        self.stack.pop()

    def _pop_mark(self, _: Any) -> None:
        self._since_mark()

    def _dup(self, _: Any) -> None:
        self.stack.append(self.stack[-1])

    def _memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def _tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def _list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def _frozenset(self, _: Any) -> None:
        self.stack.append(Inert("builtins.frozenset", elements=self._since_mark()))

    def _dict(self, _: Any) -> None:
        values = self._since_mark()
        self.stack.append(_paired(values))

    def _append(self, _: Any) -> None:
        value = self.stack.pop()
        self._extend([value])

    def _appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    _additems = _appends

    def _extend(self, values: list[Any]) -> None:
        target = self.stack[-1]
        (target.elements if isinstance(target, Inert) else target).extend(values)

    def _setitem(self, _: Any) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._update(_paired([key, value]))

    def _setitems(self, _: Any) -> None:
        values = self._since_mark()
        self._update(_paired(values))

    def _update(self, values: dict[Any, Any]) -> None:
        target = self.stack[-1]
        (target.items if isinstance(target, Inert) else target).update(values)

    def _global(self, argument: str) -> None:
        module, _, name = argument.partition(" ")
        self.stack.append(self._named(module, name))

    def _stack_global(self, _: Any) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.stack.append(self._named(module, name))

    def _named(self, module: Any, name: Any) -> Inert:
        """What stands for a class or function. Raises: ForeignFileError where none may."""
        if not isinstance(module, str) or not isinstance(name, str):
            raise ValueError("a name is no text")
        whole = f"{module}.{name}"
        # The two halves count, so that no name of one module can be taken for another's.
        if "." not in name and (whole in BUILDERS or whole in INERT):
            return Inert(whole)
        raise refused(self.file, whole)

    def _reduce(self, _: Any) -> None:
        args, called = self.stack.pop(), self.stack.pop()
        self.stack.append(self._called(called, args))

    _newobj = _reduce

    def _newobj_ex(self, _: Any) -> None:
        self.stack.pop()  # arguments by name
        self._reduce(None)

    def _inst(self, argument: str) -> None:
        args = tuple(self._since_mark())
        self._global(argument)
        self.stack.append(self._called(self.stack.pop(), args))

    def _obj(self, _: Any) -> None:
        called, *args = self._since_mark()
        self.stack.append(self._called(called, tuple(args)))

    def _called(self, called: Any, args: Any) -> Any:
        if not isinstance(args, tuple):
            raise ValueError("a call has no arguments")
        if not isinstance(called, Inert):
            raise ValueError(f"a {type(called).__name__} is called")
        build = BUILDERS.get(called.name)
        if build is None:
            return Inert(called.name, args)
        # A few bytes name what was read before, however large it is, and this would copy it.
        self.num_copied += sum(len(each) for each in args if isinstance(each, Sized))
        if self.num_copied > self.stream.num_read:
            raise ValueError("it copies more than it holds")
        return build(*args)

    def _build(self, _: Any) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if isinstance(target, Inert) and isinstance(state, dict):
            target.state = state

    def _persid(self, argument: Any) -> None:
        self.stack.append(self.persistent(argument))

    def _binpersid(self, _: Any) -> None:
        self.stack.append(self.persistent(self.stack.pop()))
