"""`gome ui` and `gome report --all`: all runs as a page, and nothing but the runs."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from cli.app import app
from evals.harness.made_up import HOSTILE, synthetic_events
from report.overview.feed import RunsFeed
from report.overview.index_page import draw_spark, write_all_reports
from report.overview.server import MAX_STREAMS, OverviewServer, open_server

NOBODY = lambda folder: False  # noqa: E731


def make_runs(root: Path, **names: dict[str, Any]) -> None:
    for name, options in names.items():
        folder = root / name
        synthetic_events(folder=folder, **options)
        (folder / "run.json").write_text(
            json.dumps({"run": name, "task": f"/tasks/{name}", "settings": {}})
        )


@contextmanager
def serving(root: Path, is_alive: Any = NOBODY) -> Iterator[OverviewServer]:
    server = open_server(root, is_alive, 0)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)


def ask(
    server: OverviewServer, path: str, method: str = "GET", **headers: str
) -> tuple[int, http.client.HTTPMessage, str]:
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        given = {"Host": f"127.0.0.1:{server.server_port}"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        link.putrequest(method, path, skip_host=True)
        for name, value in given.items():
            link.putheader(name, value)
        link.endheaders()
        answer = link.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        link.close()


def first_event(server: OverviewServer, path: str) -> Any:
    link = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    try:
        link.request("GET", path)
        answer = link.getresponse()
        assert answer.headers["Content-Type"] == "text/event-stream"
        return json.loads(answer.readline().decode().removeprefix("data: "))
    finally:
        link.close()


def test_runs_are_listed_followed_reported_and_compared(tmp_path: Path) -> None:
    make_runs(tmp_path, one={"hostile": False}, two={"seed": 1, "ended": False})
    with serving(tmp_path, lambda folder: folder.name == "two") as server:
        status, headers, page = ask(server, "/")
        assert status == 200 and "script-src 'sha256-" in headers["Content-Security-Policy"]
        assert "unsafe" not in headers["Content-Security-Policy"]
        rows = first_event(server, "/runs")["runs"]
        assert [row["name"] for row in rows] == ["two", "one"]
        assert [row["state"] for row in rows] == ["running", "finished"]
        followed = first_event(server, "/run/two/follow")
        assert followed["run"]["name"] == "two" and followed["now"] and followed["lines"]
        status, headers, report = ask(server, "/run/one/report")
        assert status == 200 and "Score curve" in report and headers["X-Frame-Options"] == "DENY"
        status, _, text = ask(server, "/compare?run=one&run=two")
        found = json.loads(text)
        assert status == 200 and [run["name"] for run in found["runs"]] == ["one", "two"]
        assert dict(found["facts"])["best"][0] != "–" and found["diff"]


def test_the_events_of_a_run_in_progress_arrive(tmp_path: Path) -> None:
    make_runs(tmp_path, one={"ended": False})
    path = tmp_path / "one" / "events.jsonl"
    feed = RunsFeed(tmp_path, NOBODY)
    whole = path.read_text()
    lines = whole.splitlines(keepends=True)
    path.write_text("".join(lines[:10]))
    before = feed.list_rows()[0]["attempts"]
    path.write_text(whole)
    feed._looked = 0.0
    assert feed.list_rows()[0]["attempts"] > before
    path.write_text("".join(lines[:10]))  # rolled back
    feed._looked = 0.0
    assert feed.list_rows()[0]["attempts"] == before


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:80", "127.0.0.1", "localhost", "127.0.0.1:1", ""]
)
def test_a_name_that_a_stranger_points_here_is_refused(tmp_path: Path, host: str) -> None:
    make_runs(tmp_path, one={})
    with serving(tmp_path) as server:
        for path in ("/", "/runs", "/run/one/report"):
            status, _, text = ask(server, path, Host=host)
            assert status == 421 and "Gome" not in text and "one" not in text.split()


def test_another_site_cannot_read(tmp_path: Path) -> None:
    make_runs(tmp_path, one={})
    with serving(tmp_path) as server:
        assert ask(server, "/run/one/report", Origin="http://evil.example")[0] == 403
        assert ask(server, "/run/one/report", Origin="null")[0] == 403
        assert ask(server, "/run/one/report", Sec_Fetch_Site="cross-site")[0] == 403
        assert ask(server, "/run/one/report", Sec_Fetch_Site="same-site")[0] == 403
        assert ask(server, "/run/one/report", Sec_Fetch_Site="same-origin")[0] == 200
        headers = ask(server, "/")[1]
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Access-Control-Allow-Origin"] is None
        assert headers["X-Content-Type-Options"] == "nosniff"


def test_only_get_is_answered(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for method in ("POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "TRACE"):
            assert ask(server, "/", method)[0] == 501, method


@pytest.mark.parametrize(
    "path",
    [
        "/run/../report",
        "/run/%2e%2e/report",
        "/run/..%2f..%2fsecret/report",
        "/run/one/../../secret/report",
        "/run/one%2f..%2f..%2fsecret/report",
        "/run/one/report/../events.jsonl",
        "/run/one/run.json",
        "/run//report",
        "/run/./report",
        "/run/outside/report",
        "/run/%00/report",
        "/run/one%00/report",
        "//etc/passwd",
        "/etc/passwd",
        "/one/events.jsonl",
        "/compare?run=one&run=../secret",
        "/run/%ff%fe/follow",
        "http://127.0.0.1/run/../x",
    ],
)
def test_a_path_reaches_nothing_but_runs(tmp_path: Path, path: str) -> None:
    root = tmp_path / "runs"
    make_runs(root, one={})
    make_runs(tmp_path, secret={}, outside={})
    (root / "one" / "report.html").write_text("a report from elsewhere")
    with serving(root) as server:
        status, _, text = ask(server, path)
        assert status == 404 and text in ("there is no such page\n", "there is no such run\n")
        assert "elsewhere" not in ask(server, "/run/one/report")[2]


def test_too_many_streams_are_refused(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for _ in range(MAX_STREAMS):
            assert server.streams.acquire(blocking=False)
        status, _, text = ask(server, "/runs")
        assert (status, text) == (503, "too many pages are open\n")
        server.streams.release()
        assert first_event(server, "/runs") == {"runs": []}


def test_hostile_runs_stay_text(tmp_path: Path) -> None:
    make_runs(tmp_path, one={"hostile": True})
    other = tmp_path / "<img src=x onerror=alert(1)>"
    (tmp_path / "one").rename(other)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "broken" / "events.jsonl").write_bytes(b"\xff\x00[[[\n" + HOSTILE.encode() + b"\n")
    page = write_all_reports(tmp_path, NOBODY).read_text()
    assert "<img" not in page and "&lt;img src=x" in page
    assert "<script" not in page and "%3Cimg%20src%3Dx%20onerror%3Dalert%281%29%3E/report" in page


def test_report_all_writes_an_index_over_fresh_reports(tmp_path: Path) -> None:
    make_runs(tmp_path, one={}, two={"seed": 3, "ended": False})
    (tmp_path / "one" / "report.html").write_text("stale")
    result = CliRunner().invoke(app, ["report", "--all", "--runs-dir", str(tmp_path)])
    assert result.exit_code == 0 and result.output.strip() == str(tmp_path / "index.html")
    page = (tmp_path / "index.html").read_text()
    assert 'href="one/report.html"' in page and 'href="two/report.html"' in page
    assert (
        "2 runs" in page
        and page.count("<polyline") == 2
        and "//" not in page.replace(str(tmp_path), "")
    )
    assert "Score curve" in (tmp_path / "one" / "report.html").read_text()
    for wrong in (["one", "--all"], ["--all", "--watch"]):
        result = CliRunner().invoke(app, ["report", *wrong, "--runs-dir", str(tmp_path)])
        assert result.exit_code == 2 and "leave RUN and --watch out" in result.output
    absent = CliRunner().invoke(app, ["report", "--all", "--runs-dir", str(tmp_path / "no")])
    assert absent.exit_code == 2 and "no runs below" in absent.output


def test_a_falling_curve_is_drawn_upwards() -> None:
    first, last = draw_spark([3.0, 1.0], rising=False).split()
    assert float(first.split(",")[1]) > float(last.split(",")[1])
    assert draw_spark([1.0], rising=True) == ""


def test_the_command_serves_until_it_is_ended(tmp_path: Path) -> None:
    make_runs(tmp_path, one={})
    command = [sys.executable, "-m", "gome", "ui", "--port", "0", "--runs-dir", str(tmp_path)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as child:
        assert child.stdout is not None
        line = child.stdout.readline()
        assert line.startswith("http://127.0.0.1:") and str(tmp_path) in line
        port = int(line.split("/")[2].rpartition(":")[2])
        link = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            link.request("GET", "/")
            assert link.getresponse().status == 200
        finally:
            link.close()
        taken = subprocess.run(
            [*command[:-4], "--port", str(port), *command[-2:]], capture_output=True, text=True
        )
        child.terminate()
        assert taken.returncode == 2 and f"the port {port} is taken" in taken.stderr
        assert "Traceback" not in child.stdout.read()
    assert child.returncode == 0
