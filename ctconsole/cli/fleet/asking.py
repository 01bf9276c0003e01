"""The options of every verb that asks a Prometheus."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from ctconsole.cli.options import GivenPath

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_F = TypeVar("_F", bound="Callable[..., Any]")


def prometheus_options(function: _F) -> _F:
    """``--prometheus`` and how it lets us in, handed over as ``prometheus``, whom to ask."""

    @wraps(function)
    def run(
        *,
        url: str,
        token_file: Path | None,
        prometheus_config: Path | None,
        **given: Any,  # noqa: ANN401 - any verb's
    ) -> Any:  # noqa: ANN401 - any verb's
        from ctconsole.fleet.access import access_of
        from ctconsole.fleet.prometheus import PrometheusClient

        access = access_of(prometheus_config, token_file)
        return function(prometheus=PrometheusClient(url, access=access), **given)

    for option in (
        click.option(
            "--token-file", type=GivenPath(), metavar="FILE", help="A bearer token to ask it with."
        ),
        click.option(
            "--prometheus-config",
            type=GivenPath(),
            metavar="FILE",
            help="Password, token and certificates to ask it with, as promtool takes them "
            "(--http.config.file).",
        ),
        click.option(
            "--prometheus",
            "url",
            required=True,
            envvar="CTCONSOLE_PROMETHEUS",
            metavar="URL",
            help="The Prometheus that scrapes the exporters; also by $CTCONSOLE_PROMETHEUS.",
        ),
    ):
        run = option(run)
    return cast("_F", run)
