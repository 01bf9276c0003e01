"""Answers of Kubernetes that take neither more memory nor more time than they may."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any, Final

from ctconsole.errors import ClusterError

if TYPE_CHECKING:
    import urllib3

LARGEST: Final = 64 << 20
"""Bytes of an answer: a list of five hundred nodes has some ten million."""

PATIENCE: Final = 30.0
"""Seconds for one answer, from the first byte to the last, and for each silence in it."""

_PART: Final = 1 << 16


class BoundedPool:
    """Stands in the place of the client's pool of connections.

    The client reads whatever comes, also of a refusal, before it looks at it.

    Args:
        pool: the client's.
    """

    def __init__(self, pool: urllib3.PoolManager) -> None:
        self._pool = pool

    def request(self, *given: Any, **more: Any) -> urllib3.HTTPResponse:  # noqa: ANN401 - urllib3's
        """A request of urllib3's, whose whole answer was read.

        Raises:
            ClusterError: the answer is too large or does not end.
        """
        import urllib3

        more["timeout"] = more.get("timeout") or urllib3.Timeout(connect=10.0, read=PATIENCE)
        answer = self._pool.request(*given, **more)
        try:
            content = _whole(answer)
        finally:
            answer.release_conn()
            answer.close()
        return urllib3.HTTPResponse(
            io.BytesIO(content),
            headers={
                name: value
                for name, value in answer.headers.items()
                # It was taken apart already.
                if name.lower() not in {"content-encoding", "transfer-encoding"}
            },
            status=answer.status,
            reason=answer.reason,
            preload_content=False,
        )

    def clear(self) -> None:
        """Close what is open."""
        self._pool.clear()


def _whole(answer: urllib3.BaseHTTPResponse) -> bytes:
    end = time.monotonic() + PATIENCE
    found = bytearray()
    while part := answer.read1(_PART, decode_content=True):
        found += part
        if len(found) > LARGEST:
            raise ClusterError("The answer of Kubernetes is too large")
        if time.monotonic() > end:
            raise ClusterError("The answer of Kubernetes does not come to its end")
    return bytes(found)
