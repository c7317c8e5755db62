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
        "Accept an attempt when its paired improvement exceeds this many standard errors"
        " (docs/design.md).",
        scope="task",
        ge=0,
    )
    confirm: bool = setting(
        True,
        "Measure a doubtful difference again with another seed (for scripts that read GOME_SEED).",
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
