"""Where something listens."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import NamedTuple

from ctconsole.errors import UsageError


class Address(NamedTuple):
    """Where to listen; an empty host is every interface."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def family(self) -> socket.AddressFamily:
        """Of the socket; every interface is both families where the machine has both."""
        wide = ":" in self.host or (not self.host and socket.has_dualstack_ipv6())
        return socket.AF_INET6 if wide else socket.AF_INET

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine reaches it; of a name nobody knows."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False

    @classmethod
    def parse(cls, text: str) -> Address:
        """``127.0.0.1:9965``, ``[::1]:9965``, ``:9965``.

        Raises:
            UsageError: it is none of these.
        """
        host, colon, port = text.rpartition(":")
        bracketed = host.startswith("[") and host.endswith("]")
        largest = 65535
        if not colon or not port.isascii() or not port.isdigit() or int(port) > largest:
            raise UsageError(f"{text} is no address", hint="Write HOST:PORT, e.g. 127.0.0.1:9965")
        if ":" in host and not bracketed:
            raise UsageError(f"{text} is no address", hint="Write an IPv6 host as [::1]:9965")
        return cls(host[1:-1] if bracketed else host, int(port))
