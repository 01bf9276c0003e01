"""What goes wrong with Kubernetes, each as one sentence of ours."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from ctconsole.errors import ClusterError, MissingFeatureError
from ctconsole.model.text.safe import cell

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOST: Final = 300
"""Characters that are told of what Kubernetes says."""

_HANDSHAKE: Final = re.compile(r"Handshake status (\d{3}) ?([^\n]*?)(?: -\+-\+- (.*))?$", re.DOTALL)
"""How websocket-client words an answer that is no WebSocket's: status, headers, body."""

_HINTS: Final = {
    HTTPStatus.UNAUTHORIZED: "Log in anew, or name another --context",
    HTTPStatus.FORBIDDEN: "deploy/kubernetes/fleet-resize.yaml has the rights that are needed",
    HTTPStatus.CONFLICT: "Somebody else changed it meanwhile; look, and try again",
    HTTPStatus.GONE: "The list grew old while it was read; try again",
    HTTPStatus.TOO_MANY_REQUESTS: "It is busy; try again later",
}


def require_client() -> None:
    """See that the client is installed; loading it takes a second or two.

    Raises:
        MissingFeatureError: it is not, or is too old.
    """
    try:
        import kubernetes.client
        import kubernetes.config
        import kubernetes.stream
    except ImportError as error:
        raise MissingFeatureError(
            f"A rolling resize needs the Python client of Kubernetes ({error.name or error})",
            hint="pip install 'ctconsole[fleet]'",
        ) from error
    del kubernetes


@contextmanager
def told(what: str) -> Iterator[None]:
    """Raise what goes wrong with Kubernetes in this block as ClusterError.

    Args:
        what: what is being done, in the passive: ``the nodes cannot be listed``.

    Raises:
        ClusterError: in place of what the client raises.
    """
    import urllib3.exceptions
    from kubernetes.client.exceptions import OpenApiException

    try:
        yield
    except ClusterError:
        raise
    except OpenApiException as error:
        raise _refused(what, error) from error
    except urllib3.exceptions.NewConnectionError as error:
        # Refused, no route, no such name: in urllib3 that is a kin of time-outs.
        raise ClusterError(f"{what}: Kubernetes cannot be reached: {said(str(error))}") from error
    except urllib3.exceptions.TimeoutError as error:
        raise ClusterError(f"{what}: Kubernetes does not answer in time") from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise ClusterError(f"{what}: {said(str(error))}") from error
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ClusterError(f"{what}: the answer is none of Kubernetes'") from error


def said(text: str) -> str:
    """What somebody else says, short enough and harmless to be printed."""
    text = cell(" ".join(text[: 4 * _MOST].split()))
    return text if len(text) <= _MOST else f"{text[:_MOST]}..."


def _refused(what: str, error: Exception) -> ClusterError:
    """An answer that is a refusal; ``error`` is the client's ApiException, or a kin of it."""
    status = getattr(error, "status", 0) or 0
    body, reason = getattr(error, "body", "") or "", str(getattr(error, "reason", "") or error)
    shake = _HANDSHAKE.search(reason)
    if shake:
        status, reason = int(shake[1]), shake[2]
        body = shake[3].rpartition(" -+-+- ")[2] if shake[3] else ""
    if not status:
        return ClusterError(f"{what}: {said(reason)}")
    message = said(_message(body) or reason)
    try:
        hint = _HINTS.get(HTTPStatus(status), "")
    except ValueError:
        hint = ""
    return ClusterError(f"{what}: {message or 'refused'} ({status})", status=status, hint=hint)


def _message(body: object) -> str:
    """The message of a ``Status``; empty where it is none."""
    try:
        if isinstance(body, bytes):
            body = body.decode()
        text = str(body)
        # websocket-client shows bytes as Python writes them.
        if text.startswith(("b'", 'b"')):
            text = text[2:-1].replace("\\n", "\n").replace("\\'", "'")
        found = json.loads(text)["message"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return ""
    return found if isinstance(found, str) else ""
