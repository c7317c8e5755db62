"""The words in which a recipe says when it applies: modalities, and traits of the data."""

from __future__ import annotations

MODALITIES: dict[str, str] = {
    "table": "columns of numbers, categories or dates",
    "text": "a column, or a file per row, of free text",
    "image": "a picture per row",
    "sound": "a recording per row",
    "array": "an array per row (npy, npz)",
    "series": "a table of measurements per row, such as a sensor's",
    "scan": "a DICOM file per row",
    "molecule": "structures as SMILES or as files of atoms",
}
TRAITS: dict[str, str] = {
    # columns
    "numeric": "columns of numbers",
    "several_numeric": "at least two columns of numbers",
    "categorical": "columns of categories",
    "many_levels": "a category with more than 15 levels",
    "dates": "columns of dates",
    "missing": "a column with missing values in more than 1 % of the rows",
    "informative_missing": "whether a value is missing tells of the target",
    "skewed_columns": "a column with a skew beyond 2",
    "pixels": "columns that are the pixels of a square picture",
    "wide": "more columns than a tenth of the rows",
    "small": "fewer than 2,000 training rows",
    "large": "more than 50,000 training rows",
    "drift": "a column that tells train from test",
    "unseen_levels": "levels in the test table that training rows lack",
    "coordinates": "a latitude and a longitude, or x and y",
    "short_texts": "texts of 12 words at most in the mean",
    "long_texts": "texts of more than 100 words in the mean",
    "two_texts": "two columns of free text or more",
    "duplicates": "identical rows",
    # target
    "skewed_target": "a numeric target with a skew beyond 1.2",
    "nonnegative_target": "a numeric target without negative values",
    "count_target": "a target of whole numbers, none negative",
    "zeros": "a tenth of the target's values or more are zero",
    "imbalanced": "a class with less than half of an equal share",
    "ordered_classes": "classes in an order (quadratic weighted kappa, or whole-numbered scores)",
    "several_targets": "several columns to predict",
    "probabilities": "the metric is computed from probabilities",
    "labels": "the metric is computed from labels",
    # rows
    "groups": "rows come in groups, and test has other groups",
    "equal_groups": "all groups have the same number of rows",
    "one_of_group": "exactly one row of a group is positive",
    "time": "test rows come later than training rows",
    # what the evidence of a script shows
    "overfit": "the training score is far above the validated one",
    "underfit": "training and validated scores are near each other",
    "overconfident": "probabilities are more confident than right",
    "neglected_class": "a class is predicted too seldom",
    "late_bias": "the latest rows are predicted with a bias",
    "growing_errors": "errors grow with the prediction",
    "slow_script": "the script takes more than half of its time limit",
}
"""What can be asked of a task, and of the evidence of a script; in a prompt they say why."""
SIGNS = frozenset(
    {
        "overfit",
        "underfit",
        "overconfident",
        "neglected_class",
        "late_bias",
        "growing_errors",
        "slow_script",
    }
)
"""Traits that only a script's evidence shows: such recipes are for diagnoses."""
