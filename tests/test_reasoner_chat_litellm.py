"""The real LiteLLM proxy in between: faults and answers of a model behind it, and a whole run.

Needs its program: `GOME_LITELLM=/path/to/venv/bin/litellm` (package `litellm[proxy]`, best in an
environment of its own), or `litellm` on the PATH. It needs a minute to start.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from chat_kit import QUICK, at_home, gome, honest, one_line, verb_of
from kit import events, write_task
from openai_server import Body, Say, Server, fail, say
from test_reasoner_chat_run import the_run, tokens

PROGRAM = os.environ.get("GOME_LITELLM") or shutil.which("litellm") or ""
START_S = 300.0
KEY = "sk-proxy-0123456789abcdef"
CONFIG = """
model_list:
  - model_name: m
    litellm_params: {{model: openai/m, api_base: "{url}", api_key: sk-inner}}
  - model_name: canned
    litellm_params: {{model: openai/x, api_key: k, mock_response: '{{"answer": 5}}'}}
general_settings: {{master_key: {key}}}
litellm_settings: {{telemetry: false, num_retries: 0}}
router_settings: {{num_retries: 0, disable_cooldowns: true}}
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not PROGRAM, reason="needs litellm[proxy]: GOME_LITELLM=…/bin/litellm"),
]


class Behind(Server):
    """The model behind the proxy; each test gives its own answers."""

    def __init__(self) -> None:
        super().__init__(lambda body, n: self.answer(body, n))
        self.answer: Callable[[Body, int], Say] = honest


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Behind]]:
    """The proxy's address, and the model behind it."""
    folder = tmp_path_factory.mktemp("litellm")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Behind() as model, (folder / "log").open("w") as log:
        (folder / "config.yaml").write_text(CONFIG.format(url=model.url, key=KEY))
        command = [PROGRAM, "--config", "config.yaml", "--port", str(port), "--host", "127.0.0.1"]
        env = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "HOME": str(folder)}
        started = subprocess.Popen(
            command, cwd=folder, env=env, stdout=log, stderr=subprocess.STDOUT
        )
        try:
            await_proxy(f"http://127.0.0.1:{port}", started, folder / "log")
            yield f"http://127.0.0.1:{port}/v1", model
        finally:
            started.terminate()
            started.wait(60)


def await_proxy(url: str, started: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and started.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/health/liveliness", timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(1)
    pytest.fail(f"the proxy does not answer: {log.read_text()[-2000:]}")


def test_a_run_through_the_proxy_with_faults_behind_it(
    proxy: tuple[str, Behind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, model = proxy
    faults = [  # none without a usage: the proxy makes one up, which the model did not count
        fail(429, "slow down"),
        fail(500, "internal error"),
        say("I would try a linear model."),
    ]
    met = []

    def reply(body: Body, n: int) -> Say:
        if faults and verb_of(body) != "check" and n % 2:
            met.append(faults.pop(0))
            return met[-1]
        answer = honest(body, n)
        return say(answer.text, beside={"reasoning_content": "hm, let me see"})

    model.answer = reply
    write_task(tmp_path / "task")
    at_home(tmp_path, monkeypatch, url, KEY)
    before = model.tokens
    more = ("--steps", "3", "--set", "retries=5")
    result = gome("run", "task", "--model", "m", *QUICK, *more)
    assert result.exit_code == 0, result.output
    folder = the_run(tmp_path)
    assert len(met) >= 3 and tokens(folder) == model.tokens - before
    verdicts = [each["verdict"] for each in events(folder, "attempt")]
    assert len(verdicts) == 3 and verdicts[0] == "accepted", verdicts
    assert "hm, let me see" in gome("show", "--call", "2").output
    assert not any(KEY.encode() in p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_a_wrong_name_lists_the_models_of_the_proxy(
    proxy: tuple[str, Behind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_task(tmp_path / "task")
    at_home(tmp_path, monkeypatch, proxy[0], KEY)
    line = one_line(gome("run", "task", "--model", "gpt-nope", *QUICK))
    assert "it has canned, m" in line or "it has m, canned" in line
    line = one_line(gome("run", "task", "--model", "m", "--base-url", f"{proxy[0]}/no", *QUICK))
    assert f"use --base-url {proxy[0]}" in line


def test_refused_parameters_and_canned_answers(
    proxy: tuple[str, Behind], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, model = proxy

    def picky(body: Body, n: int) -> Say:
        if "temperature" in body:
            return fail(400, "Unsupported value: 'temperature' does not support 0.3", param=None)
        return honest(body, n)

    model.answer = picky
    at_home(tmp_path, monkeypatch, url, KEY)
    for more in (("--set", "temperature=0.3"), ()):
        output = gome("doctor", "--model", "m" if more else "canned", *more).output
        assert "structured answers by" in output, output
