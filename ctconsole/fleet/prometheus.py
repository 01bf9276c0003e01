"""Asking a Prometheus, within bounds of time and size."""

from __future__ import annotations

import base64
import http.client
import json
import math
import re
import ssl
import urllib.error
import urllib.parse
import urllib.request
from time import monotonic
from typing import IO, TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import msgspec

from ctconsole.errors import CtconsoleError, UsageError
from ctconsole.fleet.access import Access
from ctconsole.fleet.values import is_known

if TYPE_CHECKING:
    from collections.abc import Mapping
    from email.message import Message

_Kind = TypeVar("_Kind")

_PATIENCE: Final = 15.0
"""Seconds for one answer, from the first byte to the last."""

_LARGEST: Final = 64 << 20
"""Bytes of an answer; that of twenty maps on each of a thousand nodes has some four million."""

_PIECE: Final = 1 << 18

_SCHEMES: Final = ("http", "https")

_SAID: Final = 400
"""Letters of what a Prometheus says in its own words."""

_NO_ANSWER: Final = "its answer is none of Prometheus'"


class _Instant(msgspec.Struct, frozen=True):
    """A series as an instant query answers with it; it has a number or a histogram."""

    metric: dict[str, str]
    value: tuple[float, str] | None = None
    histogram: msgspec.Raw = msgspec.Raw()


class _Past(msgspec.Struct, frozen=True):
    """A series as a query over time answers with it."""

    metric: dict[str, str]
    values: tuple[tuple[float, str], ...] = ()


class _Data(msgspec.Struct, Generic[_Kind], frozen=True):
    kind: str = msgspec.field(name="resultType")
    result: list[_Kind]


class _Answer(msgspec.Struct, Generic[_Kind], frozen=True):
    """What a Prometheus sends; what else stands in it is passed over."""

    status: str
    data: _Data[_Kind]
    warnings: list[str] | None = None

    @property
    def told(self) -> tuple[str, ...]:
        """What it warns of."""
        return tuple(one[:_SAID] for one in self.warnings or ())


class Series(NamedTuple):
    """One series that a query found, and its newest number."""

    labels: Mapping[str, str]
    value: float


class SeriesOverTime(NamedTuple):
    """One series over time: seconds since the Unix epoch and a number each, oldest first."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]


class Found(NamedTuple):
    """What an instant query found, and what it warns of, e.g. that parts are missing."""

    series: list[Series]
    warnings: tuple[str, ...] = ()


class FoundOverTime(NamedTuple):
    """The same of a query over time."""

    series: list[SeriesOverTime]
    warnings: tuple[str, ...] = ()


class _Refusing(urllib.request.HTTPRedirectHandler):
    """Goes nowhere else: what is shown to one server must not be shown to another."""

    def redirect_request(  # noqa: PLR0917 - urllib's own
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: Message,
        newurl: str,
    ) -> None:
        """See urllib."""
        del req, fp, code, msg, headers, newurl


class PrometheusClient:
    """Asks one Prometheus, or what speaks as one does (Thanos, Mimir, VictoriaMetrics).

    Safe from any thread.

    Args:
        url: its address; a name and a password may stand in it, and a path.
        token: sent as a bearer token; empty sends none.
        access: what else is shown to it.

    Raises:
        UsageError: the address is none.

    Attributes:
        url: the address without a password.
    """

    def __init__(self, url: str, token: str = "", access: Access | None = None) -> None:
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
        self._access = access or Access()
        self._headers = {"User-Agent": "ctconsole", "Accept": "application/json"}
        if parts.username is not None:
            name, password = (
                urllib.parse.unquote(one or "") for one in (parts.username, parts.password)
            )
            told = base64.b64encode(f"{name}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {told}"
        if token:
            self._headers["Authorization"] = f"Bearer {token}"
        handlers: list[urllib.request.BaseHandler] = [_Refusing()]
        if self._access.tls is not None:
            handlers.append(urllib.request.HTTPSHandler(context=self._access.tls))
        self._opener = urllib.request.build_opener(*handlers)

    def query(self, text: str) -> list[Series]:
        """What an instant query finds; series without a number are left out.

        Raises:
            CtconsoleError: it does not answer, or refuses.
        """
        return self.ask(text).series

    def ask(self, text: str) -> Found:
        """The same, with what it warns of.

        Raises:
            CtconsoleError: see `query`.
        """
        given = {"query": text}
        answer = self._answer("query", _Answer[_Instant], "vector", given)
        try:
            found = [_series(one) for one in answer.data.result]
        except ValueError as error:
            raise self._failed(_NO_ANSWER) from error
        return Found([one for one in found if one is not None], answer.told)

    def query_range(self, text: str, start: float, end: float, step: float) -> FoundOverTime:
        """What a query finds over time; moments without a number are left out.

        Args:
            text: the query.
            start: seconds since the Unix epoch.
            end: likewise.
            step: seconds between two moments.

        Raises:
            CtconsoleError: see `query`.
        """
        given = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        given["query"] = text
        answer = self._answer("query_range", _Answer[_Past], "matrix", given)
        try:
            return FoundOverTime([_history(one) for one in answer.data.result], answer.told)
        except ValueError as error:
            raise self._failed(_NO_ANSWER) from error

    def _answer(
        self, path: str, form: type[_Answer[_Kind]], kind: str, given: Mapping[str, str]
    ) -> _Answer[_Kind]:
        content = self._content(path, given)
        try:
            # Read and checked in two thirds of the time in which `json` alone reads them.
            answer = msgspec.json.decode(content, type=form)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise self._failed(_NO_ANSWER) from error
        if answer.status != "success" or answer.data.kind != kind:
            raise self._failed(_NO_ANSWER)
        return answer

    def _content(self, path: str, given: Mapping[str, str]) -> bytes:
        """The bytes of an answer."""
        headers = dict(self._headers)
        if shown := self._access.header():
            headers["Authorization"] = shown
        request = urllib.request.Request(  # noqa: S310 - its scheme was looked at
            f"{self.url}/api/v1/{path}", urllib.parse.urlencode(given).encode(), headers
        )
        end = monotonic() + _PATIENCE
        content = bytearray()
        try:
            with self._opener.open(request, timeout=_PATIENCE) as answer:
                while piece := answer.read1(_PIECE):
                    content += piece
                    if len(content) > _LARGEST:
                        raise self._failed("its answer is too large")
                    if monotonic() > end:
                        raise self._failed("its answer takes too long")
        except urllib.error.HTTPError as error:
            with error:
                raise self._failed(_reason(error)) from error
        except (OSError, http.client.HTTPException) as error:
            raise self._failed(_fault(error)) from error
        return bytes(content)

    def _failed(self, reason: str) -> CtconsoleError:
        return CtconsoleError(
            f"{self.url} cannot be asked: {reason}", hint="Name a Prometheus with --prometheus"
        )


def quoted(text: str) -> str:
    """A text as it stands between the quotes of a query."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _no_address(url: str) -> UsageError:
    # A password in it is nobody's business.
    shown = re.sub(r"//[^/]*@", "//", url)
    return UsageError(f"{shown} is no address", hint="Write http://HOST:PORT")


def _fault(error: OSError | http.client.HTTPException) -> str:
    """Why there is no answer, without the place in Python's own source where it came up."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate does not hold: {reason.verify_message.rstrip('.')}"
    if isinstance(reason, ssl.SSLError) and reason.reason:
        return f"there is no TLS with it: {reason.reason.replace('_', ' ').lower()}"
    # The number of an error says nothing to a person.
    return str(getattr(reason, "strerror", None) or reason or error)


_ELSEWHERE: Final = range(300, 400)


def _reason(error: urllib.error.HTTPError) -> str:
    """What it says of a refusal."""
    if error.code in _ELSEWHERE:
        place = str(error.headers.get("Location", ""))[:_SAID]
        return f"{error.code}, it is elsewhere ({place}); name that address"
    try:
        said = json.loads(error.read(1 << 16))["error"]
    except (ValueError, KeyError, TypeError, OSError, RecursionError, http.client.HTTPException):
        said = error.reason
    return f"{error.code}, {said}"[:_SAID]


def _series(one: _Instant) -> Series | None:
    """One series; None where it has no number.

    Raises:
        ValueError: there is neither a number nor a histogram.
    """
    if one.value is None:
        if not bytes(one.histogram):
            raise ValueError(one.metric)
        return None
    value = float(one.value[1])
    return None if math.isnan(value) else Series(one.metric, value)


def _history(one: _Past) -> SeriesOverTime:
    points = ((when, float(value)) for when, value in one.values)
    return SeriesOverTime(one.metric, tuple(point for point in points if is_known(point[1])))
