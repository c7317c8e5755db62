"""docs/prompts: the messages to a model at steps 1 and 5 of real runs.

python -m tools.prompts_docs       # write docs/prompts/*.md; deterministic

They are rendered from the recorded briefs (evals/data/prompt_*.json).
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, NamedTuple

from reasoner.chat.prompt.files import file_messages
from reasoner.chat.prompt.render import prompt_hash, prompt_messages
from reasoner.chat.prompt.text import n_tokens
from reasoner.protocol import (
    Brief,
    DiagnoseBrief,
    DraftBrief,
    FileBrief,
    FileTry,
    ProbeBrief,
    ReviewBrief,
    Turn,
    UpdateBrief,
)
from tools.prompt_record import BRIEFS, EXAMPLE, load_recording

DOCS = Path(__file__).parent.parent / "docs" / "prompts"
DOCUMENTED = {
    "draft": ("t1s0 draft", "the first script of trace 1, told what trace 0 does"),
    "diagnose-step1": ("t0s1 diagnose", "trace 0 after its first script"),
    "update-step1": ("t0s1 update", "its first step, as a call of its own (`calls=two`)"),
    "repair-step3": (
        "t0s3 repair",
        "a script that failed (its file name was made wrong on purpose)",
    ),
    "diagnose-step5": ("t0s5 diagnose", "trace 0 after five steps"),
    "update-step5": ("t0s5 update", "its sixth attempt, with memory and history"),
}


OTHERS = {"pictures": "pictures of digits", "texts": "paragraphs of text"}
OTHER_PAGES = {
    "draft": ("t0s0 draft", "the first script"),
    "step1": ("t0s1 diagnose", "after the first script"),
    "step5": ("t0s5 diagnose", "after five steps"),
}
FOLLOWED = "what follows it in the same conversation where another hypothesis is chosen"
FILE_BRIEF = FileBrief(
    file="read.py",
    name="sensor-lines",
    description="Predict y of every line.\nScored by the pinball loss at 0.9.",
    refusal="sample_submission.csv asks for id, y and the labels are in no table, folder or file "
    "name that a reader understands (there are examples.dat)",
    listing=[
        '"examples.dat": 41.2 kB',
        '"sample_submission.csv": 5.1 kB; columns id | y; rows b0 | 0.0 / b1 | 0.0',
    ],
    heads={"examples.dat": 'v1|{"n": "a0", "x": 0, "y": 0.0}\nv1|{"n": "a1", "x": 1, "y": 2.0}\n'},
    sample="id,y\nb0,0.0\nb1,0.0\n",
    packages={"numpy": "2.3", "pandas": "3.0"},
    earlier=[FileTry(script="import csv, json\n…\n", error="IndexError: list index out of range")],
)


class Documented(NamedTuple):
    """One page: the verb, its brief, and what the brief is."""

    verb: str
    brief: Brief
    what: str


def documented_briefs() -> dict[str, Documented]:
    """Return page name -> brief."""
    recorded = load_recording()["briefs"]
    pages: dict[str, Documented] = {}
    for name, (key, what) in DOCUMENTED.items():
        verb = key.rpartition(" ")[2]
        brief = BRIEFS[verb].model_validate(recorded[key])
        if verb == "diagnose":
            verb, brief = "step", step_brief(recorded, key)
        pages[name] = Documented(verb, brief, what)
    for kind, called in OTHERS.items():
        others = load_recording(kind)["briefs"]
        for name, (key, what) in OTHER_PAGES.items():
            is_draft = key.endswith("draft")
            brief = DraftBrief.model_validate(others[key]) if is_draft else step_brief(others, key)
            page = Documented("draft" if is_draft else "step", brief, f"{called}: {what}")
            pages[f"{kind}-{name}"] = page
    pages["follow-step5"] = Documented("follow", follow_brief(recorded), FOLLOWED)
    first = next(page.brief for page in pages.values() if page.verb == "draft")
    look = ProbeBrief.model_validate({**first.model_dump(), "limit_s": 60})
    pages["probe"] = Documented("probe", look, "a look at the data before the first draft")
    what = "the best script of trace 0 at step 5 against its first"
    pages["review-step5"] = Documented("review", review_brief(recorded), what)
    return pages


def step_brief(recorded: dict[str, Any], key: str) -> DiagnoseBrief:
    """Return the brief of a step in one call: the diagnosis's, with what its update had."""
    update = UpdateBrief.model_validate(recorded[key.replace("diagnose", "update")])
    brief = DiagnoseBrief.model_validate(recorded[key])
    shared = {name: getattr(update, name) for name in ("members", "quotes", "may_ask")}
    return brief.model_copy(update={**shared, "wants_change": True})


def follow_brief(recorded: dict[str, Any]) -> UpdateBrief:
    """Return the brief that asks for the second hypothesis in the conversation of step 5."""
    brief = UpdateBrief.model_validate(recorded["t0s5 update"])
    messages = prompt_messages("step", step_brief(recorded, "t0s5 diagnose"))
    turns = [Turn.model_validate(message) for message in messages]
    diagnosis = brief.diagnosis.model_copy(update={"turns": turns})
    chosen = diagnosis.hypotheses[-1].id
    return brief.model_copy(update={"diagnosis": diagnosis, "chosen": chosen, "quotes": []})


def review_brief(recorded: dict[str, Any]) -> ReviewBrief:
    """Return the review of the script at step 5, against the script at step 1."""
    first, last = recorded["t0s1 update"], recorded["t0s5 update"]
    before, after = first["script"].splitlines(), last["script"].splitlines()
    diff = list(difflib.unified_diff(before, after, lineterm="", n=2))
    return ReviewBrief.model_validate({**last, "diff": "\n".join(diff[2:])})


def prompt_pages() -> dict[str, str]:
    """Return file name -> text."""
    pages, rows = {}, []
    system = ""
    for name, (verb, brief, what) in documented_briefs().items():
        first, *_, second = prompt_messages(verb, brief)
        system = first["content"]
        pages[f"{name}.md"] = f"<!-- user message of `{verb}`: {what} -->\n\n{second['content']}"
        rows.append(f"| [{name}]({name}.md) | {what} | {n_tokens(second['content']):,} |")
    for file, name in (("read.py", "write-read"), ("metric.py", "write-metric")):
        first, second = file_messages(FILE_BRIEF.model_copy(update={"file": file}))
        what = f"a task folder that needs a {file}"
        pages[f"{name}.md"] = f"<!-- user message of `write`: {what} -->\n\n{second['content']}"
        rows.append(f"| [{name}]({name}.md) | {what} | {n_tokens(second['content']):,} |")
        pages["write-system.md"] = f"<!-- system message of `write` -->\n\n{first['content']}"
    pages["system.md"] = f"<!-- system message of the verbs of the loop -->\n\n{system}"
    pages["README.md"] = index_page(rows, system)
    return pages


def index_page(rows: list[str], system: str) -> str:
    """Return docs/prompts/README.md."""
    return f"""# What a model is asked

The prompts of [reasoner/prompts](../../reasoner/prompts) rendered for one real run of the example
`{EXAMPLE}`: two traces, six steps, solved by the embedded expert, so evidence, history and memory
are real. One step fails on purpose, so that there is something to repair. The run is recorded in
[evals/data/prompt_run.json](../../evals/data/prompt_run.json) (`python -m tools.prompt_record`
records it again). Two more runs show a task of pictures and one of texts, which
evals/harness/file_tasks.py writes. `python -m tools.prompts_docs` renders these pages, and
`python -m tools.prompt_sizes` shows that prompts stay flat over hundreds of steps, and
[what a step costs](../results/prompts.md) is measured by `python -m tools.prompt_costs`.

Version of the prompts: `{prompt_hash()}` (in `run.json` of every run with a model).

| page | what | tokens, about |
|---|---|---|
| [system](system.md) | the same for every verb of the loop | {n_tokens(system):,} |
""" + "".join(f"{row}\n" for row in rows)


def main() -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    for name, text in prompt_pages().items():
        (DOCS / name).write_text(text)
    print(f"wrote {len(prompt_pages())} pages to {DOCS}")


if __name__ == "__main__":
    main()
