"""The numbers on the README's first screen stand on the pages that it names."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = " ".join((ROOT / "README.md").read_text().split())


def page(name: str) -> str:
    return (ROOT / "docs" / name).read_text()


def test_ranks_are_those_of_the_final_half() -> None:
    final = page("results/suite.md").split("<!-- final: ")[1].split("<!-- final ends -->")[0]
    head = re.search(r"Mean rank on (\d+) tasks, (\d+) CPU seconds", final)
    ranks = dict(re.findall(r"(Gome|tuned by Optuna|AutoGluon)[^\d,]* (\d\.\d\d)", final))
    assert head is not None and min(ranks.values()) == ranks["Gome"]
    assert f"on {head[1]} data sets that nothing was tuned on" in README
    assert f"at {head[2]} CPU seconds each, {ranks['Gome']} against" in README
    assert f"{ranks['tuned by Optuna']} for LightGBM tuned by Optuna" in README
    assert f"{ranks['AutoGluon']} for AutoGluon" in README


def test_leaks_are_counted_over_all_kinds() -> None:
    rows = re.findall(
        r"^\w+ +(\d+) / (\d+) +(\d+) / (\d+) +(\d+) / (\d+)$",
        page("results/leaks.md"),
        re.MULTILINE,
    )
    n, right, honest = (sum(int(row[k]) for row in rows) for k in (1, 2, 4))
    assert f"{right} of {n} planted leaks are refused for the right reason" in README
    assert f"{honest} of {n} honest twins" in README


def test_noise_is_accepted_as_often_as_the_study_says() -> None:
    text = page("results/luck.md").split("## True gains")[0]
    within_24 = {
        row.split("|")[1].strip(): [float(each) for each in re.findall(r"/ ([\d.]+)% /", row)]
        for row in text.splitlines()
        if row.count("/") > 9
    }
    loop = [max(shares) for rule, shares in within_24.items() if rule.startswith("loop")]
    assert len(loop) > 1
    assert f"accepts any of them in at most {max(loop)} %" in README
    assert f"higher score, in at least {min(within_24['higher'])} %" in README


def test_kills_are_counted_as_the_log_says() -> None:
    found = re.search(
        r"with -9, (\d+) times over the lives.*?scripts run twice: (\d+)", page("log.md")
    )
    assert found is not None and found[2] == "0"
    assert f"killed {found[1]} times with `kill -9`" in README


def test_the_time_of_the_tests_is_told_in_one_way() -> None:
    times = {
        name: re.findall(r"about (\d+) minutes on 2 cores", (ROOT / name).read_text())
        for name in ("README.md", "AGENTS.md", "docs/contributing.md")
    }
    assert len({tuple(found) for found in times.values()}) == 1, times
    assert len(times["README.md"]) == 1
