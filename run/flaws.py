"""Whether an attempt really removes a flaw that the harness itself sees in the data.

Only then is its score not compared with the best's, so the claim is checked in the script: a model
that merely mentions a column changes nothing. Once one has, what other traces made with the flaw is
neither blended nor handed over.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from functools import lru_cache

from graph.state import Work
from reasoner.protocol import Hypothesis
from run.run import Run

# calls that take columns away
REMOVERS = ("drop", "pop", "discard", "remove", "difference", "isin")
REMOVED_NAMES = ("drop", "exclu", "ignor", "remov", "unused", "leak", "skip", "forbid", "ban")


def removes_flaw(run: Run, work: Work) -> bool:
    """Whether the hypothesis names suspected columns and the script drops every one of them."""
    columns = _suspected_columns(run, work.hypothesis)
    if not columns or not work.script:
        return False
    script = run.artifacts.get(work.script)
    before = run.artifacts.get(str(run.attempt(work.base).script)) if work.base else ""
    return all(drops_column(script, before, column) for column in columns)


def _suspected_columns(run: Run, hypothesis: Hypothesis | None) -> set[str]:
    """The suspects of the profile that a hypothesis is to remove."""
    if hypothesis is None or not hypothesis.protocol:
        return set()
    suspects = {str(leak.get("column")) for leak in run.setup.profile.get("leaks", [])}
    return suspects.intersection(hypothesis.drops_columns)


def list_flawed(run: Run, heads: Iterable[str | None]) -> set[str]:
    """Return the attempts of these traces that have a flaw which one of them has removed.

    Those that do not take the columns away, unless their own trace has removed the flaw before: a
    script that names no column may use all of them.
    """
    chains = [run.history.chain(head) for head in heads]
    removing = [entry for chain in chains for entry in chain if entry.validity]
    columns: set[str] = set()
    for entry in removing:
        columns |= _suspected_columns(run, run.attempt(entry.ref).hypothesis)
    flawed: set[str] = set()
    for chain in chains if columns else []:
        last = max((n for n, entry in enumerate(chain) if entry.validity), default=len(chain))
        for entry in chain[:last]:
            script = run.artifacts.get(entry.script) if entry.has_script else ""
            if not all(_takes_away_column(script, column) for column in columns):
                flawed.add(entry.id)
    return flawed


@lru_cache(maxsize=1024)
def _takes_away_column(script: str, column: str) -> bool:
    return drops_column(script, "", column)


def drops_column(script: str, before: str, column: str) -> bool:
    """Whether a script no longer uses a column.

    Every mention of the column is one that takes it away (`drop(columns=[...])`, a list named
    `excluded`, a comparison with `!=` or `not in`); or none is left although `before` had one.
    """
    removing, using = count_mentions(script, column)
    if using:
        return False
    return bool(removing) or count_mentions(before, column)[1] > 0


def count_mentions(script: str, column: str) -> tuple[int, int]:
    """Return how often a script mentions a column to take it away, and how often otherwise."""
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # a script may hold anything
        return 0, 0
    removing = using = 0
    for node, is_removal in _walk_with_removals(tree):
        if isinstance(node, ast.Constant) and node.value == column:
            removing += is_removal
            using += not is_removal
    return removing, using


def _walk_with_removals(tree: ast.AST) -> Iterator[tuple[ast.AST, bool]]:
    """Yield every node, and whether it is inside an expression that takes columns away."""
    stack = [(tree, False)]
    while stack:
        node, inside = stack.pop()
        yield node, inside
        for child in ast.iter_child_nodes(node):
            stack.append((child, inside or _takes_away(node, child)))


def _takes_away(node: ast.AST, child: ast.AST) -> bool:
    if isinstance(node, ast.Call) and child is not node.func:
        function = node.func
        name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
        return name in REMOVERS
    if isinstance(node, ast.Assign) and child is node.value:
        return any(_is_removed_name(target) for target in node.targets)
    if isinstance(node, ast.AnnAssign) and child is node.value:
        return _is_removed_name(node.target)
    if isinstance(node, ast.BinOp):
        return isinstance(node.op, ast.Sub) and child is node.right
    if isinstance(node, ast.Compare):
        return all(isinstance(operator, ast.NotEq | ast.NotIn) for operator in node.ops)
    if isinstance(node, ast.keyword):
        return _names_removal(node.arg or "")
    return isinstance(node, ast.Delete)


def _is_removed_name(target: ast.AST) -> bool:
    return isinstance(target, ast.Name) and _names_removal(target.id)


def _names_removal(name: str) -> bool:
    return any(word in name.lower() for word in REMOVED_NAMES)
