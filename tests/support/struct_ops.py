"""A congestion control written in BPF, which no connection ever chooses."""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ctconsole.kernel.libbpf import library
from ctconsole.kernel.mapinfo import map_info
from ctconsole.kernel.maps import all_programs

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ctconsole.kernel.gate import Gate

MAP = "control"
"""Name of the struct_ops map."""

_F_LINK = 1 << 13
"""``BPF_F_LINK``: the map is registered by a link (Linux 6.4)."""

_SOURCE = """
typedef unsigned int u32;
typedef unsigned long long u64;
#define SEC(name) __attribute__((section(name), used))
struct sock {} __attribute__((preserve_access_index));
struct tcp_congestion_ops {
    u32 (*ssthresh)(struct sock *sk);
    void (*cong_avoid)(struct sock *sk, u32 ack, u32 acked);
    u32 (*undo_cwnd)(struct sock *sk);
    char name[16];
};
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
struct { int (*type)[9]; int (*max_entries)[1024]; char (*key)[14]; char (*value)[56]; }
    cilium_ct4_global SEC(".maps");
struct { int (*type)[1]; int (*max_entries)[1]; u32 *key; u32 *value; } held SEC(".maps");
SEC("struct_ops/ssthresh") u32 ssthresh(u64 *ctx)
{
    char key[14] = {};
    u32 first = 0;
    return bpf_map_lookup_elem(&cilium_ct4_global, key) && bpf_map_lookup_elem(&held, &first);
}
SEC("struct_ops/undo_cwnd") u32 undo_cwnd(u64 *ctx)
{
    u32 key = 0;
    return bpf_map_lookup_elem(&held, &key) ? 2 : 3;
}
SEC("struct_ops/cong_avoid") int cong_avoid(u64 *ctx)
{
    u32 key = 0;
    return bpf_map_lookup_elem(&held, &key) ? 1 : 0;
}
SEC(".struct_ops") struct tcp_congestion_ops control = {
    .ssthresh = (void *)ssthresh,
    .undo_cwnd = (void *)undo_cwnd,
    .cong_avoid = (void *)cong_avoid,
    .name = NAME,
};
char gpl[] SEC("license") = "GPL";
"""


@dataclass(frozen=True)
class Control:
    """A loaded congestion control.

    Attributes:
        maps: descriptors of the struct_ops map and of the two its programs use, by name.
        programs: ids of its three programs, ascending.
    """

    maps: dict[str, int]
    programs: list[int]
    _lib: ctypes.CDLL
    _handle: int

    @contextmanager
    def stored(self) -> Iterator[None]:
        """Put the structure into its map, which registers it unless a link is to do so."""
        made = self._lib.bpf_map__attach_struct_ops(self._handle)
        assert made
        try:
            yield
        finally:
            self._lib.bpf_link__destroy(made)


def _compiled(folder: Path) -> Path:
    source, compiled = folder / "control.c", folder / "control.o"
    source.write_text(_SOURCE)
    name = f'-DNAME="ctt_{secrets.token_hex(4)}"'
    argv = ["clang", "-O2", "-g", "-target", "bpf", name, "-c", str(source), "-o", str(compiled)]
    subprocess.run(argv, check=True)
    return compiled


def _functions() -> ctypes.CDLL:
    lib = library()
    handle, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("bpf_object__find_map_by_name", handle, (handle, ctypes.c_char_p)),
        ("bpf_map__set_map_flags", number, (handle, ctypes.c_uint32)),
        ("bpf_map__attach_struct_ops", handle, (handle,)),
        ("bpf_map__fd", number, (handle,)),
    ):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


@contextmanager
def loaded(_gate: Gate, folder: Path, *, by_link: bool = False) -> Iterator[Control]:
    """Load the control, compiled in ``folder``; ``by_link``: only a link can register it."""
    lib = _functions()
    whole = lib.bpf_object__open_file(os.fsencode(_compiled(folder)), None)
    assert whole
    try:
        handles = {
            name: lib.bpf_object__find_map_by_name(whole, name.encode())
            for name in (MAP, "cilium_ct4_global", "held")
        }
        if by_link:
            assert lib.bpf_map__set_map_flags(handles[MAP], _F_LINK) == 0
        assert lib.bpf_object__load(whole) == 0
        maps = {name: lib.bpf_map__fd(handle) for name, handle in handles.items()}
        used = {map_info(fd).id for fd in maps.values()}
        programs = [one.id for one in all_programs() if used & set(one.map_ids)]
        yield Control(maps, programs, lib, handles[MAP])
    finally:
        lib.bpf_object__close(whole)
