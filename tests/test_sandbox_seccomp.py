"""The seccomp filter, evaluated line by line as the kernel does, for both processors."""

from __future__ import annotations

import errno
import platform

import pytest

from sandbox.inside import confine

FAMILIES = [confine.UNIX, confine.NETLINK]
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
I386 = 0x40000003
KILL, ERRNO = "kill", "errno"

# written down a second time, from the kernel's tables: a number changed there fails here
REFUSED = {
    "x86_64": {
        "ptrace": 101, "mount": 165, "umount2": 166, "chroot": 161, "pivot_root": 155,
        "unshare": 272, "setns": 308, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298,
        "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "keyctl": 250,
        "add_key": 248, "request_key": 249, "process_vm_readv": 310, "process_vm_writev": 311,
        "pidfd_getfd": 438, "kcmp": 312, "open_by_handle_at": 304, "init_module": 175,
        "finit_module": 313, "kexec_load": 246, "reboot": 169, "move_mount": 429,
        "open_tree": 428, "fsopen": 430, "fsmount": 432, "mount_setattr": 442, "iopl": 172,
    },
    "aarch64": {
        "ptrace": 117, "mount": 40, "umount2": 39, "chroot": 51, "pivot_root": 41,
        "unshare": 97, "setns": 268, "bpf": 280, "userfaultfd": 282, "perf_event_open": 241,
        "io_uring_setup": 425, "keyctl": 219, "process_vm_readv": 270, "pidfd_getfd": 438,
        "open_by_handle_at": 265, "finit_module": 273, "move_mount": 429, "open_tree": 428,
    },
}  # fmt: skip
ALLOWED = {
    "x86_64": {"read": 0, "write": 1, "openat": 257, "mmap": 9, "futex": 202, "exit_group": 231},
    "aarch64": {"read": 63, "write": 64, "openat": 56, "mmap": 222, "futex": 98},
}
CLONE = {"x86_64": 56, "aarch64": 220}
IOCTL = {"x86_64": 16, "aarch64": 29}
SOCKET = {"x86_64": 41, "aarch64": 198}
NAMESPACES = {
    "ns": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000, "ipc": 0x8000000,
    "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000,
}  # fmt: skip


def answer(
    program: list[tuple[int, int, int, int]], number: int, architecture: int, *arguments: int
) -> str:
    """Run classic BPF over {nr, arch, ip, args}: allow, kill, or the name of an errno."""
    words = [number, architecture, 0, 0]
    for value in (*arguments, *[0] * (6 - len(arguments))):
        words += [value & 0xFFFFFFFF, value >> 32]
    position = loaded = 0
    while True:
        code, if_true, if_false, operand = program[position]
        position += 1
        if code == 0x20:  # load a word
            loaded = words[operand // 4]
        elif code == 0x06:  # return
            if operand >> 16 == 0x7FFF:
                return "allow"
            return KILL if operand >> 16 == 0x8000 else errno.errorcode[operand & 0xFFFF]
        else:
            held = {
                0x15: loaded == operand,
                0x35: loaded >= operand,
                0x45: bool(loaded & operand),
            }[code]
            position += if_true if held else if_false


@pytest.fixture(params=sorted(MACHINES))
def machine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    return str(request.param)


def call(machine: str, number: int, *arguments: int) -> str:
    return answer(confine.seccomp_program(FAMILIES), number, MACHINES[machine], *arguments)


def test_dangerous_calls_are_refused_and_ordinary_ones_are_not(machine: str) -> None:
    refused = {name: call(machine, number) for name, number in REFUSED[machine].items()}
    assert set(refused.values()) == {"EPERM"}, refused
    allowed = {name: call(machine, number) for name, number in ALLOWED[machine].items()}
    assert set(allowed.values()) == {"allow"}, allowed


def test_calls_of_another_architecture_end_the_process(machine: str) -> None:
    program = confine.seccomp_program(FAMILIES)
    others = [I386, *(each for name, each in MACHINES.items() if name != machine)]
    assert {answer(program, number, other) for other in others for number in (0, 11)} == {KILL}


def test_the_x32_table_is_closed() -> None:
    program = confine.seccomp_program(FAMILIES) if platform.machine() == "x86_64" else None
    if program is None:
        pytest.skip("only x86_64 has it")
    for number in (0, 101, 165, 272, 520):  # 520 and 101: execve and ptrace
        assert answer(program, 0x40000000 | number, MACHINES["x86_64"]) == "ENOSYS"


def test_new_namespaces_are_refused_and_threads_are_not(machine: str) -> None:
    number = CLONE[machine]
    refused = {name: call(machine, number, flag | 17) for name, flag in NAMESPACES.items()}
    assert set(refused.values()) == {"EPERM"}, refused
    assert call(machine, number, 0x3D0F00) == "allow"  # a thread of libc's
    assert call(machine, 435) == "ENOSYS"  # clone3: its flags cannot be read


def test_keys_cannot_be_pushed_into_a_terminal(machine: str) -> None:
    for request in (0x5412, 0x541C):
        assert call(machine, IOCTL[machine], 1, request) == "EPERM"
    assert call(machine, IOCTL[machine], 1, 0x5401) == "allow"  # TCGETS


def test_only_the_given_families_of_sockets_open(machine: str) -> None:
    found = {family: call(machine, SOCKET[machine], family) for family in range(46)}
    opened = [family for family, said in found.items() if said == "allow"]
    assert opened == sorted(FAMILIES)
    assert {said for said in found.values() if said != "allow"} == {"EAFNOSUPPORT"}
