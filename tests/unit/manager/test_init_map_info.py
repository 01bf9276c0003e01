from __future__ import annotations

import numpy as np

from ctconsole.config import AgentConfig
from ctconsole.manager.init_map_info import MapKind, init_map_info

NODE_PORT = AgentConfig.from_options({"enable-node-port": "true"})


def test_global_kinds_take_their_sizes_from_the_options() -> None:
    options = {"bpf-ct-global-tcp-max": "4096", "bpf-ct-global-any-max": "2048"}
    info = init_map_info(AgentConfig.from_options(options))
    assert info[MapKind.IPV4_TCP_GLOBAL].max_entries == 4096
    assert info[MapKind.IPV6_ANY_GLOBAL].max_entries == 2048
    assert info[MapKind.IPV4_TCP_LOCAL].max_entries == 64000


def test_every_kind_has_cilium_s_define_and_name() -> None:
    info = init_map_info(AgentConfig())
    assert info[MapKind.IPV4_TCP_GLOBAL].bpf_define == "CT_MAP_TCP4"
    assert info[MapKind.IPV6_ANY_LOCAL].bpf_define == "CT_MAP_ANY6"
    assert MapKind.IPV4_TCP_GLOBAL.pin_name() == "cilium_ct4_global"
    assert MapKind.IPV4_ANY_LOCAL.pin_name(571) == "cilium_ct_any4_00571"
    assert len(info) == 8


def test_nat_goes_with_global_kinds_of_its_family_and_only_with_node_port() -> None:
    info = init_map_info(NODE_PORT)
    nat4, nat6 = (info[kind].nat_map for kind in (MapKind.IPV4_TCP_GLOBAL, MapKind.IPV6_TCP_GLOBAL))
    assert nat4
    assert (nat4.name, nat4.key_size, nat4.value_size) == ("cilium_snat_v4_external", 14, 40)
    assert nat4 == info[MapKind.IPV4_ANY_GLOBAL].nat_map
    assert nat6
    assert nat6.name == "cilium_snat_v6_external"
    assert all(info[kind].nat_map is None for kind in MapKind if not kind.is_global)
    assert all(attributes.nat_map is None for attributes in init_map_info(AgentConfig()).values())


def test_parser_turns_rows_of_bytes_into_records() -> None:
    attributes = init_map_info(AgentConfig())[MapKind.IPV4_TCP_GLOBAL]
    keys, values = np.zeros((2, 14), np.uint8), np.zeros((2, 56), np.uint8)
    keys[1, 12] = 6
    values[1, 32:36] = np.frombuffer(np.uint32(77).tobytes(), np.uint8)
    parsed_keys, parsed_values = attributes.parser(keys, values)
    assert parsed_keys["nexthdr"].tolist() == [0, 6]
    assert parsed_values["lifetime"].tolist() == [0, 77]
