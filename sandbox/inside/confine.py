"""What a process takes from itself before it runs a script: capabilities, system calls, paths.  Runs inside; standard library only.

Landlock and seccomp are called through ctypes: no package is needed, and nothing is imported after a restriction holds.
"""

import ctypes
import errno
import os
import platform
import struct

LIBC = ctypes.CDLL(None, use_errno=True)
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP = 1, 4, 22, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 36, 38, 47
CLEAR_ALL = 4  # of PR_CAP_AMBIENT

# Landlock (https://docs.kernel.org/userspace-api/landlock.html)
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE, MAKE_CHAR, MAKE_DIR = (
    1 << bit for bit in range(8)
)
MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_BLOCK, MAKE_SYM, REFER, TRUNCATE, IOCTL_DEV = (
    1 << bit for bit in range(8, 16)
)
READ = EXECUTE | READ_FILE | READ_DIR
WRITE = (
    WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | MAKE_FIFO
    | MAKE_SYM
    | REFER
    | TRUNCATE
)  # no device nodes
ON_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
BITS_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15}  # from ABI 5: 16
NET_TCP, SCOPE_ABSTRACT_AND_SIGNALS = 0b11, 0b11

# system calls: x86_64, aarch64
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
REFUSED = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280), "chroot": (161, 51), "clock_adjtime": (305, 266),
    "clock_settime": (227, 112), "delete_module": (176, 106), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "init_module": (175, 105), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "iopl": (172, None), "ioperm": (173, None), "kcmp": (312, 272), "kexec_load": (246, 104),
    "kexec_file_load": (320, 294), "keyctl": (250, 219), "lookup_dcookie": (212, 18), "mount": (165, 40), "mount_setattr": (442, 442),
    "move_mount": (429, 429), "name_to_handle_at": (303, 264), "nfsservctl": (180, 42), "open_by_handle_at": (304, 265),
    "open_tree": (428, 428), "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "reboot": (169, 142), "request_key": (249, 218), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "settimeofday": (164, 170), "swapoff": (168, 225), "swapon": (167, 224), "syslog": (103, 116),
    "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282), "uselib": (134, None), "vhangup": (153, 58),
}  # fmt: skip
CLONE, CLONE3, IOCTL, SOCKET = (56, 220), (435, 435), (16, 29), (41, 198)
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: push keys into the agent's terminal
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


def must(result: int, what: str) -> int:
    """The result of a libc call, or OSError with its name."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prctl(option: int, value: int = 0, third: int = 0, what: str = "prctl") -> int:
    return must(
        LIBC.prctl(
            option,
            ctypes.c_ulong(value),
            ctypes.c_ulong(third),
            ctypes.c_ulong(0),
            ctypes.c_ulong(0),
        ),
        what,
    )


def die_with_parent(signal: int) -> None:
    """The kernel sends `signal` when the thread that started this process ends."""
    prctl(PR_SET_PDEATHSIG, signal)


def no_new_privileges() -> None:
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_bounding_set() -> None:
    """No program started from here can gain a capability again, not even as root."""
    for capability in range(64):
        if (
            LIBC.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0) < 0
            and ctypes.get_errno() == errno.EINVAL
        ):
            return


def drop_capabilities() -> None:
    """Root without capabilities cannot read another process's memory or environment (CAP_PERFMON would allow it under Landlock)."""
    LIBC.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(CLEAR_ALL), 0, 0, 0)
    header, empty = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    must(LIBC.capset(header, empty), "capset")


def become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


# Landlock


def landlock_abi() -> int:
    """0 when the kernel has none."""
    return int(max(0, LIBC.syscall(444, None, ctypes.c_size_t(0), 1)))


def landlock(readable: list[str], writable: list[str], *, network: bool) -> None:
    """From now on only what lies below these paths can be opened. Paths that are not there are passed over."""
    abi = landlock_abi()
    if abi < 1:
        raise OSError(errno.ENOSYS, "Landlock is not in this kernel")
    handled = (1 << BITS_BY_ABI.get(abi, 16)) - 1
    fields = [
        handled,
        0 if network or abi < 4 else NET_TCP,
        SCOPE_ABSTRACT_AND_SIGNALS if abi >= 6 else 0,
    ]
    packed = struct.pack(
        f"={1 if abi < 4 else 2 if abi < 6 else 3}Q",
        *fields[: 1 if abi < 4 else 2 if abi < 6 else 3],
    )
    ruleset = must(
        LIBC.syscall(444, packed, ctypes.c_size_t(len(packed)), 0), "landlock_create_ruleset"
    )
    for paths, access in ((readable, READ), (writable, READ | WRITE | IOCTL_DEV)):
        for path in paths:
            allow(ruleset, path, access & handled)
    no_new_privileges()
    must(LIBC.syscall(446, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def allow(ruleset: int, path: str, access: int) -> None:
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        rights = access if os.path.isdir(path) else access & ON_FILES
        rule = struct.pack("=Qi", rights, handle)
        must(LIBC.syscall(445, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
    finally:
        os.close(handle)


# seccomp


def seccomp_known() -> bool:
    return platform.machine() in ARCHITECTURES


def seccomp(families: list[int]) -> None:
    """Refuses calls that no training script needs (mounts, keys, tracing, namespaces, io_uring) and sockets of other families."""
    program = b"".join(struct.pack("=HBBI", *line) for line in filter_lines(families))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack(
        "@HxxxxxxP" if struct.calcsize("P") == 8 else "@HxxP",
        len(program) // 8,
        ctypes.addressof(buffer),
    )
    no_new_privileges()
    must(LIBC.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), header, 0, 0), "seccomp")


def filter_lines(families: list[int]) -> list[tuple[int, int, int, int]]:
    """Classic BPF over struct seccomp_data {nr, arch, ip, args[6]}."""
    architecture, column = ARCHITECTURES[platform.machine()]
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06

    def refuse(code: int) -> tuple[int, int, int, int]:
        return (give, 0, 0, ERRNO | code)

    lines = [(load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, KILL), (load, 0, 0, 0)]
    if column == 0:  # the x32 table holds the same calls under other numbers
        lines += [(at_least, 0, 1, 0x40000000), refuse(errno.ENOSYS)]
    for numbers in REFUSED.values():
        if numbers[column] is not None:
            lines += [(equal, 0, 1, int(numbers[column] or 0)), refuse(errno.EPERM)]
    lines += [
        (equal, 0, 1, CLONE3[column]),
        refuse(errno.ENOSYS),
    ]  # its flags lie behind a pointer; libc falls back to clone
    lines += [
        (equal, 0, 4, CLONE[column]),
        (load, 0, 0, 16),
        (any_bit, 0, 1, NEW_NAMESPACES),
        refuse(errno.EPERM),
        (give, 0, 0, ALLOW),
    ]
    lines += [(equal, 0, 5, IOCTL[column]), (load, 0, 0, 24)]
    lines += [
        (equal, 1, 0, TERMINAL_INPUT[0]),
        (equal, 0, 1, TERMINAL_INPUT[1]),
        refuse(errno.EPERM),
        (give, 0, 0, ALLOW),
    ]
    lines += [(equal, 0, len(families) + 3, SOCKET[column]), (load, 0, 0, 16)]
    lines += [(equal, len(families) - index, 0, family) for index, family in enumerate(families)]
    return [*lines, refuse(errno.EAFNOSUPPORT), (give, 0, 0, ALLOW), (give, 0, 0, ALLOW)]
