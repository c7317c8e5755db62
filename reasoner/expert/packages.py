"""What the expert's scripts need of the Python that runs them."""

from __future__ import annotations

from packaging.version import InvalidVersion, Version

NEEDED = {"numpy": "1.26", "pandas": "2.2", "scikit-learn": "1.5"}
"""Package -> oldest version that the expert's scripts are written for."""
PACKAGE_OF_FAMILY = {"lgbm": "lightgbm", "cat": "catboost", "xgb": "xgboost"}
EXTRA_FAMILIES = ("cat", "xgb")
"""Families that are used where their packages are; Gome's own environment is without them."""


def list_missing_families(packages: dict[str, str]) -> tuple[str, ...]:
    """Return the model families that cannot be imported; the extra ones where nothing is known."""
    if not packages:
        return EXTRA_FAMILIES
    names = {name.removesuffix("-cpu") for name in packages}  # xgboost-cpu is XGBoost too
    return tuple(name for name, needed in PACKAGE_OF_FAMILY.items() if needed not in names)


def list_missing_packages(packages: dict[str, str], inputs: list[str]) -> list[str]:
    """Return what the expert's scripts need and `packages` lacks, as requirements.

    Args:
        packages: those of the scripts' Python, name -> version.
        inputs: names of the files below input/.
    """
    needed = NEEDED | ({"pyarrow": "17"} if "train.parquet" in inputs else {})
    return [
        f"{name}>={oldest}"
        for name, oldest in needed.items()
        if name not in packages or _is_older(packages[name], oldest)
    ]


def _is_older(version: str, oldest: str) -> bool:
    try:
        return Version(version) < Version(oldest)
    except InvalidVersion:  # a version of the packager's own
        return False
