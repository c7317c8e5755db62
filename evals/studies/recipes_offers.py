"""Print which recipes prompts get on tasks of the suite, as a model reads them.

    python -m evals.studies.recipes_offers TASK ... [--cause TEXT] [--whole]

For three first scripts, and for a diagnosis with each cause, where causes are given. The tasks are
those that `python -m evals.studies.recipes` has prepared.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from briefs.recipes import make_card
from evals.harness.pages import CACHE, study_parser
from graph.settings import Settings
from memory.lexical import LexicalEmbedding
from memory.recipes.choice import Known, Weighed, choose_for_diagnosis, choose_for_draft
from memory.recipes.library import BOOK, read_folder
from memory.recipes.shelf import RecipeShelf
from reasoner.chat.prompt.sections import recipes_section
from reasoner.chat.prompt.text import n_tokens
from report.formatting import name_metric
from session.recipe_trials import TrialTask, make_trial_task, open_trials
from task.types import Prepared

N_TURNS, N_DRAFT, N_DIAGNOSIS = 3, 3, 2


async def open_tasks(names: Sequence[str], root: Path) -> list[TrialTask]:
    """Open prepared tasks."""
    tasks = []
    async with open_trials(Settings(), seeds=1, limit_s=60, say=print) as bench:
        for name in names:
            stored, profile = json.loads((root / "prepared" / name / "trial.json").read_text())
            prepared = Prepared.model_validate(stored)
            tasks.append(make_trial_task(bench, root / name, prepared, profile))
    return tasks


def tell(chosen: Sequence[Weighed], *, n_code: int, whole: bool) -> str:
    """Return the section of a prompt, or the recipes' ids, with its tokens."""
    cards = [make_card(item, with_code=i < n_code) for i, item in enumerate(chosen)]
    text = recipes_section(cards)
    named = ", ".join(f"`{card.id}`" for card in cards) or "none"
    return f"{named} ({n_tokens(text)} tokens)" + (f"\n\n{text}\n" if whole else "")


def print_offers(task: TrialTask, shelf: RecipeShelf, causes: Sequence[str], whole: bool) -> None:
    """Print what the prompts of a task get."""
    brief = task.brief
    print(f"### {task.folder.name}: {brief.kind}, {brief.metric}\n")
    words = " ".join(brief.description.split())[:400]
    question = f"{brief.kind}, {name_metric(brief.metric)}. {words}"
    found = shelf.find(question, task.facts, Known())
    for turn in range(N_TURNS):
        chosen = choose_for_draft(found, turn, N_DRAFT)
        print(f"- first script of trace {turn}: {tell(chosen, n_code=1, whole=whole)}")
    for cause in causes:
        near = shelf.find(cause, task.facts, Known(), near=True)
        chosen = choose_for_diagnosis(near, N_DIAGNOSIS)
        print(f'- diagnosis "{cause}": {tell(chosen, n_code=0, whole=whole)}')
    print()


def main() -> None:
    parser = study_parser(__doc__)
    parser.add_argument("tasks", nargs="+")
    parser.add_argument("--cause", action="append", default=[])
    parser.add_argument("--whole", action="store_true", help="the text, not the ids alone")
    parser.add_argument("--root", type=Path, default=CACHE)
    options = parser.parse_args()
    shelf = RecipeShelf(read_folder(BOOK, own=True).recipes, LexicalEmbedding())
    for task in asyncio.run(open_tasks(options.tasks, options.root)):
        print_offers(task, shelf, options.cause, options.whole)


if __name__ == "__main__":
    main()
