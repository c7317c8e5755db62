"""What a process takes from itself before it runs a script: capabilities, system calls, paths.

Runs inside the sandbox, standard library only. Landlock and seccomp are called through ctypes: no
package is needed, and nothing is imported once a restriction is active.
"""

# ruff: noqa: PTH112 (pathlib takes longer to import than all the rest)

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

# seccomp; numbers of system calls: x86_64, aarch64
ARCHITECTURES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}
REFUSED_CALLS = {
    "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "chroot": (161, 51), "clock_adjtime": (305, 266), "clock_settime": (227, 112),
    "delete_module": (176, 106), "finit_module": (313, 273), "fsconfig": (431, 431),
    "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433),
    "init_module": (175, 105), "io_uring_setup": (425, 425), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "iopl": (172, None), "ioperm": (173, None),
    "kcmp": (312, 272), "kexec_load": (246, 104), "kexec_file_load": (320, 294),
    "keyctl": (250, 219), "lookup_dcookie": (212, 18), "mount": (165, 40),
    "mount_setattr": (442, 442), "move_mount": (429, 429), "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "nfsservctl": (180, 42), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "perf_event_open": (298, 241), "pidfd_getfd": (438, 438), "pivot_root": (155, 41),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "reboot": (169, 142),
    "request_key": (249, 218), "setdomainname": (171, 162), "sethostname": (170, 161),
    "setns": (308, 268), "settimeofday": (164, 170), "shmget": (29, 194), "swapoff": (168, 225),
    "swapon": (167, 224), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "userfaultfd": (323, 282), "uselib": (134, None), "vhangup": (153, 58),
}  # fmt: skip
CLONE, CLONE3, IOCTL, SOCKET = (56, 220), (435, 435), (16, 29), (41, 198)
PRCTL = (157, 167)
NEW_NAMESPACES = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}
TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX: push keys into the agent's terminal
# no file may get the set-user-id or set-group-id bit: whoever started it would become our user
SET_ID_BITS, O_CREAT, OPENAT2 = 0o6000, 0o100, (437, 437)
MODE_ARGUMENTS = {  # calls by number, and which argument is the mode
    "chmod": ((90, None), 1), "fchmod": ((91, 52), 1), "fchmodat": ((268, 53), 2),
    "fchmodat2": ((452, 452), 2), "creat": ((85, None), 1), "mkdir": ((83, None), 1),
    "mkdirat": ((258, 34), 2), "mknod": ((133, None), 1), "mknodat": ((259, 33), 2),
}  # fmt: skip
OPEN_ARGUMENTS = {"open": ((2, None), 1), "openat": ((257, 56), 2)}  # flags; the mode follows
UNIX, INET, INET6, NETLINK = 1, 2, 10, 16
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
BPF_LOAD, BPF_EQUAL, BPF_AT_LEAST, BPF_ANY_BIT, BPF_RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOWANCE = (BPF_RETURN, 0, 0, ALLOW)


def check_result(result: int, what: str) -> int:
    """Return the result of a libc call. Raises OSError with its name if it is negative."""
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")
    return result


def prctl(option: int, value: int = 0) -> int:
    """Set an option of this process by the system call of that name. Raises OSError."""
    zero = ctypes.c_ulong(0)
    return check_result(LIBC.prctl(option, ctypes.c_ulong(value), zero, zero, zero), "prctl")


def die_with_parent(signal: int) -> None:
    """Have the kernel send `signal` when the thread that started this process ends."""
    prctl(PR_SET_PDEATHSIG, signal)


def no_new_privileges() -> None:
    """Gain no privileges from set-user-id programs, from now on."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_bounding_set() -> None:
    """Let no program started from here gain a capability again, not even as root."""
    for capability in range(64):
        result = LIBC.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), 0, 0, 0)
        if result < 0 and ctypes.get_errno() == errno.EINVAL:  # beyond the kernel's last one
            return


def drop_capabilities() -> None:
    """Drop every capability.

    Root without capabilities cannot read another process's memory or environment; CAP_PERFMON
    would allow it under Landlock.
    """
    LIBC.prctl(PR_CAP_AMBIENT, ctypes.c_ulong(CLEAR_ALL), 0, 0, 0)
    header, empty = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    check_result(LIBC.capset(header, empty), "capset")


def become_user(uid: int) -> None:
    """Become an ordinary user, with the group of the same number and no others."""
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)


# Landlock


def landlock_abi() -> int:
    """Return the version of the kernel's Landlock; 0 if it has none."""
    return int(max(0, LIBC.syscall(444, None, ctypes.c_size_t(0), 1)))


def apply_landlock(readable: list[str], writable: list[str], *, network: bool) -> None:
    """From now on, only what is below these paths can be opened; missing paths are skipped.

    Args:
        readable: paths to read and execute.
        writable: paths to read, execute and write.
        network: whether TCP stays allowed.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError(errno.ENOSYS, "Landlock is not in this kernel")
    handled = (1 << BITS_BY_ABI.get(abi, 16)) - 1
    fields = [handled]  # of struct landlock_ruleset_attr, which grew with the versions
    if abi >= 4:
        fields.append(0 if network else NET_TCP)
    if abi >= 6:
        fields.append(SCOPE_ABSTRACT_AND_SIGNALS)
    packed = struct.pack(f"={len(fields)}Q", *fields)
    ruleset = check_result(
        LIBC.syscall(444, packed, ctypes.c_size_t(len(packed)), 0), "landlock_create_ruleset"
    )
    for paths, access in ((readable, READ), (writable, READ | WRITE | IOCTL_DEV)):
        for path in paths:
            add_path_rule(ruleset, path, access & handled)
    no_new_privileges()
    check_result(LIBC.syscall(446, ruleset, 0), "landlock_restrict_self")
    os.close(ruleset)


def add_path_rule(ruleset: int, path: str, access: int) -> None:
    """Allow an access below a path; a missing one is skipped."""
    try:
        handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return
    try:
        rights = access if os.path.isdir(path) else access & ON_FILES
        rule = struct.pack("=Qi", rights, handle)
        check_result(LIBC.syscall(445, ruleset, 1, rule, 0), f"landlock_add_rule {path}")
    finally:
        os.close(handle)


# seccomp


def is_seccomp_supported() -> bool:
    """Whether the filter knows this processor's system calls."""
    return platform.machine() in ARCHITECTURES


def apply_seccomp(families: list[int]) -> None:
    """Refuse system calls that no training script needs, and sockets of other families.

    Among the refused calls are mounts, keys, tracing, namespaces and io_uring.
    """
    program = b"".join(struct.pack("=HBBI", *line) for line in seccomp_program(families))
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack(
        "@HxxxxxxP" if struct.calcsize("P") == 8 else "@HxxP",
        len(program) // 8,
        ctypes.addressof(buffer),
    )
    no_new_privileges()
    check_result(LIBC.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), header, 0, 0), "seccomp")


def seccomp_program(families: list[int]) -> list[tuple[int, int, int, int]]:
    """Return the filter in classic BPF over struct seccomp_data {nr, arch, ip, args[6]}.

    A line is (code, lines to skip if true, lines to skip if false, operand).
    """
    architecture, column = ARCHITECTURES[platform.machine()]
    lines = [
        (BPF_LOAD, 0, 0, 4),
        (BPF_EQUAL, 1, 0, architecture),
        (BPF_RETURN, 0, 0, KILL),
        (BPF_LOAD, 0, 0, 0),
    ]
    if column == 0:  # the x32 table has the same calls under other numbers
        lines += [(BPF_AT_LEAST, 0, 1, 0x40000000), _refusal(errno.ENOSYS)]
    for numbers in REFUSED_CALLS.values():
        if (number := numbers[column]) is not None:
            lines += [(BPF_EQUAL, 0, 1, number), _refusal(errno.EPERM)]
    # the flags of clone3 are behind a pointer; libc falls back to clone
    lines += [(BPF_EQUAL, 0, 1, CLONE3[column]), _refusal(errno.ENOSYS)]
    lines += [
        (BPF_EQUAL, 0, 4, CLONE[column]),
        (BPF_LOAD, 0, 0, 16),
        (BPF_ANY_BIT, 0, 1, NEW_NAMESPACES),
        _refusal(errno.EPERM),
        ALLOWANCE,
    ]
    lines += [
        (BPF_EQUAL, 0, 5, IOCTL[column]),
        (BPF_LOAD, 0, 0, 24),
        (BPF_EQUAL, 1, 0, TERMINAL_INPUT[0]),
        (BPF_EQUAL, 0, 1, TERMINAL_INPUT[1]),
        _refusal(errno.EPERM),
        ALLOWANCE,
    ]
    lines += [  # a process that is not dumpable hides from the watchdog what it holds
        (BPF_EQUAL, 0, 4, PRCTL[column]),
        (BPF_LOAD, 0, 0, 16),
        (BPF_EQUAL, 0, 1, PR_SET_DUMPABLE),
        _refusal(errno.EPERM),
        ALLOWANCE,
    ]
    lines += _set_id_lines(column)
    n = len(families)
    lines += [(BPF_EQUAL, 0, n + 3, SOCKET[column]), (BPF_LOAD, 0, 0, 16)]
    lines += [(BPF_EQUAL, n - index, 0, family) for index, family in enumerate(families)]
    return [*lines, _refusal(errno.EAFNOSUPPORT), ALLOWANCE, ALLOWANCE]


def _set_id_lines(column: int) -> list[tuple[int, int, int, int]]:
    """Refuse modes with a set-id bit; openat2 has its mode behind a pointer, libc falls back."""
    lines = [(BPF_EQUAL, 0, 1, OPENAT2[column]), _refusal(errno.ENOSYS)]
    for numbers, index in MODE_ARGUMENTS.values():
        if (number := numbers[column]) is not None:
            lines += [(BPF_EQUAL, 0, 4, number), *_mode_lines(index)]
    for numbers, index in OPEN_ARGUMENTS.values():
        if (number := numbers[column]) is not None:
            lines += [(BPF_EQUAL, 0, 7, number), (BPF_LOAD, 0, 0, 16 + 8 * index)]
            lines += [(BPF_ANY_BIT, 1, 0, O_CREAT), ALLOWANCE, *_mode_lines(index + 1)]
    return lines


def _mode_lines(index: int) -> list[tuple[int, int, int, int]]:
    return [
        (BPF_LOAD, 0, 0, 16 + 8 * index),
        (BPF_ANY_BIT, 0, 1, SET_ID_BITS),
        _refusal(errno.EPERM),
        ALLOWANCE,
    ]


def _refusal(code: int) -> tuple[int, int, int, int]:
    return (BPF_RETURN, 0, 0, ERRNO | code)
