"""The part of docs/task.md on metrics: texts, tables, own files, and what a model writes."""

# ruff: noqa: E501 (rows of a table)

METRIC_TEXT = """
`map@K` scores rankings: K classes in a cell, best first, separated by blanks; where the training
table has several labels in a cell, all of them are to be found. Of several targets the mean of the
columns' scores is taken (`auc` becomes `auc_mean_columns`). Two forms restrict or group any metric
of values by a column of the training table: `mae_where_u_out_is_0` (those rows alone),
`rmse_per_store` (the mean over its values). `gome init` shows the sentence of the description that
the metric was read from; a metric that is known by name and not built in is refused, never replaced
by a similar one.

## Texts
Where the metric takes texts, the kind is `text`: any string is a prediction, an empty one too, and
is compared as it is written. Scripts read such tables with `dtype=str, keep_default_na=False`.

| what a cell holds | metrics | form |
|---|---|---|
| free text | `levenshtein`, `normalized_levenshtein`, `character_error_rate`, `word_jaccard`, `word_accuracy`, `accuracy` | as written |
| a sequence of words | `edit_distance`, the edits over the number of true words | words and blanks |
| a set of labels | `tags_f1_micro`, `tags_f1_samples`, `tags_f1_macro` | words and blanks, or commas where the training table has them |
| a ranked list | `map@K` | the same, best first |
| an order | `kendall_tau`, pairs of all rows together | the same, all words of the row |
| a mask | `map_of_iou`, `iou_masks`, `dice_masks`, `dice_global`, `fbeta_masks@0.5` and so on | `start length start length …` |
| boxes | `map_boxes` (overlap 0.4; `map_boxes@0.5` and so on) | `class confidence xmin ymin xmax ymax …` |
| points in boxes | `boxes_f1` | `label x y …`; train: `label x y width height …` |
| boxes in space | `map_of_iou_3d` | `confidence x y z width length height yaw class …`; train without confidence |

Texts are not blended: no text lies between two others. Predicted scores (`lwlrap`) are.

## A metric of your own
is a Python file in the task folder, in the form that competitions' own graders have: two tables
with all their columns. `answers` are labelled rows with everything that the training table has,
`submission` the same rows with the sample's columns, in the same order.

```yaml
metric: metric.py
direction: min
```
```py
optimum = 0.0  # the score of the truth; checked before a run


def row_scores(answers, submission):  # optional: differences are measured row by row then
    return (answers["sales"] - submission["sales"]).abs() * answers["weight"]


def score(answers, submission):
    return row_scores(answers, submission).mean()
```
A grader's `grade(submission, answers)` fits in by two lines below it:
```py
direction = "max"
score = lambda answers, submission: grade(submission, answers)
```
Where predictions are not values the file says so: `needs = "text"`, `"label"`, `"probability"` or
`"ranking"`. What it raises about a submission is told to the script that wrote it. Without
`row_scores` attempts are compared from fold to fold. `score(y_true, y_pred)`, two arrays, works
too. The file runs in a sandbox process of its own, without network, with two minutes for a call
and 4 GiB, and never in Gome's own processes.

## Features and labels in two tables
`X_train.csv`, `y_train.csv` and `X_test.csv` (or features, values, inputs and labels, targets) are
one task: joined by a column that names the same rows in both, else row by row where both have as
many, and `gome init` says which. A time in several columns orders the rows by all of them:
`split: time:year+month`, the largest unit first; `auto` finds a year with months (and days),
quarters or weeks.

## Labels in no table
A folder of pictures by class, names that tell the label, annotations, run lengths and the like are
read as they stand. What is left is read by `read.py` in the task folder (`reader: read.py`): it
finds the folder's files below `input/` and writes

- `labels.csv`: the id, the targets, other columns, optionally `group` (rows that stay together) and
  `file` (path of the row's file in the task folder);
- `rows.csv`: the ids to predict, which are those of the sample, and the other columns.

It runs in the sandbox, and what it wrote is checked. With a model, `gome init FOLDER --model NAME`
writes `read.py` or `metric.py` where one is needed: it is told the listing, heads of files and the
description, its file is run and checked as yours would be (ids, columns; the truth at the optimum,
a shuffle worse, the direction of the description), and what is wrong is told to it, three times at
most. `gome run FOLDER --model NAME` does the same at its start; the files stay in `made/` of the
run folder and stand in the report.
"""
