"""Packages that a script can import in the sandbox."""

from __future__ import annotations

from importlib.metadata import distributions

USEFUL_PACKAGES = [
    "numpy",
    "pandas",
    "scipy",
    "scikit-learn",
    "lightgbm",
    "xgboost",
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
    "tokenizers",
    "datasets",
    "tensorflow",
    "keras",
    "jax",
    "flax",
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
    "librosa",
    "nltk",
    "spacy",
    "gensim",
    "networkx",
    "lifelines",
    "sktime",
    "prophet",
    "shap",
    "matplotlib",
    "seaborn",
    "joblib",
    "tqdm",
    "accelerate",
    "peft",
]


def find_packages() -> dict[str, str]:
    """Return the useful packages of this environment: name -> version."""
    versions = {
        str(item.metadata["Name"]).lower(): item.version
        for item in distributions()
        if item.metadata["Name"]
    }
    return {name: versions[name] for name in USEFUL_PACKAGES if name in versions}
