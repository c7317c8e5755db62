"""docs/prompts: what a model is asked at steps 1 and 5 of a real run, rendered from the recorded briefs (evals/data/prompt_run.json).

python -m tools.prompts_docs       # writes docs/prompts/*.md; deterministic
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from reasoner.chat.prompt.render import messages, prompt_hash
from reasoner.chat.prompt.text import n_tokens
from reasoner.protocol import Brief, ReviewBrief
from tools.prompt_record import BRIEFS, EXAMPLE, recorded

DOCS = Path(__file__).parent.parent / "docs" / "prompts"
SHOWN = {
    "draft": ("t1s0 draft", "the first script of trace 1, told what trace 0 does"),
    "diagnose-step1": ("t0s1 diagnose", "trace 0 after its first script"),
    "update-step1": ("t0s1 update", "its first step"),
    "repair-step3": (
        "t0s3 repair",
        "a script that failed (its file name was made wrong on purpose)",
    ),
    "diagnose-step5": ("t0s5 diagnose", "trace 0 after five steps"),
    "update-step5": ("t0s5 update", "its sixth attempt, with memory and history"),
}


def briefs() -> dict[str, tuple[str, Brief, str]]:
    """name -> (verb, brief, what it is)."""
    kept = recorded()["briefs"]
    found: dict[str, tuple[str, Brief, str]] = {}
    for name, (key, what) in SHOWN.items():
        verb = key.rpartition(" ")[2]
        found[name] = (verb, BRIEFS[verb].model_validate(kept[key]), what)
    found["review-step5"] = (
        "review",
        review(kept),
        "the best script of trace 0 at step 5 against its first",
    )
    return found


def review(kept: dict[str, Any]) -> ReviewBrief:
    """The review of the script at step 5, against the script at step 1."""
    first, last = kept["t0s1 update"], kept["t0s5 update"]
    diff = "\n".join(
        list(
            difflib.unified_diff(
                first["script"].splitlines(), last["script"].splitlines(), lineterm="", n=2
            )
        )[2:]
    )
    return ReviewBrief.model_validate({**last, "diff": diff})


def pages() -> dict[str, str]:
    """File name -> text."""
    found, rows = {}, []
    system = ""
    for name, (verb, brief, what) in briefs().items():
        first, second = messages(verb, brief)
        system = first["content"]
        found[f"{name}.md"] = f"<!-- user message of `{verb}`: {what} -->\n\n{second['content']}"
        rows.append(f"| [{name}]({name}.md) | {what} | {n_tokens(second['content']):,} |")
    found["system.md"] = f"<!-- system message of every verb -->\n\n{system}"
    found["README.md"] = readme(rows, system)
    return found


def readme(rows: list[str], system: str) -> str:
    return "\n".join(
        [
            "# What a model is asked",
            "",
            f"The prompts of [reasoner/prompts](../../reasoner/prompts) rendered for one real run of the example `{EXAMPLE}`: two traces, six steps, the",
            "embedded expert at the wheel, so evidence, history and memory are real. One step was made to fail, so that there is something to repair.",
            "The run is recorded in [evals/data/prompt_run.json](../../evals/data/prompt_run.json) (`python -m tools.prompt_record` records it anew);",
            "`python -m tools.prompts_docs` renders these pages, `python -m tools.prompt_sizes` shows that prompts stay flat over hundreds of steps.",
            "",
            f"Version of the prompts: `{prompt_hash()}` (stands in `run.json` of every run with a model).",
            "",
            "| page | what | tokens, about |",
            "|---|---|---|",
            f"| [system](system.md) | the same for every verb | {n_tokens(system):,} |",
            *rows,
            "",
        ]
    )


def main() -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text)
    print(f"wrote {len(pages())} pages to {DOCS}")


if __name__ == "__main__":
    main()
