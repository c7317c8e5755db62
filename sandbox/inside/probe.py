"""Survey of the Python that runs scripts: its version, its packages, and what they import as.

Standard library only: this runs inside sandboxes, by interpreters other than Gome's.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, distributions

USEFUL_PACKAGES = [
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "xgboost",
    "xgboost-cpu",
    "catboost",
    "statsmodels",
    "pyarrow",
    "polars",
    "torch",
    "torchvision",
    "torchaudio",
    "transformers",
    "timm",
    "sentence-transformers",
    "sentencepiece",
    "tokenizers",
    "datasets",
    "tensorflow",
    "keras",
    "jax",
    "flax",
    "lightning",
    "pytorch-lightning",
    "optuna",
    "imbalanced-learn",
    "category-encoders",
    "umap-learn",
    "numba",
    "opencv-python",
    "opencv-python-headless",
    "pillow",
    "scikit-image",
    "albumentations",
    "segmentation-models-pytorch",
    "ultralytics",
    "kornia",
    "monai",
    "einops",
    "pydicom",
    "tifffile",
    "librosa",
    "soundfile",
    "audiomentations",
    "nltk",
    "spacy",
    "gensim",
    "rapidfuzz",
    "networkx",
    "torch-geometric",
    "rdkit",
    "lifelines",
    "sktime",
    "statsforecast",
    "prophet",
    "pytorch-tabnet",
    "tabpfn",
    "shap",
    "matplotlib",
    "seaborn",
    "joblib",
    "tqdm",
    "accelerate",
    "peft",
    "bitsandbytes",
    "faiss-cpu",
    "cuml-cu12",
    "onnxruntime",
    "h5py",
    "openpyxl",
    "geopandas",
]
SURVEY_FILE = "survey.json"
HIDDEN_PARTS = ("..", "__pycache__", "bin")
Names = dict[str, str]


def find_packages(installed: Names | None = None) -> Names:
    """Return the useful packages of this environment, or of those given: name -> version."""
    versions = list_installed() if installed is None else installed
    return {name: versions[name] for name in USEFUL_PACKAGES if name in versions}


def list_installed() -> Names:
    """Return every installed package: name in lower case -> version."""
    return {name: item.version for name, item in _iterate_distributions()}


def list_modules() -> Names:
    """Return what can be imported, by its first name -> package that brings it."""
    modules: Names = {}
    for name, item in _iterate_distributions():
        for module in _iterate_modules(item):
            modules.setdefault(module, name)
    return modules


def _iterate_distributions() -> Iterator[tuple[str, Distribution]]:
    seen = set()
    for item in distributions():
        name = str(item.metadata["Name"] or "").lower().replace("_", "-")
        if name and name not in seen:
            seen.add(name)
            yield name, item


def _iterate_modules(item: Distribution) -> Iterator[str]:
    listed = item.read_text("top_level.txt")
    if listed:
        yield from listed.split()
        return
    for line in (item.read_text("RECORD") or "").splitlines():
        first, slash, _ = line.split(",")[0].strip('"').partition("/")
        if slash and "." not in first and first not in HIDDEN_PARTS:
            yield first
        elif not slash and first.endswith((".py", ".so", ".pyd")):
            yield first.partition(".")[0]


def survey_packages() -> dict[str, object]:
    """Return the survey as JSON (`sandbox.inside.specs.Survey`)."""
    installed = list_installed()
    return {
        "python": ".".join(map(str, sys.version_info[:3])),
        "packages": find_packages(installed),
        "installed": installed,
        "modules": list_modules(),
    }


if __name__ == "__main__":
    with open(SURVEY_FILE, "w", encoding="utf-8") as file:  # noqa: PTH123 (runs as a script)
        json.dump(survey_packages(), file)
