from __future__ import annotations

import pytest

from ctconsole.errors import UsageError
from ctconsole.model.plane.endpoint import Endpoint
from ctconsole.model.plane.policy import PolicyRule, parse_rules, policy_of

POD = Endpoint(
    571, "server", "lxc00571", 3, "02:00:00:00:00:01", "02:00:00:00:00:02", identity=20571
)
PEER = Endpoint(
    1955, "client", "lxc01955", 4, "02:00:00:00:00:03", "02:00:00:00:00:04", identity=21955
)
PODS = (POD, PEER)


@pytest.mark.parametrize(
    "text",
    [
        "server ingress allow identity:client tcp/80",
        "server egress deny identity:world udp/53",
        "server ingress allow identity:21955 icmp",
        "server ingress allow identity:any",
        "server egress none",
    ],
)
def test_a_rule_reads_back_as_written(text: str) -> None:
    assert str(PolicyRule.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("server", "no policy rule"),
        ("server sideways allow identity:any", "no direction"),
        ("server ingress maybe identity:any", "no verdict"),
        ("server ingress allow client", "no identity"),
        ("server ingress allow identity:4294967296", "no identity"),
        ("server ingress allow identity:any tcp", "port from 1 to 65535"),
        ("server ingress allow identity:any tcp/99999", "port from 1 to 65535"),
        ("server ingress allow identity:any icmp/8", "icmp has no ports"),
        ("server ingress allow identity:any gre", "no protocol"),
        ("server ingress none identity:any", "after none"),
        ("ser/ver ingress none", "cannot name"),
    ],
)
def test_what_is_no_rule_is_refused_in_words(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        PolicyRule.parse(text)


def test_a_file_has_comments_and_names_the_bad_line() -> None:
    text = "# web\nserver ingress allow identity:client tcp/80  # the shop\n\n"
    assert len(parse_rules(text)) == 1
    with pytest.raises(UsageError, match="Line 3"):
        parse_rules(text.rstrip("\n") + "\nnonsense here now\n")


def test_without_rules_everything_is_allowed() -> None:
    policy = policy_of(POD, [PolicyRule.parse("client egress none")], PODS)
    assert (policy.enforce_ingress, policy.enforce_egress, policy.rows) == (False, False, {})


def test_rules_become_cilium_s_bytes() -> None:
    rules = parse_rules(
        "server ingress allow identity:client tcp/80\nserver egress deny identity:world icmp\n"
    )
    policy = policy_of(POD, rules, PODS)
    assert policy.enforce_ingress
    assert policy.enforce_egress
    assert policy.rows == {
        (21955).to_bytes(4, "little") + bytes.fromhex("0050 06 00"): bytes(24),
        bytes.fromhex("02000000 0000 01 01"): bytes.fromhex("0000 01") + bytes(21),
    }


def test_of_two_rules_about_the_same_the_one_that_denies_holds() -> None:
    rules = parse_rules("server ingress deny identity:any\nserver ingress allow identity:any\n")
    (value,) = policy_of(POD, rules, PODS).rows.values()
    assert value[2] == 1


def test_a_rule_about_nobody_has_no_row_and_still_closes_the_direction() -> None:
    policy = policy_of(POD, [PolicyRule.parse("server ingress allow identity:ghost")], PODS)
    assert policy.enforce_ingress
    assert policy.rows == {}
    assert policy.unknown == ("ghost",)
