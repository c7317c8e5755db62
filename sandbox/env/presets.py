"""Presets of `gome env create`: packages that are resolved together and imported as a check."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from packaging.requirements import InvalidRequirement, Requirement

from sandbox.env.registry import Hardware
from sandbox.protocol import SandboxUnavailableError

Preset = dict[str, str]
"""Requirement -> module that it is imported by."""

COMMON: Preset = {
    "numpy>=1.26": "numpy",
    "pandas>=2.2": "pandas",
    "scipy>=1.13": "scipy",
    "scikit-learn>=1.5": "sklearn",
    "lightgbm>=4.5": "lightgbm",
    "pyarrow>=17": "pyarrow",
    "joblib>=1.4": "joblib",
    "tqdm>=4.66": "tqdm",
    "matplotlib>=3.9": "matplotlib",
}
TORCH: Preset = {"torch>=2.4": "torch", "accelerate>=1.0": "accelerate", "einops>=0.8": "einops"}
PRESETS: dict[str, Preset] = {
    "tabular": COMMON
    | {
        "xgboost>=2.1": "xgboost",
        "catboost>=1.2.7": "catboost",
        "polars>=1.10": "polars",
        "statsmodels>=0.14.2": "statsmodels",
        "optuna>=4.0": "optuna",
        "category-encoders>=2.6": "category_encoders",
        "imbalanced-learn>=0.12": "imblearn",
        "umap-learn>=0.5.7": "umap",
        "lifelines>=0.29": "lifelines",
    },
    "vision": COMMON
    | TORCH
    | {
        "torchvision>=0.19": "torchvision",
        "timm>=1.0": "timm",
        "pillow>=10.4": "PIL",
        "albumentations>=1.4": "albumentations",
        "opencv-python-headless>=4.10": "cv2",
        "scikit-image>=0.24": "skimage",
        "pydicom>=3.0": "pydicom",
        "tifffile>=2024.8": "tifffile",
    },
    "text": COMMON
    | TORCH
    | {
        "transformers>=4.45": "transformers",
        "tokenizers>=0.20": "tokenizers",
        "sentencepiece>=0.2": "sentencepiece",
        "datasets>=3.0": "datasets",
        "sentence-transformers>=3.1": "sentence_transformers",
        "peft>=0.13": "peft",
        "rapidfuzz>=3.9": "rapidfuzz",
    },
    "audio": COMMON
    | TORCH
    | {
        "torchaudio>=2.4": "torchaudio",
        "transformers>=4.45": "transformers",
        "librosa>=0.10.2": "librosa",
        "soundfile>=0.12": "soundfile",
    },
}
ALL = "all"
FOR_CPU = {"xgboost>=2.1": "xgboost-cpu>=2.1"}
"""Requirement -> its smaller build without CUDA."""
NEXT_NAME = re.compile(r",(?=\s*[A-Za-z])")  # not the comma of `a>=1,<2`


def preset_requirements(names: Iterable[str], hardware: Hardware) -> Preset:
    """Return the requirements of presets, with the module of each.

    Raises:
        SandboxUnavailableError: there is no such preset.
    """
    found: Preset = {}
    for name in names:
        if name not in PRESETS and name != ALL:
            raise SandboxUnavailableError(
                f"there is no preset {name!r}; there are {', '.join([*PRESETS, ALL])}"
            )
        for preset in PRESETS.values() if name == ALL else [PRESETS[name]]:
            found |= preset
    if hardware == "cpu":
        return {FOR_CPU.get(wanted, wanted): module for wanted, module in found.items()}
    return found


def split_requirements(texts: Sequence[str]) -> list[str]:
    """Return the requirements of `--with a,b>=1,<2`, each checked.

    Raises:
        SandboxUnavailableError: one is no requirement.
    """
    parts = [part.strip() for text in texts for part in NEXT_NAME.split(text) if part.strip()]
    for part in parts:
        try:
            Requirement(part)
        except InvalidRequirement:
            raise SandboxUnavailableError(
                f"--with {part}: expected names of packages such as xgboost or timm>=1.0"
            ) from None
    return parts


def requirement_name(requirement: str) -> str:
    """Return a requirement's package in lower case with hyphens, as the survey names it."""
    return Requirement(requirement).name.lower().replace("_", "-")
