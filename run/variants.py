"""Variants: the pairs of files that a script writes beside or instead of the plain pair.

A line search in one execution: settings of one change, or members of a blend. Names and files come
from a script; the sandbox has checked that they are plain files with plain names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from run.attempt import OOF, SUBMISSION, ExecutionRecord

PLAIN = "plain"  # name of the pair oof.csv, submission.csv among variants
VARIANT_NAME = "GOME_VARIANT"  # environment variable: the one variant that a script is to compute
SEED_NAME = "GOME_SEED"  # environment variable with a script's seed (docs/script-contract.md)
PATTERNS = ("oof-*.csv", "submission-*.csv")


class Pairs(NamedTuple):
    """The complete pairs of an execution by the variant's name, and what was left out, and why."""

    files: dict[str, tuple[str, str]]  # artifacts of oof and submission
    left_out: list[str]


def variant_files(variant: str) -> tuple[str, str]:
    """Return the names of a variant's two files; of none or the plain one, the plain pair."""
    if variant in ("", PLAIN):
        return OOF, SUBMISSION
    return f"oof-{variant}.csv", f"submission-{variant}.csv"


def variant_environment(variant: str) -> dict[str, str]:
    """Return the environment in which a script computes this variant alone."""
    return {VARIANT_NAME: variant} if variant else {}


def seeded_parts(script: str, seed: int, variant: str) -> list[str]:
    """Return what names an execution of a script under another seed."""
    return [script, str(seed), *([variant] if variant else [])]


def seeded_event_key(parts: Sequence[str]) -> str:
    """Return the key of the event in which the execution named by `seeded_parts` ended."""
    script, seed, *variant = parts
    return ":".join([f"seed{seed}", script[:16], *variant])


def has_pair(files: Mapping[str, str]) -> bool:
    """Whether an execution left a complete pair of files."""
    return any(set(variant_files(name)) <= set(files) for name in _names(files))


def choose_variant(execution: ExecutionRecord, variant: str) -> ExecutionRecord:
    """Return the execution with the files of one variant as its pair; as it is for the plain one.

    A pair that is missing is missing in the result, too.
    """
    if variant in ("", PLAIN):
        return execution
    others = {name: ref for name, ref in execution.files.items() if name not in (OOF, SUBMISSION)}
    names = zip((OOF, SUBMISSION), variant_files(variant), strict=True)
    chosen = {plain: others[name] for plain, name in names if name in others}
    return execution.evolve(files=others | chosen)


def describe_missing_variant(attempt: str, variant: str, where: str) -> str:
    """Return what is wrong with a script that did not write the variant it was asked for."""
    names = " and ".join(variant_files(variant))
    return f"{attempt} {where}: it wrote no {names}, though {VARIANT_NAME}={variant} asked for them"


def list_pairs(execution: ExecutionRecord, most: int) -> Pairs:
    """Return the pairs of an execution, the plain one first, then by name, at most `most`."""
    files, left_out = execution.files, list[str]()
    pairs: dict[str, tuple[str, str]] = {}
    n_more = 0
    for variant in _names(files):
        names = variant_files(variant)
        missing = [name for name in names if name not in files]
        if missing == list(names):
            continue
        if missing:
            why = execution.refused.get(missing[0])
            other = next(name for name in names if name in files)
            reason = f"{missing[0]} is {why}" if why else f"it has no {missing[0]}"
            left_out.append(f"{other} is left out: {reason}")
        elif len(pairs) < most:
            pairs[variant] = (files[names[0]], files[names[1]])
        else:
            n_more += 1
    if n_more:
        left_out.append(f"only the first {most} pairs by name count, {n_more} more are left out")
    left_out += [f"{name}: {why}" for name, why in execution.refused.items() if name in PATTERNS]
    return Pairs(pairs, left_out)


def _names(files: Mapping[str, str]) -> list[str]:
    """The names of all variants of which there is a file, the plain pair first."""
    found = set()
    for pattern in PATTERNS:
        start, end = pattern.split("*")
        found |= {
            name.removeprefix(start).removesuffix(end)
            for name in files
            if name.startswith(start) and name.endswith(end)
        }
    return [PLAIN, *sorted(found - {PLAIN})]
