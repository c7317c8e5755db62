"""The line of an execution: its variants graded, the best chosen, and what the choice costs."""

from __future__ import annotations

from graph.state import Best
from run.attempt import BEST, ExecutionRecord, Variant
from run.comparator import measured_oofs
from run.luck import UNIT, Links, best_of_bar, step_luck
from run.run import Run
from run.variants import list_pairs, variant_files
from scoring.acceptance import Judgement
from task.client import WorkerTimeoutError
from task.types import Evidence, Grade, Line, Problem, Reference, VariantEvidence

LEFT_OUT = "variants_left_out"  # code of an attempt whose files did not all count


async def grade_variants(
    run: Run,
    execution: ExecutionRecord,
    references: dict[str, Best | None],
    *,
    every_gate: bool = False,
) -> Line | None:
    """Grade the variants of an execution; None where it has no more than the plain pair."""
    if not run.settings.variants or not execution.ok:
        return None
    pairs = list_pairs(execution, run.settings.variants).files
    if not pairs or list(pairs) == ["plain"]:
        return None
    paths = {
        name: (str(run.artifacts.path(oof)), str(run.artifacts.path(submission)))
        for name, (oof, submission) in pairs.items()
    }
    try:
        line = await run.worker.grade_line(
            run.prepared,
            paths,
            {name: reference_of(run, one) for name, one in references.items() if one},
            seed=run.settings.seed,
            every_gate=every_gate,
        )
    except WorkerTimeoutError as error:
        problem = Problem(code="grading_timeout", message=f"its variants cannot be graded: {error}")
        variants = [{"name": name, "problems": [problem.model_dump()]} for name in paths]
        return Line.model_validate({"best": next(iter(paths)), "variants": variants})
    graded = Line.model_validate(line)
    luck = step_luck(run.settings.step_p, graded.size, graded.alike)
    return graded.model_copy(update={"luck": luck})


def reference_of(run: Run, best: Best) -> Reference:
    """Return the paths of the files of an earlier attempt, under every seed that was run."""
    attempt = run.attempt(best.ref)
    paths = [str(run.artifacts.path(str(ref))) for ref in (attempt.oof, attempt.submission)]
    seeds = [str(run.artifacts.path(ref)) for ref in measured_oofs(run, attempt)[1:]]
    return Reference(oof=paths[0], submission=paths[1], seeds=seeds)


def links_of(line: Line | None, name: str) -> Links:
    """Return how the luck of a line's variants hangs together against a reference."""
    return line.links.get(name, []) if line else []


def raise_z(z: float, links: Links) -> float:
    """Return the standard errors that the best of several passes as rarely as one passes z."""
    return best_of_bar(UNIT.cdf(-z), links) if links else z


def describe_left_out(line: Line | None, execution: ExecutionRecord, most: int) -> list[Problem]:
    """Return one reason that names the files and variants that do not count; empty: all do."""
    texts = list_pairs(execution, most).left_out if most else []
    for variant in line.variants if line else []:
        if variant.same_as:
            texts.append(f"{variant.name} is {variant.same_as} again, byte for byte")
        texts += [f"{variant.name}: {problem.message}" for problem in variant.problems[:1]]
    if not texts:
        return []
    return [Problem(code=LEFT_OUT, message=f"of its variants, {'; '.join(texts)[:600]}")]


def add_reasons(judgement: Judgement, more: list[Problem]) -> Judgement:
    """Return the judgement with further reasons."""
    return judgement._replace(reasons=[*judgement.reasons, *more]) if more else judgement


def line_evidence(line: Line) -> Evidence:
    """Return what a diagnosis sees of a line: every setting against its score."""
    found: list[VariantEvidence] = []
    for variant in line.variants:
        item = VariantEvidence(name=variant.name)
        if variant.score:
            item["score"] = variant.score.value
        if paired := variant.paired.get(BEST):
            item["gain"], item["se"] = paired.d, paired.se
        if variant.name == line.best:
            item["best"] = True
        if variant.same_as or variant.problems:
            item["problem"] = variant.same_as or variant.problems[0].code
        found.append(item)
    return {"line": found}


def list_variants(execution: ExecutionRecord, grade: Grade | None) -> list[Variant]:
    """Return the variants of an attempt as its record holds them."""
    variants: list[Variant] = []
    for one in grade.line.variants if grade and grade.line else []:
        oof, submission = (execution.files[name] for name in variant_files(one.name))
        paired = one.paired.get(BEST)
        variants.append(
            Variant(
                name=one.name,
                oof=oof,
                submission=submission,
                score=one.score.value if one.score else None,
                score_se=one.score.se if one.score else None,
                gain=paired.d if paired else None,
                gain_se=paired.se if paired else None,
                same_as=one.same_as,
                problems=one.problems,
            )
        )
    return variants
