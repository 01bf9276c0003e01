"""``ctconsole lab service``, ``lab policy`` and ``lab endpoint``: a lab's control plane."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

import click

from ctconsole.cli.options import lab_option
from ctconsole.cli.printing import print_json, show_reports, show_rows
from ctconsole.cli.shown import filtered_rows_options, how, json_option
from ctconsole.cli.wing import Verbs
from ctconsole.model.listing.rows import RowColumn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ctconsole.agent.wire import JsonAnswer


@click.group(cls=Verbs)
def service() -> None:
    """Give several backends one address, as a Kubernetes service does.

    \b
    Examples:
      ctconsole lab service add web 10.96.0.10:80 --backend 10.5.5.5:80
      ctconsole lab service add six '[fd96::10]:80' --backend '[fd05:5::5]:80' --affinity 60
      ctconsole lab service list
      ctconsole lab service del web
    """


@service.command("add")
@click.argument("name")
@click.argument("frontend", metavar="ADDRESS:PORT")
@click.option(
    "--backend", "backends", multiple=True, required=True, metavar="ADDRESS:PORT", help="Repeat it."
)
@click.option("--udp", is_flag=True, help="It carries UDP; TCP otherwise.")
@click.option(
    "--algorithm",
    type=click.Choice(["random", "maglev"]),
    help="How a backend is picked; must be what the node's bpf-lb-algorithm says.",
)
@click.option(
    "--affinity",
    type=click.IntRange(0, 0xFFFFFFFF),
    default=0,
    metavar="SECONDS",
    help="Let a client go back to the backend it had for so long.",
)
@lab_option
@json_option
def add_service(  # noqa: PLR0917 - click hands every option over
    name: str,
    frontend: str,
    backends: tuple[str, ...],
    udp: bool,
    algorithm: str | None,
    affinity: int,
    lab_name: str | None,
    as_json: bool,
) -> None:
    """Add the service NAME, or change it; it is there again after a restart of the agent."""
    wish = {
        "name": name,
        "frontend": frontend,
        "protocol": "udp" if udp else "tcp",
        "backends": list(backends),
        "algorithm": algorithm,
        "affinity": affinity,
    }
    made = _ask(lab_name, "service-add", service=wish)["service"]
    if as_json:
        print_json(made)
    else:
        click.echo(f"Service {made['name']} ({made['frontend']}) has id {made['id']}.")


@service.command("del")
@click.argument("name")
@lab_option
def delete_service(name: str, lab_name: str | None) -> None:
    """Delete the service NAME; connections through it lose their reverse translation."""
    _ask(lab_name, "service-delete", name=name)
    click.echo(f"Service {name} is gone.")


@service.command("list")
@lab_option
@filtered_rows_options
def list_services(lab_name: str | None) -> None:
    """List the services, as the maps hold them."""
    columns = (
        RowColumn("id", "ID"),
        RowColumn("name", "NAME"),
        RowColumn("frontend", "FRONTEND"),
        RowColumn("protocol", "PROTOCOL", rank=3),
        RowColumn("backends", "BACKENDS", rank=1, text=_backends),
        RowColumn("algorithm", "PICKED BY", rank=2, text=_picked_by),
    )
    show_rows(_services(lab_name), columns)


def _backends(row: Mapping[str, Any]) -> str:
    return " ".join(f"{one['id']}={one['address']}" for one in row["backends"])


def _picked_by(row: Mapping[str, Any]) -> str:
    affinity = f" affinity {row['affinity']} s" if row["affinity"] else ""
    return f"{row['algorithm']}{affinity}"


@click.group(cls=Verbs)
def policy() -> None:
    """Say what the pods may exchange with whom; without rules they may everything.

    A rule is written ENDPOINT ingress|egress allow|deny identity:WHO [tcp/80|udp/53|icmp], or
    ENDPOINT ingress|egress none. WHO is a pod's name, a number, any, host or world. A rule for
    one of a pod's directions closes it for everything that no rule allows; replies of tracked
    connections always pass.

    \b
    Examples:
      ctconsole lab policy add --endpoint server --ingress allow identity:client tcp/80
      ctconsole lab policy add --endpoint server --egress none
      ctconsole lab policy import rules.txt
      ctconsole lab policy del --endpoint server
    """


@policy.command("add")
@click.option("--endpoint", required=True, metavar="POD", help="Whose rule.")
@click.option("--ingress", "direction", flag_value="ingress", help="What reaches it.")
@click.option("--egress", "direction", flag_value="egress", help="What it sends.")
@click.argument("words", nargs=-1, required=True, metavar="allow|deny|none [identity:WHO [WHAT]]")
@lab_option
@json_option
def add_rule(
    endpoint: str,
    direction: str | None,
    words: tuple[str, ...],
    lab_name: str | None,
    as_json: bool,
) -> None:
    """Add one rule."""
    from ctconsole.errors import UsageError

    if direction is None:
        raise UsageError("The rule has no direction", hint="Give --ingress or --egress")
    rule = " ".join((endpoint, direction, *words))
    _show_policy(_ask(lab_name, "policy-add", rules=[rule]), as_json=as_json)


@policy.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True))
@lab_option
@json_option
def import_rules(file: str, lab_name: str | None, as_json: bool) -> None:
    """Put the rules in FILE, one on each line, in the place of all there are; # is a comment."""
    from ctconsole.model.plane.policy import parse_rules

    with click.open_file(file, encoding="utf-8") as stream:
        rules = [str(rule) for rule in parse_rules(stream.read())]
    _show_policy(_ask(lab_name, "policy-import", rules=rules), as_json=as_json)


@policy.command("del")
@click.option("--endpoint", metavar="POD", help="All rules of this pod.")
@click.option("--all", "everything", is_flag=True, help="All rules there are.")
@click.argument("rule", nargs=-1, metavar="[RULE]")
@lab_option
@json_option
def delete_rules(
    endpoint: str | None,
    everything: bool,
    rule: tuple[str, ...],
    lab_name: str | None,
    as_json: bool,
) -> None:
    """Delete one RULE as it is listed, all of a pod, or all there are."""
    from ctconsole.errors import UsageError

    if bool(rule) + bool(endpoint) + everything != 1:
        raise UsageError("Give a RULE, --endpoint or --all, one of them")
    asked = {"rules": [" ".join(rule)]} if rule else {"endpoint": endpoint}
    _show_policy(_ask(lab_name, "policy-delete", **asked), as_json=as_json)


@policy.command("list")
@lab_option
@filtered_rows_options
def list_rules(lab_name: str | None) -> None:
    """List the rules, and which directions of which pods they close.

    \b
    Examples:
      ctconsole lab policy list
      ctconsole lab policy list --filter endpoint:server --columns direction,what
    """
    answer = _ask(lab_name, "policy-list")
    whole = {"rules": answer["rules"], "endpoints": answer["endpoints"]}

    def show(rules: Sequence[str]) -> None:
        # What the pods are closed for is of all rules together.
        asked = how()
        _print_policy(rules, () if asked.where or asked.chooses else answer["endpoints"])

    show_reports(answer["rules"], _rule_as_row, show, whole=whole)


def _rule_as_row(rule: str) -> Mapping[str, Any]:
    """A rule's words, each by what it says."""
    names = ("endpoint", "direction", "verdict", "who", "what")
    return {"rule": rule, **dict(zip_longest(names, rule.split()))}


@click.group(cls=Verbs)
def endpoint() -> None:
    """Add and remove pods of a lab, each with an endpoint at the agent.

    \b
    Examples:
      ctconsole lab endpoint add shop
      ctconsole lab exec shop curl http://10.5.5.5/
      ctconsole lab endpoint del shop
    """


@endpoint.command("add")
@click.argument("name")
@click.option("--identity", type=click.IntRange(256, 0xFFFFFF), help="Its security identity.")
@lab_option
@json_option
def add_endpoint(name: str, identity: int | None, lab_name: str | None, as_json: bool) -> None:
    """Add a pod called NAME."""
    from dataclasses import asdict

    from ctconsole.lab import folders, pods

    made = pods.add(folders.find(lab_name), name, identity)
    if as_json:
        print_json(asdict(made))
    else:
        click.echo(f"Pod {made.name} is endpoint {made.id} with {made.ipv4} and {made.ipv6}.")


@endpoint.command("del")
@click.argument("name")
@lab_option
def delete_endpoint(name: str, lab_name: str | None) -> None:
    """Remove the pod NAME with its endpoint, maps and conntrack entries."""
    from ctconsole.lab import folders, pods

    pods.delete(folders.find(lab_name), name)
    click.echo(f"Pod {name} is gone.")


@endpoint.command("list")
@lab_option
@filtered_rows_options
def list_endpoints(lab_name: str | None) -> None:
    """List the pods as the agent knows them."""
    from ctconsole.lab import folders, pods

    columns = (
        RowColumn("id", "ID"),
        RowColumn("name", "NAME"),
        RowColumn("interface", "INTERFACE", rank=4),
        RowColumn("ipv4", "IPV4"),
        RowColumn("ipv6", "IPV6", rank=2),
        RowColumn("identity", "IDENTITY", rank=3),
        RowColumn(
            "enforce_ingress",
            "POLICY",
            rank=1,
            text=lambda row: _closed(row["enforce_ingress"], row["enforce_egress"]),
        ),
    )
    show_rows(pods.listed(folders.find(lab_name)), columns)


def _services(lab_name: str | None) -> list[dict[str, Any]]:
    """What the maps hold, with the names the agent knows."""
    from ctconsole.lab import folders
    from ctconsole.manager.services import read_services

    lab = folders.find(lab_name)
    named = {one["id"]: one for one in _ask(lab_name, "service-list")["services"]}
    found = []
    for one in read_services(lab.bpf_root):
        told = named.get(one.id, {})
        found.append(
            {
                "id": one.id,
                "name": told.get("name", ""),
                "frontend": str(one.frontend),
                "protocol": told.get("protocol", "any"),
                "backends": [
                    {"id": number, "address": str(address) if address else None}
                    for number, address in one.backends
                ],
                "affinity": one.affinity,
                "algorithm": "maglev" if one.maglev else "random",
            }
        )
    return found


def _show_policy(answer: JsonAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json({"rules": answer["rules"], "endpoints": answer["endpoints"]})
    else:
        _print_policy(answer["rules"], answer["endpoints"])


def _print_policy(rules: Sequence[str], endpoints: Sequence[Mapping[str, Any]]) -> None:
    for rule in rules:
        click.echo(rule)
    for one in endpoints:
        click.echo(f"# {one['name']}: {_closed(one['ingress'], one['egress'])}")


def _closed(ingress: bool, egress: bool) -> str:
    words = [word for word, on in (("ingress", ingress), ("egress", egress)) if on]
    return f"{' and '.join(words)} closed but for rules" if words else "everything allowed"


def _ask(lab_name: str | None, verb: str, **fields: Any) -> JsonAnswer:  # noqa: ANN401 - JSON
    from ctconsole.agent import wire
    from ctconsole.agent.state import StateDir
    from ctconsole.lab import folders

    return wire.request(StateDir(folders.find(lab_name).state_dir).socket, verb, **fields)


def add_to(group: click.Group) -> None:
    """Put the three groups below ``lab``."""
    for one in (service, policy, endpoint):
        group.add_command(one)
