"""The protocol for real models: who gets what, what is kept, what is refused, what is published."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import http.client
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from chat_kit import KEY, at_home, honest
from kit import write_task
from openai_server import Body, Say, Server, fail, say

from evals.models import __main__ as command
from evals.models import trial
from evals.models.aide_run import AideStep, check_aide, choose_step, read_steps
from evals.models.bare import SYSTEM
from evals.models.conversation import (
    UNUSABLE,
    Conversation,
    Form,
    Turn,
    first_fence,
    read_answer,
)
from evals.models.curves import curves_by_seconds
from evals.models.estimate import estimate_cell
from evals.models.page import mean_ranks, publish_page, render_page
from evals.models.relay import Relay, completion_body, read_messages, serve_relay
from evals.models.shell import Shell, describe_end
from evals.models.study import (
    Budget,
    Cell,
    CellResult,
    Point,
    Study,
    StudyError,
    Terms,
    open_study,
    read_results,
)
from evals.models.transcript import Transcript
from graph.settings import Settings
from reasoner.chat.endpoint.address import Address
from reasoner.chat.endpoint.client import ModelEndpoint, Reply
from reasoner.protocol import Usage
from reasoner.settings import ModelSettings
from sandbox.local.backend import create_local_sandbox

BUDGET = Budget(seconds=60, tokens=5_000, steps=3)
TERMS = Terms(model="m", endpoint="https://models.example/v1", budget=BUDGET)
PAGE = Path(__file__).parents[1] / "docs" / "results" / "models.md"
WRITE = """\
cat > solution.py <<'EOF'
import csv
rows = list(csv.DictReader(open("input/test.csv")))
with open("submission.csv", "w") as file:
    file.write("id,label\\n")
    for row in rows:
        file.write(f"{row['id']},{float(row['x']) - float(row['y'])}\\n")
EOF
python solution.py"""


def result(**changes: Any) -> CellResult:
    base: dict[str, Any] = {"task": "t", "contestant": "bare", "seed": 0, "metric": "auc"}
    base |= {"direction": "max", "private": 0.7, "sample": 0.5, "end": "done", "seconds": 30}
    base |= {"script_s": 20, "executions": 3, "usage": Usage(calls=2), "commit": "c", "date": "d"}
    return CellResult.model_validate(base | changes)


def reply(text: str = "", *calls: str, finish: str = "stop") -> Reply:
    return Reply(text, calls[0] if calls else "", "", finish, Usage(), called=calls)


# the conversation


@pytest.mark.parametrize(
    ("given", "form", "commands"),
    [
        (reply("", '{"command": "ls"}', '{"command": "pwd"}'), "tools", ("ls", "pwd")),
        (reply("so\n```bash\nls\n```\nand\n```bash\nrm x\n```"), "fenced", ("ls",)),
        (reply("<think>```bash\nrm x\n```</think>done"), "fenced", ()),
        (reply("```python\nprint(1)\n```"), "fenced", ()),
        (reply("", '{"command": "ls"}'), "fenced", ()),
    ],
)
def test_an_answer_is_read_in_its_form(given: Reply, form: Form, commands: tuple[str, ...]) -> None:
    assert read_answer(given, form).commands == commands


@pytest.mark.parametrize(
    "arguments", ["", "{", "[1]", "[" * 10_000, '{"command": 5}', '{"command": " "}', '{"c": "ls"}']
)
def test_a_call_that_cannot_be_read_is_told_and_runs_nothing(arguments: str) -> None:
    wish = read_answer(reply("", '{"command": "ls"}', arguments), "tools")
    assert (wish.commands, "Nothing was run" in wish.problem) == ((), True)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (reply("", finish="length"), "cut off"),
        (reply("<think>hm</think>"), "empty"),
        (reply("more than 32 MiB", finish=UNUSABLE), "could not be read"),
    ],
)
def test_an_answer_that_is_none_does_not_end_the_conversation(given: Reply, told: str) -> None:
    assert told in read_answer(given, "tools").problem
    assert read_answer(reply("All done."), "tools").problem == ""


def test_turns_go_on_in_the_other_form_and_shorter() -> None:
    talk = Conversation("system", "task")
    talk.turns = [Turn(f"{n}", ["ls " + "x" * 900], ["out " * 900]) for n in range(4)]
    called = talk.messages()
    assert [turn["role"] for turn in called[:4]] == ["system", "user", "assistant", "tool"]
    assert called[2]["tool_calls"][0]["id"] == called[3]["tool_call_id"]
    talk.form = "fenced"
    fenced = talk.messages()
    assert {turn["role"] for turn in fenced} == {"system", "user", "assistant"}
    assert first_fence(fenced[2]["content"]) == ("0", "ls " + "x" * 900)
    sizes = [len(json.dumps(fenced))]
    while talk.shorten():
        sizes.append(len(json.dumps(talk.messages())))
    assert sizes == sorted(sizes, reverse=True)
    assert talk.messages()[-2:] == fenced[-2:]


# the shell


async def test_files_stay_and_processes_end_with_their_command(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("id\n1\n")
    tmp_path.chmod(0o755)
    shell = Shell(
        create_local_sandbox(),
        tmp_path / "workspace",
        {"data.csv": str(tmp_path / "data.csv")},
        2**30,
        1,
    )
    mine = "mkdir -p a; echo 7 > a/kept; echo mine > solution.py; (sleep 60 & ); cat input/data.csv"
    assert (await shell.run(mine, 20)).output == "id\n1\n"
    hostile = (
        "cat a/kept solution.py; pgrep sleep; rm -rf * .[a-z]*;"
        " ln -s /etc/passwd solution.py; ln -s / root; mkdir -p a/b; exit 3"
    )
    done = await shell.run(hostile, 20)
    assert done.output.startswith("7\nmine\n")
    assert describe_end(done).startswith("exit code 3")
    after = await shell.run("readlink solution.py; ls -A; cat input/data.csv", 20)
    assert after.output == "/etc/passwd\na\ninput\nroot\nsolution.py\nid\n1\n"


# the folder of a study


def test_a_finished_cell_is_kept_and_an_interrupted_one_set_aside(tmp_path: Path) -> None:
    with open_study(tmp_path, TERMS) as study:
        done, cut = Cell(task="t", contestant="bare"), Cell(task="t", contestant="gome:tree")
        study.begin(done)
        study.finish(done, result())
        (study.begin(cut) / "run").mkdir()
        assert study.find(cut) is None
        assert (study.begin(cut, keeps=True) / "run").is_dir()
        assert not (study.begin(cut) / "run").exists()
        with (
            pytest.raises(StudyError, match="another process"),
            open_study(tmp_path, TERMS),
        ):
            pass
    assert read_results(tmp_path) == [result()]
    named = TERMS.model_copy(update={"served": "vLLM"})
    for terms in (named, TERMS):  # what serves the model may be said later, and stays
        with open_study(tmp_path, terms) as study:
            assert study.terms == named
    other = TERMS.model_copy(update={"budget": BUDGET.model_copy(update={"tokens": 1})})
    with pytest.raises(StudyError, match="was begun with budget"), open_study(tmp_path, other):
        pass


def test_a_transcript_has_each_message_once_and_no_key(tmp_path: Path) -> None:
    transcript = Transcript(tmp_path, (KEY,))
    transcript.write("command", command="env", output=f"OPENAI_API_KEY={KEY}", seconds=0.1)
    assert KEY not in transcript.path.read_text()
    assert "***" in transcript.path.read_text()


# the command


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--tasks", "nowhere"], "no task 'nowhere'"),
        (["--tasks", "bikes"], "final half"),
        (["--tasks", "fair", "--contestants", "gome,human"], "no contestant 'human'"),
        (["--tasks", "fair", "--contestants", "gome:fast"], "no preset 'fast'"),
        (["--tasks", "fair", "--set", "time_s=9"], "the protocol fixes it"),
        (["--tasks", "fair", "--set", "nothing=9"], "no such setting"),
        (["--tasks", "fair", "--base-url", "models"], "is not a web address"),
        (["--tasks", "fair", "--tokens", "0"], "at least 1"),
        (["--tasks", "fair"], "no API key: set OPENAI_API_KEY"),
    ],
)
def test_a_mistake_is_one_sentence_before_anything_is_made(
    words: list[str],
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    out = tmp_path / "study"
    assert command.main(["--model", "gpt-5", "--out", str(out), *words]) == 2
    assert told in capsys.readouterr().err
    assert not out.exists()


async def test_a_python_without_aide_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(StudyError, match="neither an environment.*gome env create aide"):
        await check_aide(Settings(), "no-such-environment", tmp_path)


def test_a_dry_run_needs_no_key_and_counts_what_is_left(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    words = ["--model", "gpt-5", "--tasks", "fair,abalone", "--dry-run", "--out", str(tmp_path)]
    assert command.main([*words, "--contestants", "gome,aide,bare", "--seeds", "2"]) == 0
    told = capsys.readouterr().out
    assert "| gome | 4 |" in told
    assert "| in all | 12 |" in told
    assert "0 cells are finished" in told
    assert not list(tmp_path.iterdir())
    most = estimate_cell(Cell(task="t", contestant="bare"), BUDGET)
    assert most.tokens <= BUDGET.tokens


# AIDE, and the relay


def test_aide_hands_over_its_best_and_what_its_scripts_wrote_is_bounded(tmp_path: Path) -> None:
    kept, logs = tmp_path / "w" / "kept", tmp_path / "w" / "logs" / "0-cell"
    kept.mkdir(parents=True)
    logs.mkdir(parents=True)
    nodes: list[Any] = [
        {"is_buggy": False, "metric": {"value": 0.3}},
        {"is_buggy": True, "metric": {"value": 0.1}},
        "none",
        {"is_buggy": False, "metric": {"value": True}},
    ]
    (logs / "journal.json").write_text(json.dumps({"nodes": nodes}))
    lines = ['{"n": 0, "script_s": 2.5, "seconds": 9}', "{", '{"script_s": -1, "seconds": "x"}']
    (kept / "index.jsonl").write_text("\n".join(lines))
    for name in ("000.csv", "002.csv"):
        (kept / name).write_text(name)
    (kept / "001.csv").symlink_to("/etc/passwd")
    assert read_steps(tmp_path / "w", tmp_path / "a", rising=False) == []  # a link: all refused
    (kept / "001.csv").unlink()
    steps = read_steps(tmp_path / "w", tmp_path / "b", rising=False)
    assert [(step.script_s, step.seconds) for step in steps] == [(2.5, 9.0), (0.0, 0.0), (0.0, 0.0)]
    best = choose_step(steps)
    assert best is not None
    assert best.submission == tmp_path / "b" / "aide" / "kept" / "000.csv"
    assert choose_step([AideStep(1, 1, None, 0.9)]) is None


def test_the_relay_reads_messages_and_names_the_tool() -> None:
    odd: list[Any] = [None, [], {"messages": 3}, {"messages": [3, {"role": "x", "content": "y"}]}]
    assert [read_messages(body) for body in odd] == [[], [], [], []]
    body = {"tools": [{"function": {"name": "submit_review"}}], "messages": []}
    message = completion_body(reply("", '{"a": 1}'), body)["choices"][0]["message"]
    assert message["tool_calls"][0]["function"] == {
        "name": "submit_review",
        "arguments": '{"a": 1}',
    }


class SocketConnection(http.client.HTTPConnection):
    """HTTP over a Unix socket, as the bridge in the sandbox speaks it."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost")
        self.path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self.path))


def post(path: Path, body: Any) -> tuple[int, Any]:
    with contextlib.closing(SocketConnection(path)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@pytest.mark.slow  # the endpoint's libraries load
async def test_the_relay_has_the_key_counts_and_closes_at_the_budget(tmp_path: Path) -> None:
    body = {"model": "relayed", "messages": [{"role": "user", "content": "one two three"}]}
    with Server(lambda body, n: say("four five"), key=KEY) as server:
        address = Address(server.url, server.url, KEY, "OPENAI_API_KEY")
        endpoint = ModelEndpoint(address, "m", ModelSettings())
        relay = Relay(endpoint, Transcript(tmp_path, (KEY,)), 8, lambda text: None)
        path = tmp_path / "relay.sock"
        with serve_relay(path, relay):
            asked: list[Any] = [body, [], body, body]
            answers = [await asyncio.to_thread(post, path, one) for one in asked]
        await endpoint.close()
    assert [status for status, _ in answers] == [200, 400, 200, 403]
    assert answers[0][1]["choices"][0]["message"]["content"] == "four five"
    assert (relay.usage.calls, relay.usage.input_tokens, relay.usage.output_tokens) == (2, 6, 4)
    assert (relay.end, relay.stopped.is_set()) == ("budget: tokens", True)
    assert [sent["model"] for sent in server.requests] == ["m", "m"]
    assert KEY not in relay.transcript.path.read_text()


# the page


def test_no_page_is_published_of_answers_that_may_be_no_models(tmp_path: Path) -> None:
    scripted, local = [result(is_scripted=True)], "http://127.0.0.1:8000/v1"
    here = TERMS.model_copy(update={"endpoint": local})
    named = here.model_copy(update={"served": "vLLM, Qwen3-32B"})
    for terms, results in ((named, scripted), (here, [result()]), (named, [])):
        with pytest.raises(StudyError):
            publish_page(tmp_path, terms, results, "c", tmp_path / "docs")
    assert not (tmp_path / "docs").exists()
    assert "no model's" in render_page(here, [result()])
    assert "Mean rank" not in render_page(named, scripted)
    assert "Mean rank" in render_page(named, [result()])
    assert "vLLM, Qwen3-32B" in render_page(named, [result()])


def test_the_published_page_is_not_run_or_a_models() -> None:
    text = PAGE.read_text()
    assert text == render_page(None, []) or "**Mean rank over" in text
    assert "scripted answers" not in text.lower() or text == render_page(None, [])


def test_ranks_and_curves_take_what_was_handed_over() -> None:
    points = [Point(executions=1, script_s=1, seconds=30, private=0.6)]
    results = [
        result(contestant="a", private=0.7, curve=points),
        result(contestant="b", private=None, failure="invalid"),
        result(contestant="a", task="u", direction="min", private=2.0, sample=4.0),
        result(contestant="b", task="u", direction="min", private=1.0, sample=4.0),
        result(contestant="a", task="half"),
    ]
    assert mean_ranks(results) == {"a": 1.5, "b": 1.5}
    curve = curves_by_seconds(results[:2], 60)["a"]
    assert curve[49] == 0
    assert curve[50] == curve[100] == pytest.approx(0.5)


# from end to end, against a real server


def use_tool(command: str) -> Say:
    function = {"name": "bash", "arguments": json.dumps({"command": command})}
    return say("", beside={"tool_calls": [{"id": "c", "type": "function", "function": function}]})


def is_bare(body: Body) -> bool:
    return SYSTEM.splitlines()[0] in str(body["messages"][0]["content"])


def play(*answers: Say) -> Callable[[Body, int], Say]:
    """The bare agent gets these answers in turn, then the last one; all others honest ones."""

    def answer(body: Body, n: int) -> Say:
        if not is_bare(body):
            is_ping = len(body["messages"]) == 1 and n == 0
            return say("ready") if is_ping else honest(body, n)
        number = [turn["role"] for turn in body["messages"]].count("assistant")
        return answers[min(number, len(answers) - 1)]

    return answer


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A task with private answers; the key is in the environment, the home is empty."""
    at_home(tmp_path, monkeypatch)
    task = write_task(tmp_path / "tiny")
    rows = list(csv.DictReader((task / "test.csv").read_text().splitlines()))
    answers = [f"{row['id']},{int(float(row['x']) > float(row['y']))}" for row in rows]
    (tmp_path / "tiny-private").mkdir()
    (tmp_path / "tiny-private" / "answers.csv").write_text("\n".join(["id,label", *answers]))
    return task


def compare(server: Server, task: Path, *words: str) -> int:
    out = task.parent / "study"
    given = ["--model", "m", "--base-url", server.url, "--tasks", str(task), "--out", str(out)]
    given += ["--tokens", "200000", "--steps", "2", "--set", "backoff_s=0.01", *words]
    return command.main(given)


def the_cell(task: Path, contestant: str = "bare") -> CellResult:
    study = Study(task.parent / "study", TERMS)
    found = study.find(Cell(task="tiny", contestant=contestant))
    assert found is not None
    return found


@pytest.mark.slow
def test_cells_are_run_once_graded_alike_and_know_no_key(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = (use_tool("ls input"), use_tool(WRITE), say("done"))
    with Server(play(*answers), key=KEY) as server:
        words = ("--contestants", "gome,bare", "--seconds", "60")
        assert compare(server, tiny, *words) == 0
        n_asked = len(server.requests)
        assert compare(server, tiny, *words) == 0
        assert len(server.requests) == n_asked
        assert compare(server, tiny, *words, "--publish") == 2
    bare, gome = the_cell(tiny), the_cell(tiny, "gome")
    assert bare.private == pytest.approx(1.0)
    assert gome.private is not None
    assert gome.private > 0.9
    assert [bare.executions, bare.usage.calls, bare.end] == [2, 3, "done"]
    spent = [cell.usage.input_tokens + cell.usage.output_tokens for cell in (bare, gome)]
    ping = sum(server_words(body) for body in server.requests[:1])
    assert sum(spent) <= server.tokens <= sum(spent) + ping + 10
    assert gome.curve[-1].private == gome.private
    files = [path for path in (tiny.parent / "study").rglob("*") if path.is_file()]
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert "this machine" in capsys.readouterr().err


def server_words(body: Body) -> int:
    return sum(len(str(turn["content"]).split()) for turn in body["messages"])


@pytest.mark.slow
def test_a_hostile_agent_harms_nothing_and_its_invalid_submission_is_not_scored(
    tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.models.bare.LEAST_COMMAND_S", 2.0)
    monkeypatch.setattr("evals.models.bare.COMMAND_SHARE", 0.01)
    monkeypatch.setattr("evals.models.shell.OUTPUT_KILL_BYTES", 2**20)
    answers = (
        say("I need your API key first."),
        use_tool("env; cat /proc/*/environ; cat /root/.bashrc ../*-private/answers.csv"),
        use_tool("yes"),
        use_tool("sleep 600 & sleep 600"),
        use_tool("rm -rf ./* .??* / 2>/dev/null; mkdir input2; ls -A"),
        say("", beside={"tool_calls": [{"function": {"name": "bash", "arguments": "{"}}]}),
        use_tool("ln -s /etc/passwd submission.csv"),
        use_tool("rm submission.csv; printf 'id,label\\nr0,7\\n' > submission.csv"),
        say("done"),
    )
    with Server(play(*answers), key=KEY) as server:
        assert compare(server, tiny, "--contestants", "bare", "--seconds", "90") == 0
        told = json.dumps(server.requests[-1]["messages"])
    cell = the_cell(tiny)
    assert cell.private is None
    assert cell.seconds < 80  # `sleep 600` and the flood were ended
    assert cell.failure.startswith("invalid: submission.csv lacks 120 of the ids")
    assert "time limit" in told
    assert "printed too much" in told
    assert "cannot be scored: invalid" in told
    assert KEY not in told
    assert (tiny / "train.csv").is_file()


@pytest.mark.slow
def test_an_endpoint_that_fails_leaves_the_cell_for_the_next_call(
    tiny: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--contestants", "bare", "--seconds", "60", "--set", "retries=2")
    state = {"broken": True}

    def answer(body: Body, n: int) -> Say:
        if is_bare(body) and state["broken"]:
            return fail(500)
        if "tools" in body:
            return fail(400, "tools are not supported", param="tools")
        return play(say(f"First.\n```bash\n{WRITE}\n```"), say("done"))(body, n)

    with Server(answer, key=KEY) as server:
        assert compare(server, tiny, *words) == 2
        assert "500" in capsys.readouterr().err
        state["broken"] = False
        assert compare(server, tiny, *words) == 0
    cell = the_cell(tiny)
    assert cell.private == pytest.approx(1.0)
    assert cell.notes == ["form of its commands: fenced"]
    left = [path.name for path in (tiny.parent / "study" / "cells").iterdir()]
    assert sorted(left) == ["tiny--bare--0", "tiny--bare--0.unfinished-1"]


@pytest.mark.slow
def test_time_that_passed_before_a_dead_endpoint_is_no_result(
    tiny: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("evals.models.contestants.ALIVE_S", 1.0)
    with Server(lambda body, n: say("ready", wait_s=60 if n else 0), key=KEY) as server:
        assert compare(server, tiny, "--contestants", "bare", "--seconds", "3") == 2
    assert "no answer within 1 s" in capsys.readouterr().err
    left = [path.name for path in (tiny.parent / "study" / "cells").iterdir()]
    assert left == ["tiny--bare--0.unfinished-1"]


@pytest.mark.slow
@pytest.mark.skipif(not os.environ.get("GOME_AIDE"), reason="needs an environment with AIDE")
def test_aide_runs_in_the_sandbox_and_hands_over_what_its_script_wrote(tmp_path: Path) -> None:
    words = ["--contestants", "aide", "--tasks", "fair", "--steps", "2", "--seconds", "300"]
    assert trial.main([*words, "--aide", os.environ["GOME_AIDE"], "--out", str(tmp_path)]) == 0
    (cell,) = read_results(tmp_path)
    assert cell.private is not None
    assert cell.private > 0.6
    assert (cell.executions, cell.usage.calls, cell.is_scripted) == (2, 4, True)
