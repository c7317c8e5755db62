"""What to do where no reader of Gome finds the labels."""

REMEDY = (
    "write a read.py that reads them (docs/task.md) and set `reader: read.py` in task.yaml, or let "
    "a model write it: `gome init --model NAME`"
)
