"""Every default of a run, in one frozen class.  It is also the graph's context schema, so Studio draws a form from it."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

SEARCH = {
    "traces": 1,
    "memory": "off",
    "sharing": False,
    "patience": 1_000,
    "ensemble": False,
}  # a tree searches alone
PRESETS: dict[str, dict[str, Any]] = {
    "gome": {"policy": "gome", "ranking": "paper", "traces": 4, "ensemble": False},
    "adaptive": {"policy": "adaptive", "ranking": "momentum"},
    "tree": {"policy": "tree", **SEARCH},
    "mcts": {"policy": "mcts", **SEARCH},
    "random": {"policy": "random", **SEARCH},
}


class Settings(BaseModel):
    """The knobs of a run. Stored resolved in run.json; a resumed run reads them from there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    preset: Literal["", "gome", "adaptive", "tree", "mcts", "random"] = Field(
        "",
        title="Preset",
        description="several settings at once, each of which may still be given: `gome` as published, `adaptive`, "
        "`tree` (AIDE's greedy search), `mcts` (UCT), `random` (best of N drafts)",
    )
    traces: int = Field(
        2,
        ge=1,
        le=64,
        title="Traces",
        description="parallel traces, each with its own best solution and history",
    )
    steps: int = Field(
        8,
        ge=1,
        le=100_000,
        title="Steps",
        description="attempts per trace, the draft included, repairs not",
    )
    time_s: float = Field(
        3600,
        gt=0,
        title="Time",
        description="wall time of the whole run in seconds, resumes included",
    )
    merge_every: int = Field(
        1, ge=1, title="Merge every", description="steps a trace runs before it meets the others"
    )
    seed: int = Field(
        0, ge=0, title="Seed", description="seed of folds, audit rows and every tie-break"
    )

    policy: Literal["gome", "adaptive", "tree", "mcts", "random"] = Field(
        "gome",
        title="Policy",
        description="which step next, from which solution (docs/design.md); `gome`: always along the gradient",
    )

    model: list[str] = Field(
        default_factory=list,
        title="Model",
        description="empty: the embedded expert. `gpt-x`: that model of the OpenAI-compatible endpoint. "
        "`verb=model` serves one verb (draft, diagnose, update, repair, review)",
    )
    base_url: str | None = Field(
        None,
        title="Endpoint",
        description="base URL of the endpoint; empty: OPENAI_BASE_URL or OpenAI's own",
    )
    key_env: str = Field(
        "OPENAI_API_KEY",
        pattern=r"^[A-Z_][A-Z0-9_]{0,63}$",
        description="name of the environment variable that holds the API key",
    )
    fallback: str | None = Field(
        None, title="Fallback", description="model that is asked where the one of a verb fails"
    )
    temperature: float | None = Field(
        None, ge=0, le=2, description="sent only if given; newer models refuse it"
    )
    reasoning_effort: str | None = Field(
        None,
        max_length=20,
        description="sent only if given: minimal, low, medium, high, as the model knows",
    )
    max_output_tokens: int | None = Field(
        None, ge=256, description="limit of one answer, sent only if given"
    )
    extra_body: dict[str, Any] = Field(
        default_factory=dict,
        description='more fields of a request, as JSON, for servers that want them: {"provider": {"sort": "price"}}',
    )
    stream: bool = Field(
        True, description="receive answers as a stream, which keeps proxies from cutting long ones"
    )
    answer_time_s: float = Field(600, gt=0, description="limit of one answer, seconds")
    retries: int = Field(
        6,
        ge=0,
        le=100,
        description="times that a failing endpoint is asked again, with growing pauses",
    )
    backoff_s: float = Field(
        2.0,
        ge=0,
        le=60,
        description="first pause before asking again, seconds; it doubles each time, up to a minute",
    )
    max_unanswered: int = Field(
        6,
        ge=1,
        description="steps in a row without a usable answer, after which the run pauses, resumable",
    )
    prices: str | None = Field(
        None, description="YAML file with prices of models; empty: the table that comes with Gome"
    )
    cache: str | None = Field(
        None,
        description="folder in which answers are kept and found again, for replays; empty: none",
    )
    max_usd: float | None = Field(
        None, gt=0, description="stop when models and rented sandboxes have cost this many dollars"
    )
    max_tokens: int | None = Field(
        None, gt=0, description="stop when the models have read and written this many tokens"
    )
    review: bool = Field(
        True,
        title="Review",
        description="a model reads every script that would become a trace's best, for leaks and for evaluation alone; "
        "what it can quote from the code goes back once for repair where no audit rows can measure it, and is noted otherwise",
    )
    max_repairs: int = Field(
        2,
        ge=0,
        le=10,
        description="repairs of a script that failed, before the attempt is given up",
    )
    max_failures: int = Field(
        6,
        ge=1,
        description="steps of one trace without a valid script in a row, before the trace is given up",
    )

    sandbox: Literal["local", "e2b", "ray"] = Field(
        "local", title="Sandbox", description="where scripts run"
    )
    isolation: Literal["auto", "bubblewrap", "userns", "landlock", "none"] = Field(
        "auto",
        title="Isolation",
        description="tier of the local sandbox (docs/sandbox.md); `none` runs scripts with your own rights",
    )
    network: bool = Field(
        False,
        title="Network",
        description="let scripts reach the network; closed unless you ask for it",
    )
    e2b_template: str | None = Field(
        None,
        description="E2B template; empty: E2B's code interpreter (scikit-learn, no boosting libraries)",
    )
    e2b_usd_per_hour: float = Field(
        0.1332,
        ge=0,
        description="price of one running E2B sandbox; the default is that of 2 cores and 2 GiB (docs/sandbox-backends.md)",
    )
    e2b_life_s: int = Field(
        3600,
        ge=60,
        description="longest life of one E2B sandbox in your plan, seconds; 86400 on Pro",
    )
    ray_address: str | None = Field(
        None,
        description="head of the Ray cluster, host:port or ray://host:port; empty: RAY_ADDRESS, else this machine's",
    )
    slots: int = Field(
        0,
        ge=0,
        description="scripts that run at one time; 0: as many as traces, here at most the cores",
    )
    run_time_s: float = Field(600, gt=0, description="wall limit of one script, seconds")
    run_cpus: int = Field(
        0, ge=0, description="cores of one script; 0: what is there, shared out among the slots"
    )
    run_memory_bytes: int = Field(4 * 2**30, gt=0, description="memory limit of one script, bytes")
    gpus: str = Field("auto", description="auto | none | indices such as 0,1")
    warm_start: bool = Field(
        False,
        description="one interpreter per trace that has imported pandas, scikit-learn and lightgbm already (docs/sandbox.md); for short scripts",
    )

    draft_share: float = Field(
        0.1, ge=0, le=0.9, description="at most this share of the budget goes into first drafts"
    )
    max_executions: int | None = Field(
        None,
        ge=1,
        description="stop when so many scripts have been run, those of the finale included",
    )

    accept_z: float = Field(
        1.15,
        ge=0,
        description="an attempt is accepted when its paired improvement exceeds this many standard errors (docs/design.md)",
    )
    confirm: bool = Field(
        True,
        description="a difference that is in doubt is measured again under another seed (scripts that read GOME_SEED)",
    )
    audit: bool = Field(
        True, description="hold back hidden audit rows when there are enough training rows"
    )
    audit_bits: int = Field(
        20,
        ge=0,
        description="answers that the audit rows give during a run, one bit each; then they are asked no more",
    )
    n_folds: int | None = Field(
        None, ge=2, le=20, description="folds; empty: as the task says, else 5"
    )
    patience: int = Field(
        3,
        ge=1,
        description="merges without an accepted attempt after which a trace counts as stuck and is rescued",
    )
    target: float | None = Field(None, description="stop when the best score reaches this value")
    finalize_share: float = Field(
        0.1, ge=0, le=0.5, description="share of time and executions kept for the finale"
    )
    top_k: int = Field(
        3,
        ge=1,
        le=20,
        description="solutions that the finale compares, the best of every leading trace among them",
    )
    final_seeds: int = Field(3, ge=1, le=20, description="seeds under which it runs each of them")
    caution: float = Field(
        1.0,
        ge=0,
        description="the finale chooses by mean score less this many standard errors over seeds",
    )

    ensemble: bool = Field(
        True,
        title="Ensemble",
        description="blend the accepted solutions of all traces at every merge; a candidate for the best",
    )

    steer: Literal["never", "stuck", "each"] = Field(
        "never",
        title="Steer",
        description="when the run asks a person after a merge: never, when a trace is stuck, or each time; it waits",
    )
    checkpoint: str = Field(
        "",
        title="Checkpoint",
        description="postgresql://user@host:port/database; empty: SQLite in the run folder. Passwords are not kept",
    )

    memory: str = Field(
        "~/.gome/memory",
        title="Memory",
        description="folder of the success memory, http://host:port of a Chroma server, or off",
    )
    embedding: str = Field(
        "lexical",
        pattern=r"^(lexical|openai:[^@\s]+(@https?://\S+)?)$",
        description="of the memory's texts: lexical (offline), or openai:MODEL[@BASE_URL]; records of two embeddings are never compared",
    )
    ranking: Literal["momentum", "similarity", "paper"] = Field(
        "momentum",
        description="of recalled records: momentum (docs/memory.md), plain similarity, or the published formula",
    )
    sharing: bool = Field(
        True,
        description="traces are told what the others measured and run on this task, also with the memory off",
    )
    evaluation: bool = Field(
        False, description="ignore what the memory knows of this very task from earlier runs"
    )
    otel: bool = Field(
        False,
        title="OpenTelemetry",
        description="spans of run, rounds, steps and verbs go where OTEL_EXPORTER_OTLP_ENDPOINT says (extra `otel`)",
    )
    runs_dir: str = Field("runs", description="where run folders are made")

    @model_validator(mode="before")
    @classmethod
    def resolve(cls, given: Any) -> Any:
        """What the preset says, where nothing else was given: run.json holds the resolved values."""
        return (
            {**PRESETS.get(given.get("preset") or "", {}), **given}
            if isinstance(given, dict)
            else given
        )

    @field_serializer("checkpoint")
    def _without_password(self, url: str) -> str:
        """What is written into run.json and events never holds the password."""
        return without_password(url)


def without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None:
        return url
    place = f"{parts.username or ''}@{parts.hostname or ''}" + (
        f":{parts.port}" if parts.port else ""
    )
    return parts._replace(netloc=place).geturl()
