"""What owns something of the kernel's: closed by its owner, and heard of when it is not."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from typing import Self


class Closing(ABC):
    """A context manager that is closed where its block ends."""

    @abstractmethod
    def close(self) -> None:
        """Give back what is owned."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Handle(Closing):
    """Owns a descriptor, or what is as dear, until `close`; may be closed again.

    One that is dropped unclosed is closed late and tells a `ResourceWarning`, which the tests
    take for an error. ``python -X tracemalloc -W default`` says where it was made.
    """

    @property
    @abstractmethod
    def is_open(self) -> bool:
        """Whether there is something to close."""

    def __del__(self) -> None:
        try:
            lost = self.is_open
        except AttributeError:
            # Its making broke off before there was anything.
            return
        if lost:
            try:
                warnings.warn(f"unclosed {self!r}", ResourceWarning, stacklevel=2, source=self)
            finally:
                self.close()
