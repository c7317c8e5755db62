"""Settings of trust: how much evidence a score needs before it counts."""

from __future__ import annotations

from settings.field import SettingsGroup, setting


class TrustSettings(SettingsGroup):
    """Trust: folds, acceptance, audit, review and the final choice."""

    seed: int = setting(
        0, "Seed of folds, audit rows and tie-breaks.", scope="task", flag="N", ge=0
    )
    n_folds: int | None = setting(
        None,
        "Folds of the cross-validation; empty: as task.yaml says, else 5.",
        scope="data",
        ge=2,
        le=20,
    )
    accept_z: float = setting(
        1.15,
        "Accept an attempt only when its paired improvement exceeds this many standard errors, and"
        " the run's bar (false_accepts); reject it when it is worse by as many (docs/trust.md).",
        scope="task",
        ge=0,
    )
    false_accepts: float = setting(
        0.1,
        "Probability with which a run without any real improvement accepts at least one: the bar"
        " rises with the number tried (docs/trust.md). 0: `accept_z` alone is the bar.",
        scope="task",
        ge=0,
        le=0.5,
    )
    step_p: float = setting(
        0.7,
        "A tie that improves the best with this probability is the start of the trace's next step;"
        " several are accepted together once their sum passes the bar. 1: none is.",
        scope="task",
        ge=0.5,
        le=1,
    )
    surrogate: bool = setting(
        True,
        "Where the metric wants labels, an order of classes or rounded values, scripts may write"
        " probabilities (or values): the harness makes the labels, and a proper loss with more"
        " power judges, with the metric as guard (docs/trust.md).",
        scope="data",
    )
    confirm: bool = setting(
        True,
        "Measure a difference near the bar again with another seed, and one of cheap scripts before"
        " they are stepped on (for scripts that read GOME_SEED).",
        scope="task",
    )
    audit: bool = setting(
        True,
        "Hold back hidden audit rows when there are enough training rows.",
        scope="data",
    )
    audit_bits: int = setting(
        20,
        "Answers that the audit rows give during a run, one bit each; later ones are not asked.",
        scope="task",
        ge=0,
    )
    check_labels: bool = setting(
        True,
        "Where no audit rows can tell, run a script whose score is far better than a plain model's"
        " once more with the labels of one fold shuffled, and refuse it if its predictions follow"
        " them (docs/trust.md).",
        scope="run",
    )
    review: bool = setting(
        True,
        "A model reads the scripts whose gates are in doubt and the one that is to be handed over,"
        " each once, for leaks and for evaluation that differs from the task. Where no audit rows"
        " can measure it, a finding that quotes the code is sent back once for repair, or lets the"
        " next finalist go first; elsewhere it is noted.",
        scope="run",
    )
    top_k: int = setting(
        3,
        "Solutions compared in the finale, including the best of every leading trace.",
        scope="task",
        ge=1,
        le=20,
    )
    final_seeds: int = setting(
        3, "Seeds with which the finale runs each of them.", scope="task", ge=1, le=20
    )
    caution: float = setting(
        1.0,
        "The finale chooses by the mean score minus this many standard errors over seeds.",
        scope="task",
        ge=0,
    )
    average_seeds: int = setting(
        3,
        "What is handed over is averaged over so many seeds, as far as time and executions are left"
        " (for scripts that read GOME_SEED), unless its out-of-fold predictions say that this"
        " harms. 1: none.",
        scope="task",
        ge=1,
        le=20,
    )
