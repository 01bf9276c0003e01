"""One rolling resize at a time."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from ctconsole.errors import BusyError
from ctconsole.fleet.kube.lease import NAME, FleetLease, new_identity
from ctconsole.lab.kube.objects import NAMESPACE

if TYPE_CHECKING:
    from collections.abc import Callable

    from ctconsole.fleet.kube.cluster import KubeCluster
    from ctconsole.lab.kube.api import KubeApi


@pytest.fixture
def take(cluster: KubeCluster) -> Callable[..., FleetLease]:
    def taken(identity: str = "", before: str = "", seconds: int = 3) -> FleetLease:
        return FleetLease(
            cluster.again(), NAMESPACE, identity or new_identity(), before=before, seconds=seconds
        )

    return taken


def holder(api: KubeApi) -> str:
    return str(api.objects.stored("leases", NAME)["spec"]["holderIdentity"])


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_it_is_taken_and_given_back(api: KubeApi, take: Callable[..., FleetLease]) -> None:
    with take("me") as lease:
        assert holder(api) == "me"
        lease.check()
    assert holder(api) == ""
    with take("you"):
        assert holder(api) == "you"
    spec = api.objects.stored("leases", NAME)["spec"]
    assert spec["leaseTransitions"] == 2


def test_who_comes_second_is_told_who_holds_it(take: Callable[..., FleetLease]) -> None:
    with take("me"), pytest.raises(BusyError, match=r"me resizes this fleet just now"):
        take("you")


def test_one_whose_holder_died_is_taken_over(api: KubeApi, take: Callable[..., FleetLease]) -> None:
    spec = {"holderIdentity": "dead", "leaseDurationSeconds": 1, "renewTime": "x"}
    api.objects.store("leases", NAME, {"metadata": {}, "spec": spec})
    with take("me"):
        assert holder(api) == "me"


def test_a_run_that_is_resumed_takes_its_own_at_once(
    api: KubeApi, take: Callable[..., FleetLease]
) -> None:
    spec = {"holderIdentity": "before", "leaseDurationSeconds": 600, "renewTime": "x"}
    api.objects.store("leases", NAME, {"metadata": {}, "spec": spec})
    begun = time.monotonic()
    with take("me", before="before"):
        assert time.monotonic() - begun < 60


def test_one_that_is_taken_away_is_noticed(api: KubeApi, take: Callable[..., FleetLease]) -> None:
    with take("me", seconds=3) as lease:
        api.objects.store("leases", NAME, {"metadata": {}, "spec": {"holderIdentity": "thief"}})

        def is_lost() -> bool:
            with suppress(BusyError):
                lease.check()
                return False
            return True

        until(is_lost)
        with pytest.raises(BusyError, match=r"was taken by thief|in time"):
            lease.check()
    assert holder(api) == "thief"
