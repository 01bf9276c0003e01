#!/usr/bin/env bash
# bcc's BPF_TABLE_PINNED takes a map that is pinned at its path as it is, whatever was declared, and
# then believes the declaration.
#
# A program that declares a pinned table of 1,024 entries where one of 4,096 is pinned is expected to
# fail (libbpf says "couldn't reuse pinned map: parameter mismatch"), or to create it anew (what
# Cilium's agent does). bcc opens the pin, compares nothing and says nothing:
#   - table.max_entries is what the source declares (1024), not what the kernel has (4096);
#   - len(table) and a walk find all 3,000 entries; items_lookup_batch(), which makes room for
#     max_entries at once, returns 1,024 of them, without an error: a dump by batch is cut in silence;
#   - a declared "hash" is content with a pinned "lru_hash", too.
# Sizes of key and value are not compared either; that was not tried further.
# Who shares pins through bcc has to compare type, sizes, max_entries and flags himself
# (BPF_OBJ_GET_INFO_BY_FD, or /proc/self/fdinfo of table.map_fd).
#
# Seen with python3-bpfcc 0.26.0+ds-1 of Debian 12 on Linux 6.18 (x86_64). Needs root, a kernel with
# BPF, Debian 12's apt sources and any linux-headers package (bcc compiles with kernel headers).
set -euo pipefail

VERSION=0.26.0+ds-1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -qq "python3-bpfcc=$VERSION" "libbpfcc=$VERSION" 2>&1 | grep -v '^W:' || true
for package in ./*.deb; do dpkg -x "$package" package; done
export PYTHONPATH=$folder/package/usr/lib/python3/dist-packages
export LD_LIBRARY_PATH=$(dirname "$(find "$folder/package" -name 'libbcc.so.0')")
if ldd "$LD_LIBRARY_PATH/libbcc.so.0" | grep 'not found'; then
	echo 'install what libbpfcc depends on first: apt-get install libbpfcc'
	exit 2
fi

# bcc wants one tree of headers; Debian has a common one and one for each flavour.
flavour=$(find /usr/src -maxdepth 1 -name 'linux-headers-*' ! -name '*-common*' | sort -V | tail -n 1)
[ -n "$flavour" ] || { echo 'install kernel headers first: apt-get install linux-headers-amd64'; exit 2; }
mkdir headers
for layer in "${flavour%-*}-common" "$flavour"; do
	[ ! -d "$layer" ] || cp -rsf "$layer/." headers/
done
export BCC_KERNEL_SOURCE=$folder/headers
uname -sr

cat >shown.py <<'PYTHON'
import sys

import bcc

PIN = sys.argv[1]


def table(kind: str, entries: int):
    text = f"""
    struct tuple {{ u32 saddr, daddr, ports; }};
    BPF_TABLE_PINNED("{kind}", struct tuple, u64, table, {entries}, "{PIN}");
    int first(struct __sk_buff *skb)
    {{
        struct tuple key = {{}};
        return table.lookup(&key) ? 1 : 0;
    }}
    """
    program = bcc.BPF(text=text)
    program.load_func("first", bcc.BPF.SCHED_CLS)
    return program, program["table"]


def entries_of(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("max_entries"))


program, first = table("lru_hash", 4096)
for number in range(3000):
    first[first.Key(number, 0, 0)] = first.Leaf(number)
seen = {}
for kind in ("lru_hash", "hash"):
    other, second = table(kind, 1024)
    seen[kind] = (
        second.max_entries,
        entries_of(second.map_fd),
        len(second),
        len(list(second.items_lookup_batch())),
    )
    print(f"declared {kind} of 1024, pinned lru_hash of 4096 with 3000 entries: max_entries "
          "%d (kernel: %d), len() %d, by batch %d" % seen[kind])
whole = len(list(first.items_lookup_batch()))
print(f"by batch where 4096 are declared: {whole}")
if whole != 3000 or set(seen.values()) != {(1024, 4096, 3000, 1024)}:
    sys.exit("that is not what was seen before")
PYTHON

python=/usr/bin/python3
unshare --mount bash -c "mkdir bpf && mount -t bpf bpf bpf && $python shown.py $folder/bpf/table" 2>&1 |
	grep -v -e '^sh: .*modprobe' -e '^Unable to find kernel headers'
exit "${PIPESTATUS[0]}"
