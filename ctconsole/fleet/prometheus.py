"""Asking a Prometheus, within bounds of time and size."""

from __future__ import annotations

import base64
import http.client
import json
import math
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ctconsole.errors import CtconsoleError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATIENCE: Final = 15.0
"""Seconds for one answer."""

_LARGEST: Final = 64 << 20
"""Bytes of an answer; that of a thousand nodes has some hundred thousand."""

_SCHEMES: Final = ("http", "https")


class Series(NamedTuple):
    """One series that a query found, and its newest number."""

    labels: Mapping[str, str]
    value: float


class PrometheusClient:
    """Asks one Prometheus, or what speaks as one does (Thanos, Mimir, VictoriaMetrics).

    Args:
        url: its address; a name and a password may stand in it, and a path.
        token: sent as a bearer token; empty sends none.

    Raises:
        UsageError: the address is none.
    """

    def __init__(self, url: str, token: str = "") -> None:
        try:
            parts = urllib.parse.urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise _no_address(url) from error
        if parts.scheme not in _SCHEMES or not host:
            raise _no_address(url)
        place = f"[{host}]" if ":" in host else host
        place += f":{port}" if port else ""
        self.url = f"{parts.scheme}://{place}{parts.path.rstrip('/')}"
        self._headers = {"User-Agent": "ctconsole", "Accept": "application/json"}
        if parts.username is not None:
            name, password = (
                urllib.parse.unquote(one or "") for one in (parts.username, parts.password)
            )
            told = base64.b64encode(f"{name}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {told}"
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    def query(self, text: str) -> list[Series]:
        """What an instant query finds; series without a number are left out.

        Raises:
            CtconsoleError: it does not answer, or refuses.
        """
        given = urllib.parse.urlencode({"query": text}).encode()
        request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
            f"{self.url}/api/v1/query", data=given, headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=_PATIENCE) as answer:  # noqa: S310 - likewise
                content = answer.read(_LARGEST + 1)
        except urllib.error.HTTPError as error:
            raise self._failed(_reason(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(str(getattr(error, "reason", "") or error)) from error
        if len(content) > _LARGEST:
            raise self._failed("its answer is too large")
        try:
            every = [_series(one) for one in _results(json.loads(content))]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise self._failed("its answer is none of Prometheus'") from error
        return [one for one in every if one is not None]

    def _failed(self, reason: str) -> CtconsoleError:
        return CtconsoleError(
            f"{self.url} cannot be asked: {reason}", hint="Name a Prometheus with --prometheus"
        )


def _no_address(url: str) -> UsageError:
    return UsageError(f"{url} is no address", hint="Write http://HOST:PORT")


def _reason(error: urllib.error.HTTPError) -> str:
    """What it says of a refusal."""
    try:
        said = json.loads(error.read(1 << 16))["error"]
    except (ValueError, KeyError, TypeError, OSError):
        said = error.reason
    return f"{error.code}, {said}"


def _results(answer: Any) -> list[Any]:  # noqa: ANN401 - whatever came
    if answer["status"] != "success" or answer["data"]["resultType"] != "vector":
        raise ValueError(answer["status"])
    return list(answer["data"]["result"])


def _series(one: Any) -> Series | None:  # noqa: ANN401 - likewise
    labels = {str(name): str(value) for name, value in one["metric"].items()}
    value = float(one["value"][1])
    return None if math.isnan(value) else Series(labels, value)
