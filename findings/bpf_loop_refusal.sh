#!/usr/bin/env bash
# What bpf_loop() answers when it refuses a number of rounds depends on whether the verifier inlined it.
#
# bpf(2)'s helper list: bpf_loop() returns "-E2BIG if nr_loops exceeds the maximum number of loops"
# (1 << 23), so a program tests its answer with `if (ret < 0)`. The same call, with the same flags:
#   - called as a helper, it answers -7 (0xfffffffffffffff9): as one would guess;
#   - inlined by the verifier (one callback, flags known to be 0, as compilers write it), the answer
#     is a 32-bit move without a sign: 4294967289, greater than 0. `ret < 0` never holds; the program
#     goes on as if it had made four thousand million rounds, and none was made.
# A test on (int)ret is right in both.
#
# Seen with Linux 6.18 (x86_64). Needs root, a kernel from 5.19 on and Python's own
# library: the programs are assembled here, so that no compiler's version decides what is loaded.
set -euo pipefail

uname -srm

python3 - <<'PYTHON'
import ctypes
import os
import struct
import sys

NR_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
PROG_LOAD, PROG_TEST_RUN, BTF_LOAD = 5, 10, 18
XDP = 6
BPF_LOOP = 181
GET_PRANDOM_U32 = 7
MAX_LOOPS = 1 << 23
libc = ctypes.CDLL(None, use_errno=True)


def bpf(command: int, attr: bytes) -> tuple[int, bytes]:
    held = ctypes.create_string_buffer(attr.ljust(144, b"\0"), 144)
    answer = libc.syscall(NR_BPF, command, held, 144)
    if answer < 0:
        sys.exit(f"bpf({command}): {os.strerror(ctypes.get_errno())}")
    return answer, held.raw


def btf() -> int:
    names = b"\0int\0main\0round\0a\0b\0"
    at = names.index
    word = struct.Struct("<III").pack
    kinds = word(at(b"int"), 1 << 24, 4) + struct.pack("<I", 1 << 24 | 32)  # 1: int
    kinds += word(0, 13 << 24 | 1, 1) + struct.pack("<II", at(b"a\0"), 1)  # 2: int (int a)
    kinds += word(at(b"main"), 12 << 24 | 1, 2)  # 3: global
    kinds += word(0, 13 << 24 | 2, 1) + struct.pack("<IIII", at(b"a\0"), 1, at(b"b\0"), 1)  # 4
    kinds += word(at(b"round"), 12 << 24, 4)  # 5: static
    head = struct.pack("<HBBIIIII", 0xEB9F, 1, 0, 24, 0, len(kinds), len(kinds), len(names))
    held = ctypes.create_string_buffer(head + kinds + names)
    size = len(head + kinds + names)
    return bpf(BTF_LOAD, struct.pack("<QQII", ctypes.addressof(held), 0, size, 0))[0]


def insn(code: int, dst: int = 0, src: int = 0, off: int = 0, imm: int = 0) -> bytes:
    return struct.pack("<BBhi", code, src << 4 | dst, off, imm)


def answer_of_loop(rounds: int, *, inlined: bool) -> int:
    """Run a program that stores bpf_loop()'s answer into the packet; the answer, signed."""
    flags = [insn(0xB7, 4)]  # r4 = 0, as a constant
    if not inlined:
        # r4 = random & 0: the verifier would see through "& 0", so it is shifted out instead.
        flags = [insn(0x85, imm=GET_PRANDOM_U32), insn(0xBF, 4, 0), insn(0x77, 4, imm=63)]
    before = [
        insn(0xBF, 6, 1),  # r6 = ctx
        *flags,
        insn(0xB7, 1, imm=rounds),
    ]
    after = [
        insn(0xB7, 3),  # r3 = NULL
        insn(0x85, imm=BPF_LOOP),
        insn(0x61, 1, 6, 0),  # r1 = ctx->data
        insn(0x61, 2, 6, 4),  # r2 = ctx->data_end
        insn(0xBF, 3, 1),
        insn(0x07, 3, imm=8),
        insn(0x2D, 3, 2, 1),  # if r1 + 8 > data_end goto out
        insn(0x7B, 1, 0),  # *(u64 *)data = r0
        insn(0xB7, 0, imm=2),  # out: XDP_PASS
        insn(0x95),
    ]
    here = len(before)
    callback = here + 2 + len(after)
    load = insn(0x18, 2, 4, imm=callback - here - 1) + insn(0)  # r2 = &round
    code = b"".join(before) + load + b"".join(after) + insn(0xB7, 0) + insn(0x95)
    text = ctypes.create_string_buffer(code)
    kinds = ctypes.create_string_buffer(struct.pack("<IIII", 0, 3, callback, 5))
    licence = ctypes.create_string_buffer(b"GPL")
    attr = struct.pack("<IIQQIIQII", XDP, len(code) // 8, ctypes.addressof(text),
                       ctypes.addressof(licence), 0, 0, 0, 0, 0)
    attr += bytes(16) + struct.pack("<IIIIQI", 0, 0, btf(), 8, ctypes.addressof(kinds), 2)
    program = bpf(PROG_LOAD, attr)[0]
    packet = ctypes.create_string_buffer(64)
    out = ctypes.create_string_buffer(64)
    bpf(PROG_TEST_RUN, struct.pack("<IIIIQQII", program, 0, 64, 64, ctypes.addressof(packet),
                                   ctypes.addressof(out), 1, 0))
    os.close(program)
    return struct.unpack_from("<q", out.raw)[0]


print("within the limit:", answer_of_loop(1000, inlined=True), answer_of_loop(1000, inlined=False))
helper = answer_of_loop(MAX_LOOPS + 1, inlined=False)
inlined = answer_of_loop(MAX_LOOPS + 1, inlined=True)
print("one round too many, as a helper:", helper)
print("one round too many, inlined:    ", inlined)
if (helper, inlined) != (-7, 2**32 - 7):
    sys.exit("this has changed")
PYTHON
