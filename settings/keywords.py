"""The keywords of `gome.solve`. Written by `make reference`; change the fields, not this file."""

from __future__ import annotations

from typing import Any, Literal, TypedDict


class SettingsKeywords(TypedDict, total=False):
    """Every setting of a run, by its name."""

    preset: Literal["", "gome", "adaptive", "tree", "mcts", "random"]
    """Sets several settings at once; an explicitly given setting takes precedence. The
    published method, the adaptive policy, AIDE's greedy tree search, UCT, or best of N
    drafts."""
    traces: int
    """Parallel traces, each with its own best solution and history."""
    remeasure: bool
    """In the last fifth of the budget, a step runs the trace's best, and then its rival, under
    a second seed where their scores differ by less than noise; a reasoner may choose so at
    any time (for scripts that read GOME_SEED)."""
    merge_every: int
    """Steps that a trace makes between two merges; with `ahead`, the fewest."""
    ahead: int
    """Further steps that a trace takes in a round while others still run, instead of waiting
    for them at the merge; 0, or steer=each: every trace waits."""
    deal: Literal["promise", "turns"]
    """How executions are dealt. promise: several first drafts, of whose lines fewer go on with
    every part of the budget used; a trace whose line does not, moves to the best at once.
    turns: one line per trace, equal turns, and a move only when stuck."""
    patience: int
    """Merges without an accepted attempt after which a trace counts as stuck and is rescued."""
    variants: int
    """Line search: a script may write up to so many pairs oof-NAME.csv and submission-
    NAME.csv, settings of one change; each is graded, the best speaks for it and pays for
    having been chosen (docs/trust.md). 0: the plain pair only."""
    sharing: bool
    """Traces see what the others measured and are running on this task, even without a memory."""
    ensemble: bool
    """Blend the valid solutions of all traces at every merge, as a candidate for the best."""
    blend_pool: Literal["valid", "accepted"]
    """What a blend may choose from: every valid attempt, ties and honest rejections included,
    or only those that a trace went on from."""
    reuse: bool
    """Scripts may read what valid earlier attempts of all traces predicted and kept, below
    `input/attempts/` (docs/script-contract.md). The final fit runs the whole chain."""
    reuse_attempts: int
    """Earlier scripts that one script may build on, those that they build on included."""
    keep_bytes: int
    """What one script may leave in `keep/` for later ones, 50 files at most; 0: nothing is
    kept. A run keeps 16 times as much."""
    steps: int
    """Attempts per trace, including the draft but not repairs."""
    time_s: float | str
    """Wall time of the whole run, resumed sessions included; 90, 30m or 12h."""
    max_executions: int | None
    """Stop after this many executed scripts, further seeds and those of the finale included.
    The fits of what is handed over on all rows are not counted: they bring no score, and
    without them the held-back rows would be lost."""
    draft_share: float
    """Largest share of the budget that first drafts may use."""
    finalize_share: float
    """Share of time and executions reserved for the finale."""
    probes: int
    """Looks at the data by short scripts of a model, whose output it then knows: one before
    the first draft, others where a diagnosis asks; at most 5 % of the time. 0: none."""
    max_repairs: int
    """Repairs of a failed script before the attempt is abandoned."""
    max_failures: int
    """Consecutive steps without a valid script before a trace is abandoned."""
    seed: int
    """Seed of folds, audit rows and tie-breaks."""
    n_folds: int | None
    """Folds of the cross-validation; empty: as task.yaml says, else 5."""
    accept_z: float
    """Accept an attempt only when its paired improvement exceeds this many standard errors,
    and the run's bar (false_accepts); reject it when it is worse by as many
    (docs/trust.md)."""
    false_accepts: float
    """Probability with which a run without any real improvement accepts at least one: the bar
    rises with the number tried (docs/trust.md). 0: `accept_z` alone is the bar."""
    step_p: float
    """A tie that improves the best with this probability is the start of the trace's next
    step; several are accepted together once their sum passes the bar. 1: none is."""
    surrogate: bool
    """Where the metric wants labels, an order of classes or rounded values, scripts may write
    probabilities (or values): the harness makes the labels, and a proper loss with more
    power judges, with the metric as guard (docs/trust.md)."""
    confirm: bool
    """Measure a difference near the bar again with another seed, and one of cheap scripts
    before they are stepped on (for scripts that read GOME_SEED)."""
    audit: bool
    """Hold back hidden audit rows when there are enough training rows."""
    audit_bits: int
    """Answers that the audit rows give during a run, one bit each; later ones are not asked."""
    check_labels: bool
    """Where no audit rows can tell, run a script whose score is far better than a plain
    model's once more with the labels of one fold shuffled, and refuse it if its predictions
    follow them (docs/trust.md)."""
    review: bool
    """A model reads the scripts whose gates are in doubt and the one that is to be handed
    over, each once, for leaks and for evaluation that differs from the task. Where no audit
    rows can measure it, a finding that quotes the code is sent back once for repair, or
    lets the next finalist go first; elsewhere it is noted."""
    top_k: int
    """Solutions compared in the finale, including the best of every leading trace."""
    final_seeds: int
    """Seeds with which the finale runs each of them."""
    caution: float
    """The finale chooses by the mean score minus this many standard errors over seeds."""
    average_seeds: int
    """What is handed over is averaged over so many seeds, as far as time and executions are
    left (for scripts that read GOME_SEED), unless its out-of-fold predictions say that this
    harms. 1: none."""
    model: list[str] | str
    """Model of the OpenAI-compatible endpoint, or verb=model for one verb (draft, diagnose,
    update, repair, review, probe, write); empty: the embedded expert."""
    calls: Literal["one", "two"]
    """Calls per step: one (the diagnosis comes with the complete change for the hypothesis
    that it would take; a short second call in the same conversation only where another one
    is chosen or an edit does not apply), or two (a diagnosis, then the change). With models
    of their own for diagnose and update there are always two."""
    base_url: str | None
    """Base URL of the endpoint; empty: OPENAI_BASE_URL, else OpenAI's own."""
    key_env: str
    """Name of the environment variable that contains the API key."""
    fallback: str | None
    """Model to ask when the model of a verb fails."""
    max_usd: float | None
    """Stop when models and rented sandboxes have cost this much."""
    max_tokens: int | None
    """Stop when the models have read and written this many tokens."""
    temperature: float | None
    """Sent only if set; newer models refuse it."""
    reasoning_effort: str | None
    """Sent only if set: minimal, low, medium, high, or what the model knows."""
    max_output_tokens: int | None
    """Limit of one answer, sent only if set."""
    extra_body: dict[str, Any]
    """More fields of a request, as JSON, for servers that need them: {'provider': {'sort':
    'price'}}"""
    stream: bool
    """Receive answers as a stream, which keeps proxies from cutting off long ones."""
    answer_time_s: float | str
    """Time limit of one answer."""
    retries: int
    """How often a failing request is repeated, with growing pauses."""
    backoff_s: float | str
    """Pause before the first retry; it doubles each time, up to a minute."""
    max_unanswered: int
    """Consecutive steps without a usable answer after which the run pauses, resumable."""
    transcripts: bool
    """Keep the prompt and the answer of every call in the run folder, for `gome show --calls`
    and the report. They quote rows of the task, never a key."""
    prices: str | None
    """YAML file with prices of models; empty: the table included in Gome."""
    cache: str | None
    """Folder in which answers are stored and looked up, for replays; empty: none."""
    sandbox: Literal["local", "e2b", "ray"]
    """Where scripts run."""
    ray_address: str | None
    """Head of the Ray cluster, host:port or ray://host:port; empty: RAY_ADDRESS, else a
    cluster on this machine."""
    python: str | None
    """Python that runs the scripts: an interpreter, the folder of an environment, or the name
    of one made by `gome env`; empty: Gome's own."""
    isolation: Literal["auto", "bubblewrap", "userns", "landlock", "none"]
    """Isolation tier of the local sandbox (docs/sandbox.md); none runs scripts with your own
    rights."""
    gpus: str
    """GPUs that scripts may lease: auto, none, or indices such as 0,1."""
    network: bool
    """Let scripts reach the network."""
    slots: int
    """Scripts that run at the same time; 0: as many as traces, locally at most the cores."""
    run_time_s: float | Literal["auto"] | str
    """Wall limit of one script; auto: a share of the time that the run has left."""
    rehearse_s: float | str
    """A script that is expected to run longer than this first runs on a small sample of the
    rows; 0: never."""
    run_cpus: int
    """Cores of one script; 0: the available ones, divided among the slots."""
    run_memory_bytes: int | Literal["auto"]
    """Memory limit of one script; auto: its share of the machine's memory."""
    e2b_template: str | None
    """E2B template; empty: E2B's code interpreter (scikit-learn, no boosting libraries)."""
    e2b_usd_per_hour: float
    """Price of one running E2B sandbox per hour; the default is that of 2 cores and 2 GiB
    (docs/sandbox-backends.md)."""
    e2b_life_s: int | str
    """Longest life of one E2B sandbox in your plan; 86400 on Pro."""
    memory: str
    """Folder of the success memory, http://host:port of a Chroma server, or off."""
    embedding: str
    """Embedding of the memory's texts: auto (MiniLM where its weights are here or can be
    fetched, else lexical), lexical (offline), minilm, sentence-transformers:NAME_OR_PATH or
    openai:MODEL[@BASE_URL]. Records of different embeddings are never compared."""
    recipes: str
    """Folder of recipes beside Gome's own (`gome recipes add`), or off: no recipes in prompts."""
    ranking: Literal["momentum", "paper"]
    """Ranking of recalled records: momentum (docs/memory.md), or the published formula."""
    evaluation: bool
    """Ignore what the memory knows about this very task from earlier runs."""
    steer: Literal["never", "stuck", "each"]
    """Wait for your answer after a merge: never, when a trace is stuck, or after each."""
    checkpoint: str
    """postgresql://user@host:port/database; empty: SQLite in the run folder. A password is
    never stored."""
    otel: bool
    """Send OpenTelemetry spans of run, rounds, steps and verbs to OTEL_EXPORTER_OTLP_ENDPOINT
    (extra otel)."""
    track: Literal["", "mlflow", "wandb"]
    """Record the run, its attempts, scores and best/ in an experiment tracker: mlflow or wandb
    (extras of these names)."""
    runs_dir: str
    """Folder that contains the run folders."""


SETTINGS_TEXT = """\
        The search
            preset: Sets several settings at once; an explicitly given setting takes
                precedence. The published method, the adaptive policy, AIDE's greedy
                tree search, UCT, or best of N drafts. one of gome, adaptive, tree,
                mcts, random; default ''.
            traces: Parallel traces, each with its own best solution and history. a
                whole number from 1 to 64; default 2.
            policy: Chooses the next step and the solution it starts from
                (docs/design.md); gome always follows the gradient. one of gome,
                adaptive, tree, mcts, random; default 'gome'.
            remeasure: In the last fifth of the budget, a step runs the trace's best,
                and then its rival, under a second seed where their scores differ by
                less than noise; a reasoner may choose so at any time (for scripts that
                read GOME_SEED). true or false; default False.
            merge_every: Steps that a trace makes between two merges; with `ahead`, the
                fewest. a whole number of at least 1; default 1.
            ahead: Further steps that a trace takes in a round while others still run,
                instead of waiting for them at the merge; 0, or steer=each: every trace
                waits. a whole number from 0 to 1000; default 6.
            deal: How executions are dealt. promise: several first drafts, of whose
                lines fewer go on with every part of the budget used; a trace whose line
                does not, moves to the best at once. turns: one line per trace, equal
                turns, and a move only when stuck. one of promise, turns; default
                'promise'.
            patience: Merges without an accepted attempt after which a trace counts as
                stuck and is rescued. a whole number of at least 1; default 3.
            variants: Line search: a script may write up to so many pairs oof-NAME.csv
                and submission-NAME.csv, settings of one change; each is graded, the
                best speaks for it and pays for having been chosen (docs/trust.md). 0:
                the plain pair only. a whole number from 0 to 8; default 8.
            sharing: Traces see what the others measured and are running on this task,
                even without a memory. true or false; default True.
            ensemble: Blend the valid solutions of all traces at every merge, as a
                candidate for the best. true or false; default True.
            blend_pool: What a blend may choose from: every valid attempt, ties and
                honest rejections included, or only those that a trace went on from. one
                of valid, accepted; default 'valid'.
            reuse: Scripts may read what valid earlier attempts of all traces predicted
                and kept, below `input/attempts/` (docs/script-contract.md). The final
                fit runs the whole chain. true or false; default True.
            reuse_attempts: Earlier scripts that one script may build on, those that
                they build on included. a whole number from 1 to 60; default 16.
            keep_bytes: What one script may leave in `keep/` for later ones, 50 files at
                most; 0: nothing is kept. A run keeps 16 times as much. a whole number
                from 0 to 1073741824; default 268435456.

        The budget
            steps: Attempts per trace, including the draft but not repairs. a whole
                number from 1 to 100000; default 8.
            time_s: Wall time of the whole run, resumed sessions included; 90, 30m or
                12h. a number above 0; default 3600.
            max_executions: Stop after this many executed scripts, further seeds and
                those of the finale included. The fits of what is handed over on all
                rows are not counted: they bring no score, and without them the held-
                back rows would be lost. a whole number of at least 1; default None.
            target: Stop when the best score reaches this value. a number; default None.
            draft_share: Largest share of the budget that first drafts may use. a number
                from 0 to 0.9; default 0.1.
            finalize_share: Share of time and executions reserved for the finale. a
                number from 0 to 0.5; default 0.1.
            probes: Looks at the data by short scripts of a model, whose output it then
                knows: one before the first draft, others where a diagnosis asks; at
                most 5 % of the time. 0: none. a whole number from 0 to 50; default 4.
            max_repairs: Repairs of a failed script before the attempt is abandoned. a
                whole number from 0 to 10; default 2.
            max_failures: Consecutive steps without a valid script before a trace is
                abandoned. a whole number of at least 1; default 6.

        Trust
            seed: Seed of folds, audit rows and tie-breaks. a whole number of at least
                0; default 0.
            n_folds: Folds of the cross-validation; empty: as task.yaml says, else 5. a
                whole number from 2 to 20; default None.
            accept_z: Accept an attempt only when its paired improvement exceeds this
                many standard errors, and the run's bar (false_accepts); reject it when
                it is worse by as many (docs/trust.md). a number of at least 0; default
                1.15.
            false_accepts: Probability with which a run without any real improvement
                accepts at least one: the bar rises with the number tried
                (docs/trust.md). 0: `accept_z` alone is the bar. a number from 0 to 0.5;
                default 0.1.
            step_p: A tie that improves the best with this probability is the start of
                the trace's next step; several are accepted together once their sum
                passes the bar. 1: none is. a number from 0.5 to 1; default 0.7.
            surrogate: Where the metric wants labels, an order of classes or rounded
                values, scripts may write probabilities (or values): the harness makes
                the labels, and a proper loss with more power judges, with the metric as
                guard (docs/trust.md). true or false; default True.
            confirm: Measure a difference near the bar again with another seed, and one
                of cheap scripts before they are stepped on (for scripts that read
                GOME_SEED). true or false; default True.
            audit: Hold back hidden audit rows when there are enough training rows. true
                or false; default True.
            audit_bits: Answers that the audit rows give during a run, one bit each;
                later ones are not asked. a whole number of at least 0; default 20.
            check_labels: Where no audit rows can tell, run a script whose score is far
                better than a plain model's once more with the labels of one fold
                shuffled, and refuse it if its predictions follow them (docs/trust.md).
                true or false; default True.
            review: A model reads the scripts whose gates are in doubt and the one that
                is to be handed over, each once, for leaks and for evaluation that
                differs from the task. Where no audit rows can measure it, a finding
                that quotes the code is sent back once for repair, or lets the next
                finalist go first; elsewhere it is noted. true or false; default True.
            top_k: Solutions compared in the finale, including the best of every leading
                trace. a whole number from 1 to 20; default 3.
            final_seeds: Seeds with which the finale runs each of them. a whole number
                from 1 to 20; default 3.
            caution: The finale chooses by the mean score minus this many standard
                errors over seeds. a number of at least 0; default 1.0.
            average_seeds: What is handed over is averaged over so many seeds, as far as
                time and executions are left (for scripts that read GOME_SEED), unless
                its out-of-fold predictions say that this harms. 1: none. a whole number
                from 1 to 20; default 3.

        Models
            model: Model of the OpenAI-compatible endpoint, or verb=model for one verb
                (draft, diagnose, update, repair, review, probe, write); empty: the
                embedded expert. a list of texts; default [].
            calls: Calls per step: one (the diagnosis comes with the complete change for
                the hypothesis that it would take; a short second call in the same
                conversation only where another one is chosen or an edit does not
                apply), or two (a diagnosis, then the change). With models of their own
                for diagnose and update there are always two. one of one, two; default
                'one'.
            base_url: Base URL of the endpoint; empty: OPENAI_BASE_URL, else OpenAI's
                own. a text; default None.
            key_env: Name of the environment variable that contains the API key. a text
                that matches ^[A-Z_][A-Z0-9_]{0,63}$; default 'OPENAI_API_KEY'.
            fallback: Model to ask when the model of a verb fails. a text; default None.
            max_usd: Stop when models and rented sandboxes have cost this much. a number
                above 0; default None.
            max_tokens: Stop when the models have read and written this many tokens. a
                whole number above 0; default None.
            temperature: Sent only if set; newer models refuse it. a number from 0 to 2;
                default None.
            reasoning_effort: Sent only if set: minimal, low, medium, high, or what the
                model knows. a text of at most 20 characters; default None.
            max_output_tokens: Limit of one answer, sent only if set. a whole number of
                at least 256; default None.
            extra_body: More fields of a request, as JSON, for servers that need them:
                {"provider": {"sort": "price"}} a JSON object; default {}.
            stream: Receive answers as a stream, which keeps proxies from cutting off
                long ones. true or false; default True.
            answer_time_s: Time limit of one answer. a number above 0; default 600.
            retries: How often a failing request is repeated, with growing pauses. a
                whole number from 0 to 100; default 6.
            backoff_s: Pause before the first retry; it doubles each time, up to a
                minute. a number from 0 to 60; default 2.0.
            max_unanswered: Consecutive steps without a usable answer after which the
                run pauses, resumable. a whole number of at least 1; default 6.
            transcripts: Keep the prompt and the answer of every call in the run folder,
                for `gome show --calls` and the report. They quote rows of the task,
                never a key. true or false; default True.
            prices: YAML file with prices of models; empty: the table included in Gome.
                a text; default None.
            cache: Folder in which answers are stored and looked up, for replays; empty:
                none. a text; default None.

        The sandbox
            sandbox: Where scripts run. one of local, e2b, ray; default 'local'.
            ray_address: Head of the Ray cluster, host:port or ray://host:port; empty:
                RAY_ADDRESS, else a cluster on this machine. a text; default None.
            python: Python that runs the scripts: an interpreter, the folder of an
                environment, or the name of one made by `gome env`; empty: Gome's own. a
                text; default None.
            isolation: Isolation tier of the local sandbox (docs/sandbox.md); none runs
                scripts with your own rights. one of auto, bubblewrap, userns, landlock,
                none; default 'auto'.
            gpus: GPUs that scripts may lease: auto, none, or indices such as 0,1. a
                text; default 'auto'.
            network: Let scripts reach the network. true or false; default False.
            slots: Scripts that run at the same time; 0: as many as traces, locally at
                most the cores. a whole number of at least 0; default 0.
            run_time_s: Wall limit of one script; auto: a share of the time that the run
                has left. auto, or a number above 0; default 'auto'.
            rehearse_s: A script that is expected to run longer than this first runs on
                a small sample of the rows; 0: never. a number of at least 0; default
                120.
            run_cpus: Cores of one script; 0: the available ones, divided among the
                slots. a whole number of at least 0; default 0.
            run_memory_bytes: Memory limit of one script; auto: its share of the
                machine's memory. auto, or a number above 0; default 'auto'.
            e2b_template: E2B template; empty: E2B's code interpreter (scikit-learn, no
                boosting libraries). a text; default None.
            e2b_usd_per_hour: Price of one running E2B sandbox per hour; the default is
                that of 2 cores and 2 GiB (docs/sandbox-backends.md). a number of at
                least 0; default 0.1332.
            e2b_life_s: Longest life of one E2B sandbox in your plan; 86400 on Pro. a
                whole number of at least 60; default 3600.

        The success memory
            memory: Folder of the success memory, http://host:port of a Chroma server,
                or off. a text; default '~/.gome/memory'.
            embedding: Embedding of the memory's texts: auto (MiniLM where its weights
                are here or can be fetched, else lexical), lexical (offline), minilm,
                sentence-transformers:NAME_OR_PATH or openai:MODEL[@BASE_URL]. Records
                of different embeddings are never compared. a text that matches
                ^(auto|lexical|minilm|sentence-
                transformers:\\S.*|openai:[^@\\s]+(@https?://\\S+)?)$; default 'auto'.
            recipes: Folder of recipes beside Gome's own (`gome recipes add`), or off:
                no recipes in prompts. a text; default '~/.gome/recipes'.
            ranking: Ranking of recalled records: momentum (docs/memory.md), or the
                published formula. one of momentum, paper; default 'momentum'.
            evaluation: Ignore what the memory knows about this very task from earlier
                runs. true or false; default False.

        Operation
            steer: Wait for your answer after a merge: never, when a trace is stuck, or
                after each. one of never, stuck, each; default 'never'.
            checkpoint: postgresql://user@host:port/database; empty: SQLite in the run
                folder. A password is never stored. a text; default ''.
            config: A task.yaml outside the task's folder, for a folder that is read-
                only. a text; default None.
            otel: Send OpenTelemetry spans of run, rounds, steps and verbs to
                OTEL_EXPORTER_OTLP_ENDPOINT (extra otel). true or false; default False.
            track: Record the run, its attempts, scores and best/ in an experiment
                tracker: mlflow or wandb (extras of these names). one of mlflow, wandb;
                default ''.
            runs_dir: Folder that contains the run folders. a text; default 'runs'.
"""
