"""The mutants of `tools.mutants`: each weakens one guard, and names the tests that should notice.

Left out on purpose: a mutant that weakens two guards at once. A keeper without its PID namespace
that does not look whether it has one would signal everything on this machine.
"""

# ruff: noqa: E501 (old and new text stand as they are in their files)

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """A guard that is weakened: `old` occurs once in `file` and becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    why: str
    tests: tuple[str, ...]


BWRAP, PLAN, CONFINE = (
    "sandbox/local/bwrap.py",
    "sandbox/local/plan.py",
    "sandbox/inside/confine.py",
)
KEEPER, JOURNAL, GRADE = "sandbox/inside/keeper.py", "memory/journal.py", "task/grade/grade.py"
USAGE, IMPORT, COLLECT = (
    "sandbox/local/usage.py",
    "session/import_run.py",
    "sandbox/inside/collect.py",
)
UNPACK, IMPORTS = "session/import_zip.py", "tests/test_session_import.py"
DAMAGED = "tests/test_session_damaged.py"
LABELS, LABEL_TESTS = "scoring/label_check.py", "tests/test_scoring_label_check.py"
CHAIN, CHAIN_TESTS = "scoring/chain.py", "tests/test_scoring_chain.py"
ARCHIVES, PLACE = "task/data/media/archives.py", "task/data/media/place.py"
MEDIA, HONESTY = "tests/test_task_media.py", "tests/test_task_media_honesty.py"
ATTACKS, GUARDS = "tests/test_sandbox_attacks.py", "tests/test_sandbox_guards.py"
SECCOMP, CONFORMANCE = "tests/test_sandbox_seccomp.py", "tests/test_sandbox_conformance.py"
MEMORY, JOURNALS = "tests/test_memory_processes.py", "tests/test_memory_journal.py"
COPIES, VERDICTS, TRUST = (
    "tests/test_task_copies.py",
    "tests/test_scoring_acceptance.py",
    "tests/test_scoring_trust.py",
)
HOSTILE_ZIP = ("tests/test_session_fork.py::test_a_hostile_zip_is_refused",)


def stops(*attacks: str) -> tuple[str, ...]:
    """Attacks in bubblewrap."""
    return tuple(f"{ATTACKS}::test_bubblewrap_stops_it[{name}]" for name in attacks)


def stops_root(*attacks: str) -> tuple[str, ...]:
    """Attacks by a script that stays root."""
    test = f"{GUARDS}::test_bubblewrap_stops_a_script_that_stays_root"
    return tuple(f"{test}[{name}]" for name in attacks)


def every_tier(*attacks: str) -> tuple[str, ...]:
    """Attacks in another tier, as `name-tier`."""
    test = f"{ATTACKS}::test_every_tier_stops_the_attacks_it_promises_to_stop"
    return tuple(f"{test}[{name}]" for name in attacks)


def local(*cases: str) -> tuple[str, ...]:
    """Cases of the suite of all backends, on this machine."""
    return tuple(f"{CONFORMANCE}::test_local[{case}]" for case in cases)


def alone(*attacks: str) -> tuple[str, ...]:
    """Attacks on limits where no control group helps."""
    test = f"{GUARDS}::test_limits_hold_without_a_control_group"
    return tuple(f"{test}[{name}]" for name in attacks)


ALLOW_LIST = (f"{GUARDS}::test_bubblewrap_mounts_the_allow_list_and_no_more",)
NAMESPACES = (f"{GUARDS}::test_a_script_has_namespaces_of_its_own[bubblewrap]",)

SANDBOX = [
    Mutant("mount-root", BWRAP, '*interpreter_mounts(*pythons), "--proc", "/proc"]', '"--ro-bind", "/root", "/root", *interpreter_mounts(*pythons), "--proc", "/proc"]', "a script sees /root", ALLOW_LIST),
    Mutant("mount-home", BWRAP, '*interpreter_mounts(*pythons), "--proc", "/proc"]', '"--ro-bind", "/home", "/home", *interpreter_mounts(*pythons), "--proc", "/proc"]', "a script sees every home", ALLOW_LIST),
    Mutant("mount-var-tmp", BWRAP, '*interpreter_mounts(*pythons), "--proc", "/proc"]', '*parent_arguments("/var/tmp"), "--ro-bind", "/var/tmp", "/var/tmp", *interpreter_mounts(*pythons), "--proc", "/proc"]', "a script sees other runs and their labels", stops("files")),
    Mutant("mount-etc", BWRAP, '"--ro-bind-try", source, source]\n    return arguments', '"--ro-bind-try", source, source]\n    arguments += ["--ro-bind", "/etc", "/etc"]\n    return arguments', "a script sees all of /etc", ALLOW_LIST),
    Mutant("seal", BWRAP, 'return ["--remount-ro", "/proc", "--remount-ro", "/"]', "return []", "root writes /proc/sys", stops_root("kernel-files", "write")),
    Mutant("inputs-writable", PLAN, '"--ro-bind", source,', '"--bind", source,', "a script changes the data that later ones read", stops_root("write")),
    Mutant("network-open", BWRAP, '[] if network else ["--unshare-net"]', "[]", "a script reaches the network", stops("tcp", "udp")),
    Mutant("ipc-shared", BWRAP, '["--unshare-ipc", "--unshare-pid"', '["--unshare-pid"', "shared memory of other processes", NAMESPACES),
    Mutant("uts-shared", BWRAP, '"--unshare-uts", ', "", "the machine's name can be set", NAMESPACES),
    Mutant("agent-dies-first", BWRAP, '"--die-with-parent", ', "", "scripts outlive a killed agent", (f"{ATTACKS}::test_nothing_outlives_an_agent_killed_with_9[bubblewrap]",)),
    Mutant("environment", "sandbox/local/running.py", "env=plan.environment,", "env={**os.environ, **plan.environment},", "the agent's keys reach a script", every_tier("environment-landlock")),
    Mutant("keeps-root", "sandbox/local/backend.py", "user = lease_user() if is_root_dropped else None", "user = None", "scripts of root share a user", ("tests/test_sandbox_tiers.py::test_two_jobs_of_root_are_two_ordinary_users",)),
    Mutant("keeps-bounding-set", KEEPER, "        confine.drop_bounding_set()\n", "        pass\n", "a set-user-id program could bring rights back", every_tier("rights-landlock")),
    Mutant("no-filter", KEEPER, '    if spec["families"]:\n', '    if spec["families"] and False:\n', "every system call is open", stops("calls", "families")),
    Mutant("x32-open", CONFINE, "(BPF_AT_LEAST, 0, 1, 0x40000000), _refusal(errno.ENOSYS)", "(BPF_AT_LEAST, 0, 1, 0x40000000), ALLOWANCE", "refused calls under their x32 numbers", (f"{SECCOMP}::test_the_x32_table_is_closed",)),
    Mutant("foreign-architecture", CONFINE, "(BPF_RETURN, 0, 0, KILL)", "ALLOWANCE", "refused calls under their 32-bit numbers", (f"{SECCOMP}::test_calls_of_another_architecture_end_the_process",)),
    Mutant("pidfd-getfd", CONFINE, '"pidfd_getfd": (438, 438), ', "", "descriptors of other processes are taken", (f"{SECCOMP}::test_dangerous_calls_are_refused_and_ordinary_ones_are_not",)),
    Mutant("wrong-number", CONFINE, '"bpf": (321, 280)', '"bpf": (320, 280)', "a typing error in the table of calls", (f"{SECCOMP}::test_dangerous_calls_are_refused_and_ordinary_ones_are_not",)),
    Mutant("clone3-open", CONFINE, "(BPF_EQUAL, 0, 1, CLONE3[column]), _refusal(errno.ENOSYS)", "(BPF_EQUAL, 0, 1, CLONE3[column]), ALLOWANCE", "namespaces by clone3", (f"{SECCOMP}::test_new_namespaces_are_refused_and_threads_are_not",)),
    Mutant("user-namespaces", CONFINE, "NEW_NAMESPACES = 0x7E020000", "NEW_NAMESPACES = 0x6E020000", "user namespaces by clone: all rights inside", (f"{SECCOMP}::test_new_namespaces_are_refused_and_threads_are_not",)),
    Mutant("terminal-keys", CONFINE, "TERMINAL_INPUT = (0x5412, 0x541C)", "TERMINAL_INPUT = (0x5413, 0x541C)", "keys are pushed into the agent's terminal", (f"{SECCOMP}::test_keys_cannot_be_pushed_into_a_terminal",)),
    Mutant("socket-families", CONFINE, "[*lines, _refusal(errno.EAFNOSUPPORT), ALLOWANCE", "[*lines, ALLOWANCE, ALLOWANCE", "sockets of every family", (f"{SECCOMP}::test_only_the_given_families_of_sockets_open",)),
    Mutant("dumpable-keeper", KEEPER, "confine.prctl(confine.PR_SET_DUMPABLE, 0)", "confine.prctl(confine.PR_SET_DUMPABLE, 1)", "a script of root writes into its keeper", stops_root("forge", "proc")),
    Mutant("landlock-off", KEEPER, '    if spec["landlock"]:\n', '    if spec["landlock"] and False:\n', "landlock leaves every file open", every_tier("files-landlock")),
    Mutant("landlock-wide", PLAN, 'readable += ["/proc", ', 'readable += ["/", "/proc", ', "landlock leaves every file readable", every_tier("files-landlock")),
    Mutant("landlock-scope", CONFINE, "SCOPE_ABSTRACT_AND_SIGNALS = 0b11, 0b11", "SCOPE_ABSTRACT_AND_SIGNALS = 0b11, 0b00", "abstract sockets and signals of the host", every_tier("abstract-landlock")),
    Mutant("landlock-sockets", PLAN, 'allows_ip = tier in ("bubblewrap", "userns") or', "allows_ip = True or", "UDP without a network namespace", every_tier("udp-landlock")),
    Mutant("memory-blind", USAGE, "        if is_above:", "        if is_above and False:", "memory of the tree is not limited", alone("shared-hog", "tree-hog")),
    Mutant("memory-of-one", PLAN, 'values["RLIMIT_DATA"] = RESERVED_FACTOR * limits.memory_bytes', 'values["RLIMIT_AS"] = 2**62', "too much memory kills instead of raising", (f"{GUARDS}::test_too_much_memory_is_an_error_that_a_script_can_catch",)),
    Mutant("disk-off", USAGE, "if use.n_bytes > limits.disk_bytes:", "if use.n_bytes > limits.disk_bytes and False:", "a script fills the disk", local("disk_is_bounded")),
    Mutant("file-size-off", PLAN, '{"RLIMIT_FSIZE": limits.disk_bytes, ', "{", "one file fills the disk between two looks", (f"{GUARDS}::test_one_large_file_is_an_error_before_the_watchdog_looks",)),
    Mutant("processes-off", PLAN, 'values["RLIMIT_NPROC"] = limits.processes + ', 'values["RLIMIT_NPROC"] = 100_000 + ', "a fork bomb takes every process number", alone("fork-cap")),
    Mutant("flood-off", "sandbox/local/running.py", "if self.output.n_total > self.flood_bytes and", "if False and", "endless output runs on", local("output_flood_is_ended")),
    Mutant("output-kept-whole", "sandbox/inside/output.py", "while self.tail and self.n_tail", "while False and self.n_tail", "a gigabyte of output is held in memory", stops("output")),
    Mutant("time-off", USAGE, "        if left_s <= 0:\n", "        if left_s <= -1000:\n", "a script runs beyond its time", stops("stubborn")),
    Mutant("links-followed", COLLECT, "os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC", "os.O_PATH | os.O_CLOEXEC", "a link hands the labels over as an artifact", local("artifacts_that_are_no_plain_files")),
    Mutant("hard-links", COLLECT, "if info.st_nlink != 1:", "if info.st_nlink < 1:", "a hard link hands another file over", local("artifacts_that_are_no_plain_files")),
    Mutant("names-climb", COLLECT, 'or ".." in parts or', "or", "an artifact named ../ is collected", local("artifacts_that_are_no_plain_files")),
    Mutant("script-through-link", PLAN, "os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644", "os.O_WRONLY | os.O_CREAT, 0o644", "a planted link is written through", (f"{GUARDS}::test_script_and_inputs_are_never_written_through_a_link",)),
    Mutant("leases-of-others", "sandbox/local/leases.py", "or info.st_uid != os.getuid()", "or info.st_uid < 0", "another user holds or plants leases", (f"{GUARDS}::test_a_folder_of_leases_that_somebody_else_owns_is_refused",)),
    Mutant("leases-unlocked", "sandbox/local/leases.py", "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)", "two jobs share a user or a GPU", ("tests/test_sandbox_gpus.py::test_processes_never_hold_one_gpu_together",)),
    Mutant("leftovers-live", "sandbox/local/backend.py", "            kill_leftover_jobs(self.notes)\n", "            pass\n", "a resumed run leaves a killed one's scripts", (f"{ATTACKS}::test_a_resumed_run_ends_leftovers_of_a_killed_one",)),
    Mutant("blind-keeper", KEEPER, 'if not spec["sweep"] and os.stat(', "if False and os.stat(", "a keeper without a namespace signals the whole machine", (f"{GUARDS}::test_a_keeper_without_a_pid_namespace_signals_nothing",)),
]  # fmt: skip

SCORES = [
    Mutant("leak-gates", GRADE, "find_leaks(truth, oof) if is_promising or every_gate else []", "[]", "leaking columns win", ("tests/test_task_leaks.py::test_a_planted_leak_is_rejected_by_its_name_and_the_honest_attempt_is_not",)),
    Mutant("copied-labels", GRADE, "if len(oof) >= MIN_COPIED_ROWS and np.array_equal(oof, truth.y):", "if False:", "the labels are handed in as predictions", (COPIES + "::test_a_copy_of_the_labels_is_refused",)),
    Mutant("copied-column", GRADE, "if name := find_copied_column(truth, oof):", "if name := None:", "a column that test lacks is handed in", (COPIES + "::test_a_copy_of_a_column_that_test_lacks_is_refused",)),
    Mutant("constant", GRADE, "is_constant = len(rows) > 1 and bool((rows == rows[0]).all())", "is_constant = False", "a script that learned nothing counts", (COPIES + "::test_the_same_prediction_for_every_row_is_refused",)),
    Mutant("duplicate-ids", "task/grade/predictions.py", "if n_repeated := len(keys) - len(set(keys)):", "if False:", "repeated rows hide others", (COPIES + "::test_a_broken_file_is_refused_by_its_fault",)),
    Mutant("nan", "task/grade/predictions.py", "    if n_bad:\n", "    if False:\n", "NaN reaches the metric", (COPIES + "::test_a_broken_file_is_refused_by_its_fault",)),
    Mutant("huge-table", "task/grade/predictions.py", "if n_bytes > mean * (n_rows + MAX_EXTRA_LINES):", "if False:", "a giant file is read into memory", (COPIES + "::test_a_file_out_of_proportion_is_not_read",)),
    Mutant("metric-guard", "scoring/acceptance.py", "surrogate is not None and metric.is_worse(z)", "False", "a gain of the surrogate passes though the metric is worse", (VERDICTS,)),
    Mutant("nested-thresholds", "task/grade/soft/decode.py", "fit_decoder(target, y[~held], p[~held])", "fit_decoder(target, y, p)", "thresholds are fitted on the rows that they are scored on", ("tests/test_task_soft.py::test_thresholds_of_a_fold_are_fitted_without_it",)),
    Mutant("probability-sums", "task/grade/predictions.py", "    if n_off:\n", "    if False:\n", "numbers that are no probabilities are judged as such", ("tests/test_task_soft.py::test_hostile_probabilities_are_refused_and_a_class_may_lack",)),
    Mutant("first-draft-stays", "scoring/acceptance.py", "decide(paired, grade.surrogate.get(BEST), z).d <= 0", "True", "a better first draft does not lead", (VERDICTS,)),
    Mutant("leak-verdict", "scoring/acceptance.py", 'problem.code.startswith("leak_")', 'problem.code.startswith("leak-")', "a leak is repaired as a crash", (VERDICTS,)),
    Mutant("noise-accepted", "scoring/acceptance.py", "bar = max(z, standing.bar) if standing else z", "bar = 0.0", "noise is accepted", (VERDICTS,)),
    Mutant("luck-free", "run/luck.py", "    share = (n_counted + OFFSET) ** -POWER / TOTAL\n", "    share = 1.0\n", "a long run of nulls accepts one of them", ("tests/test_scoring_luck.py",)),
    Mutant("audit-silent", "scoring/acceptance.py", "paired.d < -CONTRADICTED_Z * paired.se", "paired.d < -1e9", "held-back rows contradict in vain", (VERDICTS, TRUST)),
    Mutant("audit-leak-silent", "task/grade/audit.py", "z <= bar", "z <= 1e9", "training on validated rows goes unseen", ("tests/test_task_leaks.py::test_only_the_audit_detects_training_on_validated_rows",)),
    Mutant("appeal-power", "task/grade/appeal.py", "left < max(MIN_AUDIT_ROWS, MIN_SHARE * total)", "left < 0", "an appeal leaves out all that shows a leak", ("tests/test_task_appeal.py::test_only_what_held_back_rows_alone_lack_can_be_named_and_enough_must_remain",)),
    Mutant("appeal-usual", "task/grade/appeal.py", "return bool(shares[0] > MAX_USUAL and max(shares[1:]) <= MAX_USUAL)", "return True", "held-back rows that are like the test are left out on appeal", ("tests/test_task_appeal.py::test_only_what_held_back_rows_alone_lack_can_be_named_and_enough_must_remain",)),
    Mutant("near-copies", "task/data/near_copies.py", "share < MIN_SHARE or natural", "True or natural", "a row is predicted from its own near copy", ("tests/test_task_leaks.py::test_near_copies_are_held_out_together_where_test_rows_have_none",)),
    Mutant("chain-dishonest", "run/pool.py", "if member.attempt not in refused", "if member", "a first level that was found out is blended and handed over", (CHAIN_TESTS + "::test_a_first_level_that_is_found_out_is_given_to_nobody",)),
    Mutant("appeal-believed", GRADE, "audit_leak=again[\"audit_leak\"],", "audit_leak=None,", "whoever appeals passes the audit", ("tests/test_task_appeal.py::test_an_honest_script_passes_on_appeal_and_a_leaking_one_does_not",)),
    Mutant("audit-budget", "scoring/audit.py", "if count_audit_bits(run) >= run.settings.audit_bits:", "if False:", "the audit is asked until it is learnt", (TRUST + "::test_the_audit_answers_until_its_bits_are_spent_and_never_twice_for_one_attempt",)),
    Mutant("audit-always", "scoring/audit.py", "if not judgement.replaces or grade.audit is None:", "if grade.audit is None:", "rejected attempts spend bits", (TRUST + "::test_the_audit_is_not_consulted_about_rejected_attempts",)),
    Mutant("label-check", LABELS, "    if can_audit_tell(run, grade):\n", "    if True:\n", "labels and noise win where no rows are held back", (LABEL_TESTS + "::test_labels_and_noise_are_refused_below_the_size_of_the_audit[120]",)),
    Mutant("label-follows", "task/grade/label_shuffle.py", "follows = p <= FALSE_ALARM and", "follows = p < 0 and", "predictions may follow shuffled labels", (LABEL_TESTS + "::test_labels_and_noise_are_refused_below_the_size_of_the_audit[120]",)),
    Mutant("label-condemns", "task/grade/label_shuffle.py", "follows = p <= FALSE_ALARM and followed >= MIN_FOLLOWED", "follows = True", "an honest score of 1.0 is refused", (LABEL_TESTS + "::test_a_true_score_of_one_is_checked_and_stays[120]",)),
    Mutant("label-sulks", LABELS, "        return _refuse_unchecked(check, failure)\n", "        return check\n", "a script that fails on shuffled labels is believed", (LABEL_TESTS + "::test_a_script_that_fails_on_other_labels_is_refused_and_may_be_repaired",)),
    Mutant("label-blended", "run/members.py", "    if is_refused(attempt.codes) or CONTRADICTED in attempt.codes:\n", "    if CONTRADICTED in attempt.codes:\n", "a refused script joins an ensemble", (LABEL_TESTS + "::test_a_refused_script_is_blended_with_none",)),
    Mutant("chain-recorded", CHAIN, "            given = given_by(self.run.artifacts.path, execution) if execution.ok else None\n", "            given = given_by(self.run.artifacts.path, each)\n", "a second level is checked on what its first level predicted from the true labels", (CHAIN_TESTS + "::test_labels_that_a_first_level_hides_are_found_where_a_second_level_uses_them[400-leak_labels]",)),
    Mutant("chain-undeclared", "run/chain.py", "    return [name for name in known if name in words]\n", "    return list(known)\n", "a script reads attempts that it does not name", (CHAIN_TESTS + "::test_only_ids_that_stand_in_the_script_are_named",)),
    Mutant("keep-unbounded", "scoring/kept.py", "    if n_bytes > most:\n", "    if False:\n", "a script fills the disk through keep/", (CHAIN_TESTS + "::test_what_is_kept_is_bounded_and_refused_with_a_reason",)),
    Mutant("keep-names", "scoring/kept.py", "    if odd is not None:\n", "    if False:\n", "a file in keep/ has any name", (CHAIN_TESTS + "::test_what_is_kept_is_bounded_and_refused_with_a_reason",)),
    Mutant("archive-climbs", ARCHIVES, 'or ".." in parts', "", "an archive writes outside its folder", (MEDIA + "::test_names_that_lead_out_are_refused",)),
    Mutant("archive-links", ARCHIVES, "            if not info.isfile():\n", "            if False:\n", "a link in an archive is followed or ends the task", (MEDIA + "::test_links_and_devices_are_refused",)),
    Mutant("archive-bomb", ARCHIVES, "min(free, max(MIN_BOMB_BYTES, MAX_RATIO * packed))", "free", "a bomb fills the disk", (MEDIA + "::test_bombs_are_bounded",)),
    Mutant("label-copies", PLACE, "return file.path not in media.left_out and", "return", "a second copy of the labels is mounted", (HONESTY + "::test_a_copy_inside_a_folder_of_media_is_left_out",)),
    Mutant("label-names", PLACE, "        if not any(tells_labels(names, labels.iloc[rows]) for rows, names in kinds):\n", "        if True:\n", "names of files tell the labels", (HONESTY + "::test_names_that_tell_labels_are_not_shown",)),
    Mutant("held-files", PLACE, "if file.name in plan.moved_out or", "if", "files of held-back rows stay among training files", (HONESTY + "::test_files_of_held_back_rows_lie_among_test_files",)),
]  # fmt: skip

RECORDS = [
    Mutant("journal-lock", JOURNAL, "fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)", "two writers mix their lines", (JOURNALS + "::test_a_writer_waits_until_it_is_alone", JOURNALS + "::test_one_record_written_by_many_at_once_is_there_once")),
    Mutant("journal-fsync", JOURNAL, "            raise\n        os.fsync(handle)\n", "            raise\n", "an acknowledged record is lost by a power cut", (JOURNALS + "::test_an_acknowledged_record_has_reached_the_disk",)),
    Mutant("journal-folder-sync", JOURNAL, "    if size == 0:\n        _sync_folder(path.parent)\n", "", "a new journal is lost by a power cut", (JOURNALS + "::test_an_acknowledged_record_has_reached_the_disk",)),
    Mutant("journal-truncate", JOURNAL, "            os.ftruncate(handle, size)  # a full disk: leave no half record\n", "", "a full disk leaves half a record", (JOURNALS + "::test_a_full_disk_leaves_no_half_record",)),
    Mutant("journal-torn-line", JOURNAL, 'elif os.pread(handle, 1, size - 1) != b"\\n":', "elif False:", "a torn line spoils the next", (MEMORY + "::test_a_torn_last_line_spoils_nothing_but_itself",)),
    Mutant("journal-mode", JOURNAL, "os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600", "os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644", "other users read the memory", (JOURNALS + "::test_only_the_owner_can_read_what_runs_have_learnt",)),
    Mutant("journal-link", JOURNAL, "os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600", "os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600", "a planted link is written through", (JOURNALS + "::test_what_a_link_planted_after_the_look_names_is_not_written",)),
    Mutant("journal-fifo", JOURNAL, "if not stat.S_ISREG(os.fstat(handle).st_mode):", "if False:", "a device in place of the journal never ends", (JOURNALS + "::test_a_pipe_is_no_empty_journal",)),
    Mutant("write-in-place", "run/artifacts.py", "    temporary = path.with_name(", "    temporary = path or path.with_name(", "a kill leaves half a file", ("tests/test_run_artifacts.py::test_a_write_that_fails_leaves_the_old_content",)),
    Mutant("artifact-hash", "run/artifacts.py", "if hashlib.sha256(raw).hexdigest() != ref:", "if False:", "a changed artifact is believed", ("tests/test_run_artifacts.py::test_a_tampered_artifact_is_refused",)),
    Mutant("checkpoint-types", "run/checkpoints/sqlite.py", "allowed_msgpack_modules=None", "allowed_msgpack_modules=True", "a stored row builds any class", ("tests/test_run_checkpoints_sqlite.py::test_no_stored_row_runs_code",)),
    Mutant("checkpoint-pickle", "run/checkpoints/sqlite.py", "pickle_fallback=False", "pickle_fallback=True", "a stored row is unpickled", ("tests/test_run_checkpoints_sqlite.py::test_no_stored_row_runs_code",)),
    Mutant("checkpoint-mode", "run/checkpoints/sqlite.py", "        path.chmod(0o600)\n", "        path.chmod(0o644)\n", "other users read the state", ("tests/test_run_checkpoints_sqlite.py::test_only_the_owner_can_read_the_file",)),
    Mutant("run-lock", "run/lock.py", "fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)", "fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)", "two processes drive one run", ("tests/test_run_lock.py::test_a_lock_that_another_holds_is_refused_with_its_owner",)),
    Mutant("event-twice", "run/events.py", 'if key and f"{ev}:{key}" in self._keys:', "if False:", "a resume counts an event twice", ("tests/test_run_events.py",)),
    Mutant("done-again", "run/run.py", "            if path.is_file():\n                try:\n                    return model", "            if False:\n                try:\n                    return model", "a resume repeats finished work", ("tests/test_run_done.py::test_finished_work_is_found_and_not_repeated",)),
    Mutant("import-hash", UNPACK, "if digest != sha256:", "if False:", "a changed file is imported", HOSTILE_ZIP),
    Mutant("import-climbs", UNPACK, ' and ".." not in path.parts', "", "an import writes outside the run", HOSTILE_ZIP),
    Mutant("import-bomb", UNPACK, "if total > MAX_RATIO *", "if total > 10**6 * MAX_RATIO *", "a zip fills the disk", HOSTILE_ZIP),
    Mutant("import-paths", IMPORT, "if not path.is_absolute() or not path.resolve().is_relative_to(folder):", "if False:", "an import hands a home to its scripts", HOSTILE_ZIP),
    Mutant("import-metric", IMPORT, "if not trust and not has_consent(content):", "if False:", "an imported metric runs with our rights", HOSTILE_ZIP),
    Mutant("import-settings", IMPORT, "for name, value in stored.items() if name in CARRIED_SETTINGS}", "for name, value in stored.items()}", "an import chooses isolation and endpoint", ("tests/test_session_import.py::test_an_imported_run_carries_only_listed_settings",)),
    Mutant("import-names", UNPACK, "        if not is_known_name(name):\n", "        if False:\n", "an import brings files that no run has", (IMPORTS + "::test_files_that_no_run_has_are_left_behind",)),
    Mutant("import-limits", IMPORT, "carried[name] > limit:", "carried[name] < 0:", "an import lifts the limit of memory", (IMPORTS + "::test_facts_limits_and_hints_of_a_stranger_are_bounded_and_told",)),
    Mutant("stored-python", "briefs/brief.py", "interpreter=run.sandbox.own_python,", "interpreter=run.setup.interpreter,", "a program that a run folder names is started", (IMPORTS + "::test_a_python_that_a_run_names_is_not_started",)),
    Mutant("names-climb-out", "graph/state.py", 'pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,80}$"', 'pattern=r"^"', "an attempt's stored name leads out of the run", (IMPORTS + "::test_an_attempt_whose_name_climbs_writes_nothing",)),
    Mutant("folders-linked", "run/folder.py", "if not _is_missing_or(stat.S_ISDIR, folder / name):", "if False:", "a linked folder leads out of the run", (DAMAGED + "::test_a_link_in_place_of_a_folder_leads_nowhere",)),
    Mutant("secrets-stored", "run/folder.py", 'update={"base_url": public_url(settings.base_url)}', "update={}", "run.json holds the endpoint's password", ("tests/test_reasoner_chat_run.py::test_the_key_is_stored_and_printed_nowhere",)),
    Mutant("secrets-printed", "reasoner/chat/endpoint/faults.py", "        if len(secret) >= 4:\n", "        if False:\n", "an error quotes the password", ("tests/test_reasoner_chat_run.py::test_the_key_is_stored_and_printed_nowhere",)),
    Mutant("key-shape-printed", "reasoner/chat/endpoint/faults.py", '@", KEY_TEXT.sub("***", text)', '@", text', "an error quotes a key that is not ours", ("tests/test_reasoner_chat_masks.py::test_our_secrets_and_whatever_looks_like_one_are_masked",)),
    Mutant("foreign-settings", "run/ownership.py", "    if is_own_run(run, settings):\n", "    if True:\n", "a copied folder chooses endpoint and isolation", ("tests/test_run_ownership.py::test_a_strangers_folder_is_refused_until_it_is_trusted",)),
    Mutant("redirects-followed", "reasoner/chat/endpoint/redirects.py", "    if not is_same_host(before.url, request.url):\n", "    if False:\n", "a redirect takes the prompt to another host", ("tests/test_reasoner_chat_transport.py::test_no_prompt_is_sent_to_another_host",)),
    Mutant("vectors-unchecked", "reasoner/chat/endpoint/embeddings.py", "    if not all(map(math.isfinite, vector)):\n", "    if False:\n", "an endpoint's NaN reaches the index", ("tests/test_memory_embed.py::test_an_odd_answer_is_one_typed_error[nan]",)),
    Mutant("answers-unbounded", "reasoner/chat/endpoint/embeddings.py", "        if len(content) > limit:\n", "        if False:\n", "an endless answer fills the memory", ("tests/test_memory_embed.py::test_an_odd_answer_is_one_typed_error[long]",)),
    Mutant("weights-unchecked", "memory/weights.py", "        if digest.hexdigest() != weights.sha256:\n", "        if False:\n", "weights of another hash are used", ("tests/test_memory_weights.py::test_weights_of_another_hash_are_never_used_and_not_fetched_again",)),
    Mutant("waiting-cleaned", "report/summary.py", '"paused", "waiting")', '"paused")', "clean empties a waiting run", ("tests/test_cli_first_use.py::test_clean_keeps_what_a_resume_needs",)),
]  # fmt: skip

MUTANTS = [*SANDBOX, *SCORES, *RECORDS]
