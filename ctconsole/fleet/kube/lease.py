"""One rolling resize at a time: a Lease that its holder renews.

Clocks of two machines are never compared: whoever finds it held watches it for as long as it is
held for, and takes it if it was not renewed meanwhile.
"""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ctconsole.errors import BusyError, ClusterError
from ctconsole.fleet.kube.errors import said
from ctconsole.fleet.kube.objects import LeaseState
from ctconsole.handles import Closing

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.fleet.kube.cluster import KubeCluster

NAME: Final = "ctconsole-fleet-resize"

SECONDS: Final = 60
"""For so long it is held after it was renewed."""

_LONGEST: Final = 600
"""Seconds that one of somebody else is believed."""


def new_identity() -> str:
    """Who this process is, for people and for `FleetLease`."""
    return f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"


class FleetLease(Closing):
    """The Lease, held until `close`.

    Args:
        cluster: whose; not to be used by anybody else.
        namespace: where it is.
        identity: of `new_identity`.
        before: who may have it and is dead for sure: a run of ours that is resumed.
        seconds: how long it is held for; it is renewed three times as often.
        wait: rests so many seconds, and raises to give up.
        say: told what is waited for.

    Raises:
        BusyError: somebody else has it; says who.
        ClusterError: it cannot be had.
    """

    def __init__(
        self,
        cluster: KubeCluster,
        namespace: str,
        identity: str,
        *,
        before: str = "",
        seconds: int = SECONDS,
        wait: Callable[[float], None] = time.sleep,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._seconds = seconds
        self._identity = identity
        self._ended = threading.Event()
        self._renewed = time.monotonic()
        self._lost = ""
        self._now = self._taken(self._free(before, wait, say))
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """See that it is still ours.

        Raises:
            BusyError: it is not, or that is not known any more.
        """
        if self._lost:
            raise BusyError(self._lost)
        if time.monotonic() - self._renewed > self._seconds:
            raise BusyError("The Lease could not be renewed in time; somebody else may have it")

    def close(self) -> None:
        """Give it back; may be called again."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join()
            if not self._lost:
                with suppress(ClusterError):
                    # It ends by itself where it cannot be given back.
                    self._written(self._now, "")
        self._cluster.close()

    def _free(
        self, before: str, wait: Callable[[float], None], say: Callable[[str], None]
    ) -> LeaseState:
        """The Lease as nobody has it.

        Raises:
            BusyError: somebody has it.
        """
        found = self._cluster.lease(self._namespace, NAME)
        if found is None:
            return LeaseState()
        if not found.holder or found.holder == before:
            return found
        who = said(found.holder)
        patience = min(max(found.seconds, 1), _LONGEST)
        say(f"{who} holds the Lease; it is watched for {patience} s whether it still lives")
        end = time.monotonic() + patience + 1
        while time.monotonic() < end:
            wait(min(1.0, patience / 10))
            now = self._cluster.lease(self._namespace, NAME)
            if now is None or not now.holder:
                return now or LeaseState()
            if (now.holder, now.renewed, now.version) != (
                found.holder,
                found.renewed,
                found.version,
            ):
                raise BusyError(
                    f"{said(now.holder)} resizes this fleet just now "
                    f"(Lease {self._namespace}/{NAME})",
                    hint="Try again when that is over",
                )
        say(f"{who} has not renewed it: it is taken over")
        return found

    def _taken(self, found: LeaseState) -> LeaseState:
        try:
            return self._written(found, self._identity)
        except ClusterError as error:
            if error.status == HTTPStatus.CONFLICT:
                raise BusyError(
                    f"Somebody else has just begun to resize this fleet "
                    f"(Lease {self._namespace}/{NAME})",
                    hint="Try again when that is over",
                ) from error
            raise

    def _written(self, found: LeaseState, holder: str) -> LeaseState:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        spec = {
            **found.spec,
            "holderIdentity": holder,
            "leaseDurationSeconds": self._seconds,
            "renewTime": now,
        }
        if holder and holder != found.holder:
            spec |= {"acquireTime": now, "leaseTransitions": found.transitions + 1}
        asked = time.monotonic()
        done = self._cluster.write_lease(self._namespace, NAME, replace(found, spec=spec))
        self._renewed = asked
        return done

    def _renew(self) -> None:
        while not self._ended.wait(self._seconds / 3):
            try:
                self._now = self._written(self._now, self._identity)
            except ClusterError as error:
                if error.status == HTTPStatus.CONFLICT:
                    self._look()
                # Whatever else it is may pass; `check` looks at the clock.

    def _look(self) -> None:
        """After a write that met another version."""
        with suppress(ClusterError):
            found = self._cluster.lease(self._namespace, NAME)
            if found is None or found.holder != self._identity:
                who = said(found.holder) if found and found.holder else "somebody"
                self._lost = f"The Lease {self._namespace}/{NAME} was taken by {who}"
            else:
                self._now = found
