"""``ctconsole lab``: the embedded node."""

from __future__ import annotations

import sys
import textwrap
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.agent import parse_options
from ctconsole.cli.common import message, styled
from ctconsole.cli.lab import plane as lab_plane
from ctconsole.cli.options import lab_option
from ctconsole.cli.printing import print_json, show_rows
from ctconsole.cli.shown import filtered_rows_options, how, json_option, long_json_option
from ctconsole.cli.wing import Verbs
from ctconsole.model.listing.rows import RowColumn
from ctconsole.paths import GLOBALS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ctconsole.lab.folders import Lab
    from ctconsole.lab.tour import Case, Step

SERVERS = ("small", "nginx", "none")


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """Build, use and remove the embedded lab node.

    A lab is a node with two pods and a second node, in network namespaces, with an agent, maps
    and programs of its own. It touches neither this machine's interfaces nor its bpffs.

    \b
    Examples:
      ctconsole lab up                       build one; it stays until lab down
      ctconsole lab traffic --connections 1000 --rate 50 --duration 30
      ctconsole lab exec client curl http://10.5.5.5/
      ctconsole lab tour                     the article's test cases, for real
      ctconsole lab demo                     the console on a lab with traffic
      ctconsole lab down                     nothing is left
    """


lab_plane.add_to(command)


@command.command()
@click.argument("name", required=False)
@click.option(
    "-o",
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="An agent option, e.g. -o bpf-ct-global-tcp-max=65536. May be repeated.",
)
@click.option(
    "--server",
    type=click.Choice(SERVERS),
    default="small",
    show_default=True,
    help="What answers in the server pod.",
)
@long_json_option
def up(name: str | None, options: tuple[str, ...], server: str, as_json: bool) -> None:
    """Build a lab called NAME (default: lab) and start its agent.

    It stays until `lab down`, also when this shell ends.
    """
    from ctconsole.lab import lifecycle
    from ctconsole.lab.server import ServerKind
    from ctconsole.lab.signals import stopping

    config = parse_options(options)
    with stopping():
        lab = lifecycle.up(name, config=config, server=ServerKind(server), say=message)
    if as_json:
        print_json(_as_json(lab))
        return
    click.echo(f"Lab {lab.name} is up.")
    click.echo(f"  maps       {lab.globals}")
    click.echo(f"  options    {lab.config_dir}")
    click.echo(f"  console    ctconsole --lab {lab.name}")
    click.echo(f"  remove     ctconsole lab down {lab.name}")


@command.command()
@click.argument("name", required=False)
@click.option("--all", "everything", is_flag=True, help="Every lab of this run directory.")
def down(name: str | None, everything: bool) -> None:
    """Remove the lab NAME, or the only one there is, with everything in it.

    Removing a lab that is not there is no error where NAME is given.
    """
    from ctconsole.errors import UsageError
    from ctconsole.lab import folders, lifecycle

    if everything and name:
        raise UsageError("Give a NAME or --all, not both")
    if everything or name:
        known = [*folders.all_labs(), *(each.lab for each in folders.broken_labs())]
        labs = [lab for lab in known if everything or lab.name == name]
        if name and not labs:
            message(f"There is no lab called {name}; nothing to do")
    else:
        labs = [folders.find()]
    for lab in labs:
        lifecycle.down(lab, message)


@command.command("list")
@filtered_rows_options
def list_labs() -> None:
    """List the labs of this run directory."""
    from ctconsole.lab import folders

    labs, broken = folders.all_labs(), folders.broken_labs()
    if labs or how().for_programs:
        columns = (
            RowColumn("name", "NAME"),
            RowColumn("owner", "STAYS", text=_belonging, rank=1),
            RowColumn("bpf_root", "MAPS", text=lambda row: f"{row['bpf_root']}/{GLOBALS}", rank=2),
        )
        show_rows([_as_json(lab) for lab in labs], columns)
    for each in broken:
        message(
            f"{each.name} is broken: {each.reason}. Remove it with: ctconsole lab down {each.name}"
        )


@command.command()
@click.argument("cases", nargs=-1, metavar="[CASE]...")
@click.option(
    "--server",
    type=click.Choice(SERVERS[:2]),
    help="What answers in the pod; by default nginx where it is installed.",
)
@click.option("--list", "only_list", is_flag=True, help="List the cases and run none.")
@json_option
def tour(cases: tuple[str, ...], server: str | None, only_list: bool, as_json: bool) -> int:
    """Run the article's test cases on labs of their own; without CASE all of them.

    Exit code 1 if a step is not as the article says.
    """
    from ctconsole.lab import tour as touring
    from ctconsole.lab.server import ServerKind

    chosen = touring.choose(cases)
    if only_list:
        for case in chosen:
            click.echo(f"{case.name:<16} {case.summary}")
        return 0
    result = touring.run(
        chosen,
        server=ServerKind(server) if server else None,
        on_case=_ignore if as_json else _print_case,
        on_step=_ignore if as_json else _print_step,
        say=message,
    )
    if as_json:
        print_json(result)
    else:
        steps = [step for case in result["cases"] for step in case["steps"]]
        good = sum(step["ok"] for step in steps)
        verdict = "as the article says" if result["ok"] else "NOT as the article says"
        click.echo(f"\n{good} of {len(steps)} steps are as they should be: {verdict}.")
    return 0 if result["ok"] else 1


@command.command()
@lab_option
@click.option("--connections", default=200, show_default=True, help="TCP connections kept open.")
@click.option("--rate", default=20.0, show_default=True, help="New TCP connections per second.")
@click.option("--duration", type=float, help="Seconds; without it until Ctrl-C.")
@json_option
def traffic(
    lab_name: str | None, connections: int, rate: float, duration: float | None, as_json: bool
) -> None:
    """Make TCP connections, UDP and ICMP exchanges from the client pod and from node2.

    Connections stay open and ask for a page now and then. Once enough are open, each new one
    closes another.
    """
    from dataclasses import asdict

    from ctconsole.lab import folders, topology
    from ctconsole.lab import traffic as generator

    lab = folders.find(lab_name)
    plan = generator.TrafficPlan(
        target=topology.SERVER_IPV4,
        sources=(lab.namespace(topology.CLIENT), lab.namespace(topology.NODE2)),
        connections=connections,
        rate=rate,
        duration=duration,
    )
    tally = generator.run(plan, message)
    if as_json:
        print_json(asdict(tally))
    else:
        click.echo(f"In {tally.seconds:.1f} s: {tally.line()}.")


@command.command("exec", context_settings={"ignore_unknown_options": True})
@lab_option
@click.argument("host", metavar="HOST")
@click.argument("argv", nargs=-1, required=True, type=click.UNPROCESSED, metavar="COMMAND...")
def run_in_host(lab_name: str | None, host: str, argv: tuple[str, ...]) -> int:
    """Run a COMMAND in the network of a HOST of the lab; its exit code is ours.

    Hosts are node, node2, server, client, outside, and pods added with lab endpoint add.
    """
    from ctconsole.errors import LabError, UsageError
    from ctconsole.kernel import netns
    from ctconsole.lab import folders

    lab = folders.find(lab_name)
    if host not in lab.roles:
        raise UsageError(f"There is no host {host}", hint=f"Hosts: {', '.join(lab.roles)}")
    try:
        process = netns.popen(lab.namespace(host), argv)
    except OSError as error:
        raise LabError(f"{argv[0]} cannot be run: {error.strerror}") from error
    with process:
        return process.wait()


@command.command()
@click.option("--connections", default=500, show_default=True, help="TCP connections kept open.")
@click.option("--rate", default=25.0, show_default=True, help="New TCP connections per second.")
@click.pass_context
def demo(ctx: click.Context, connections: int, rate: float) -> int:
    """Open the console on a lab with traffic; leaving it leaves nothing behind.

    Without a terminal on stdout it runs the tour instead and prints its report.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        result: int = ctx.invoke(tour, cases=(), server=None, only_list=False, as_json=False)
        return result
    from ctconsole.cli.console import open_console
    from ctconsole.lab import demo as showing

    with showing.running(connections=connections, rate=rate, say=message) as (lab, stop):

        def on_open(leave: Callable[[], None]) -> None:
            stop.politely = leave

        code = open_console(lab.bpf_root, lab.state_dir, on_open=on_open)
    return 128 + stop.number if stop.number else code


def _as_json(lab: Lab) -> dict[str, Any]:
    return {
        "name": lab.name,
        "owner": lab.owner.pid if lab.owner else None,
        "owner_alive": lab.owner.alive if lab.owner else None,
        "created": lab.created,
        "server": lab.server.value,
        "bpf_root": str(lab.bpf_root),
        "config_dir": str(lab.config_dir),
        "state_dir": str(lab.state_dir),
        "namespaces": {host: lab.namespace(host) for host in lab.roles},
    }


def _belonging(row: Mapping[str, Any]) -> str:
    if row["owner"] is None:
        return "stays until lab down"
    state = "" if row["owner_alive"] else ", which is gone"
    return f"of process {row['owner']}{state}"


def _print_case(case: Case) -> None:
    where = f" (article {case.section})" if case.section else ""
    click.echo(f"\n{case.name}: {case.summary}{where}\n")


def _print_step(step: Step) -> None:
    click.echo("  ", nl=False)
    styled("ok  " if step.ok else "FAIL", fg="green" if step.ok else "red")
    click.echo(f"  {step.name}")
    click.echo(textwrap.indent(step.seen, " " * 10))


def _ignore(_: object) -> None:
    """Say nothing."""
