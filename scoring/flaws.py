"""Whether an attempt really removes a flaw that the harness itself sees in the data.

Only then is its score not compared with the best's, so the claim is checked in the script: a model
that merely mentions a column changes nothing.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from graph.state import Work
from run.run import Run

# calls that take columns away
REMOVERS = ("drop", "pop", "discard", "remove", "difference", "isin")
REMOVED_NAMES = ("drop", "exclu", "ignor", "remov", "unused", "leak", "skip", "forbid", "ban")


def removes_flaw(run: Run, work: Work) -> bool:
    """Whether the hypothesis names suspected columns and the script drops every one of them."""
    hypothesis = work.hypothesis
    if hypothesis is None or not hypothesis.protocol or not work.script:
        return False
    suspects = {str(leak.get("column")) for leak in run.setup.profile.get("leaks", [])}
    columns = suspects.intersection(hypothesis.drops_columns)
    if not columns:
        return False
    script = run.artifacts.get(work.script)
    before = run.artifacts.get(str(run.attempt(work.base).script)) if work.base else ""
    return all(drops_column(script, before, column) for column in columns)


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
