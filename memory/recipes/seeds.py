"""Whether a fragment may depend on the seed, as its code looks; two runs of it decide."""

from __future__ import annotations

import ast

PARTS = ("seed", "random")
"""In a name, an attribute, a keyword or a text of the code."""
WORDS = frozenset(
    ("bagging_fraction", "choice", "early_stopping", "feature_fraction", "max_features")
    + ("permutation", "sample", "shuffle", "shuffled", "subsample")
)
SEED_PLACE = 3
"""Of the parameter of `fit_predict`, whatever it is called."""


def may_depend_on_seed(code: str) -> bool:
    """Whether anything but the plain model, which draws nothing, gets the seed or draws itself."""
    tree = ast.parse(code)
    seeds = {
        function.args.args[SEED_PLACE].arg
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        and function.name == "fit_predict"
        and len(function.args.args) > SEED_PLACE
    }
    handed_on = {
        id(call.args[0])
        for call in ast.walk(tree)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "boosting"
        and call.args
    }
    return any(
        word in seeds or word in WORDS or any(part in word.lower() for part in PARTS)
        for node in ast.walk(tree)
        if id(node) not in handed_on
        for word in [_word_of(node)]
    )


def _word_of(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.keyword):
        return node.arg or ""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return ""
