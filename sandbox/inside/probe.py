"""What a script can import in the sandbox."""

from __future__ import annotations

from importlib.metadata import distributions

USEFUL = [
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


def packages() -> dict[str, str]:
    """Useful packages of the environment that scripts run in: name -> version."""
    found = {
        str(item.metadata["Name"]).lower(): item.version
        for item in distributions()
        if item.metadata["Name"]
    }
    return {name: found[name] for name in USEFUL if name in found}
