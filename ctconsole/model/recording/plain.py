"""Frozen values as plain ones (dicts, lists, numbers, texts, bytes), and back by their types.

What comes back is checked field by field against the annotations of the class, so that a
recording of a stranger's can hold nothing that a snapshot could not.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from enum import Enum
from functools import cache
from pathlib import Path, PurePath
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Final, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from ctconsole.errors import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterable

_T = TypeVar("_T")

_DTYPE: Final = re.compile(r"[<|]?[biufSV?][0-9]{0,3}")
"""Arrays of numbers, of texts and of bytes; records have a reader of their own."""

_BARE: Final = (bool, int, float, str, bytes)


def plain(value: object) -> Any:  # noqa: ANN401 - whatever MessagePack takes
    """A value as dicts, lists, numbers, texts and bytes.

    Raises:
        TypeError: there is no such form of it.
    """
    if value is None or type(value) in _BARE:
        return value
    for kind, made in _FORMS:
        if isinstance(value, kind):
            return made(value)
    if is_dataclass(value):
        return {one.name: plain(getattr(value, one.name)) for one in fields(value)}
    raise TypeError(f"{type(value).__name__} has no plain form")


def _array_told(value: npt.NDArray[Any]) -> dict[str, Any]:
    return {"dtype": value.dtype.str, "shape": list(value.shape), "data": value.tobytes()}


_FORMS: Final[tuple[tuple[Any, Callable[[Any], Any]], ...]] = (
    (Enum, lambda value: value.value),
    (np.ndarray, _array_told),
    (Mapping, lambda value: [[plain(key), plain(one)] for key, one in value.items()]),
    (tuple | list | frozenset, lambda value: [plain(one) for one in value]),
    (PurePath, str),
)


class Types:
    """The classes that may stand in the annotations of others.

    Most of them are imported for types alone where they are named, so that they have to be told.
    """

    def __init__(self, known: Iterable[type]) -> None:
        self._known: dict[str, Any] = {one.__name__: one for one in known}
        arrays = dict.fromkeys(("Keys", "Bools", "Identities", "Bytes"), np.ndarray)
        self._known |= {"Mapping": Mapping, "Path": Path, "PurePath": PurePath, "npt": npt}
        self._known |= arrays
        self._fields = cache(self._found_fields)

    def value(self, kind: type[_T], found: object, where: str = "") -> _T:
        """A plain value as what it was.

        Args:
            kind: the class, or any annotation made of the classes known.
            found: what was read.
            where: what it is, for the error.

        Raises:
            FormatError: it is not that; says where.
        """
        made: _T = self._value(kind, found, where or kind.__name__)
        return made

    def _value(self, kind: Any, found: object, where: str) -> Any:  # noqa: ANN401 - by its kind
        origin = get_origin(kind)
        if kind in {Any, object}:
            return found
        if origin in {Union, UnionType}:
            return self._one_of(get_args(kind), found, where)
        if kind is np.ndarray or origin is np.ndarray:
            return _array(found, where)
        if origin is not None:
            return self._several(origin, get_args(kind), found, where)
        if is_dataclass(kind):
            return self._dataclass(kind, found, where)
        return _single(kind, found, where)

    def _one_of(self, kinds: tuple[Any, ...], found: object, where: str) -> Any:  # noqa: ANN401
        if found is None and NoneType in kinds:
            return None
        problem = FormatError(f"{where} is none of what it can be")
        for kind in kinds:
            if kind is NoneType:
                continue
            try:
                return self._value(kind, found, where)
            except FormatError as error:
                problem = error
        raise problem

    def _several(
        self,
        origin: Any,  # noqa: ANN401 - by its kind
        args: tuple[Any, ...],
        found: object,
        where: str,
    ) -> Any:  # noqa: ANN401
        if not isinstance(found, list):
            raise FormatError(f"{where} is no list")
        if origin is frozenset:
            return frozenset(self._value(args[0], one, where) for one in found)
        if origin is tuple and args[-1:] == (...,):
            return tuple(self._value(args[0], one, where) for one in found)
        if origin is tuple:
            if len(found) != len(args):
                raise FormatError(f"{where} has {len(found)} parts for {len(args)}")
            return tuple(
                self._value(kind, one, where) for kind, one in zip(args, found, strict=True)
            )
        pairs = [self._several(tuple, args, one, where) for one in found]
        return MappingProxyType(dict(pairs))

    def _dataclass(self, kind: Any, found: object, where: str) -> Any:  # noqa: ANN401
        if not isinstance(found, dict):
            raise FormatError(f"{where} is no {kind.__name__}")
        told = {}
        for one, annotation in self._fields(kind):
            if one.name in found:
                told[one.name] = self._value(annotation, found[one.name], f"{where}.{one.name}")
            elif one.default is MISSING and one.default_factory is MISSING:
                raise FormatError(f"{where} has no {one.name}")
        return kind(**told)

    def _found_fields(self, kind: Any) -> list[tuple[Field[Any], Any]]:  # noqa: ANN401
        names = vars(sys.modules[kind.__module__])
        hints = get_type_hints(kind, globalns={**self._known, **names, **self._known})
        return [(one, hints[one.name]) for one in fields(kind)]


def _single(kind: Any, found: object, where: str) -> Any:  # noqa: ANN401 - by its kind
    if kind is float and type(found) is int:
        return float(found)
    if kind in _BARE:
        if type(found) is not kind:
            raise FormatError(f"{where} is no {kind.__name__}")
        return found
    plain_kinds: tuple[type, ...] = (str,)
    make: Callable[[Any], Any] = kind
    if isinstance(kind, type) and issubclass(kind, Enum):
        plain_kinds = (str, int)
    elif not (isinstance(kind, type) and issubclass(kind, PurePath)):
        raise TypeError(f"{where}: a {kind} cannot be read back")
    if type(found) not in plain_kinds:
        raise FormatError(f"{where} is no {kind.__name__}")
    try:
        return make(found)
    except ValueError as error:
        raise FormatError(f"{where} is no {kind.__name__}: {found!r:.40}") from error


def _array(found: object, where: str) -> npt.NDArray[Any]:
    wrong = FormatError(f"{where} is no array")
    if not isinstance(found, dict):
        raise wrong
    dtype, shape, data = (found.get(name) for name in ("dtype", "shape", "data"))
    if not isinstance(dtype, str) or not _DTYPE.fullmatch(dtype) or not isinstance(data, bytes):
        raise wrong
    if not isinstance(shape, list) or not all(type(one) is int and one >= 0 for one in shape):
        raise wrong
    try:
        array = np.frombuffer(data, np.dtype(dtype)).reshape(shape)
    except (TypeError, ValueError) as error:
        raise wrong from error
    return array
