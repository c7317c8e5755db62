#!/bin/bash
# MLE-bench calls this in the container as an ordinary user: bash start.sh key=value …
cd "${AGENT_DIR:-/home/agent}" || exit 1
exec .venv/bin/python -m evals.mlebench.run \
  data=/home/data submission="${SUBMISSION_DIR:-/home/submission}" code="${CODE_DIR:-/home/code}" logs="${LOGS_DIR:-/home/logs}" "$@"
