"""The success memory behind LangGraph's store protocol."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langgraph.graph import END, START, StateGraph
from langgraph.runtime import Runtime
from memory_kit import a_record
from typing_extensions import TypedDict

from memory.langgraph_store import SuccessStore, make_store
from memory.manage import select_records
from memory.records import validate_record


def measured(i: int, **changes: object) -> dict[str, Any]:
    return validate_record(a_record(i, **changes)).model_dump()


def fill(store: SuccessStore, *values: dict[str, Any]) -> list[str]:
    for value in values:
        store.put(("success", value["task_hash"]), value["id"], value)
    return [value["id"] for value in values]


@pytest.fixture
def store(tmp_path: Path) -> SuccessStore:
    return SuccessStore(str(tmp_path / "memory"), "lexical")


def test_an_empty_memory_answers(store: SuccessStore) -> None:
    assert store.get(("success", "t1"), "x") is None
    assert store.search(("success",)) == store.search((), query="skewed") == []
    assert store.list_namespaces() == []
    store.delete(("success", "t1"), "x")


def test_what_is_put_is_got_searched_listed_and_in_the_memory(store: SuccessStore) -> None:
    values = [measured(0), measured(1), measured(2, task_hash="t2", kind="refuted", gain=-0.02)]
    ids = fill(store, *values)
    item = store.get(("success", "t1"), ids[0])
    assert item is not None and item.value == values[0]
    assert store.get(("success", "t2"), ids[0]) is None
    assert store.get(("success",), ids[0]) is None
    assert {found.key for found in store.search(("success",))} == set(ids)
    assert [found.key for found in store.search(("success", "t2"))] == [ids[2]]
    assert store.search(("other",)) == store.search(("success", "t1", "more")) == []
    assert store.list_namespaces() == [("success", "t1"), ("success", "t2")]
    assert store.list_namespaces(max_depth=1) == [("success",)]
    assert store.list_namespaces(suffix=("t2",)) == [("success", "t2")]
    assert store.list_namespaces(prefix=("*", "t1")) == [("success", "t1")]
    assert store.list_namespaces(prefix=("other",)) == []
    assert {record.id for record in select_records(store.where)} == set(ids)


def test_a_search_by_text_finds_the_nearest_with_its_similarity(store: SuccessStore) -> None:
    fill(store, *(measured(i) for i in range(5)))
    found = store.search(("success",), query="missing cells in many columns", limit=2)
    assert len(found) == 2
    assert found[0].value["hypothesis"] == "add indicators of missing values"
    assert found[0].score is not None and found[1].score is not None
    assert found[0].score > found[1].score
    rest = store.search(("success",), query="missing cells in many columns", limit=2, offset=1)
    assert rest[0].key == found[1].key


def test_filters_compare_fields(store: SuccessStore) -> None:
    ids = fill(store, measured(0, gain=0.01), measured(1, gain=0.05, run="r2"))
    assert [found.key for found in store.search((), filter={"run": "r2"})] == [ids[1]]
    assert [found.key for found in store.search((), filter={"gain": {"$gt": 0.02}})] == [ids[1]]
    both = {"gain": {"$gte": 0.01, "$lt": 0.05}, "kind": {"$ne": "refuted"}}
    assert [found.key for found in store.search((), filter=both)] == [ids[0]]
    assert store.search((), filter={"hypothesis": {"$gt": 3}, "nothing": 1}) == []
    with pytest.raises(ValueError, match="unknown comparison"):
        store.search((), filter={"gain": {"$near": 1}})


def test_a_repeated_put_changes_nothing_and_a_delete_forgets(store: SuccessStore) -> None:
    first, second = fill(store, measured(0), measured(1))
    fill(store, measured(0))
    assert len(store.search(())) == 2
    store.delete(("success", "t2"), first)  # of another namespace
    assert len(store.search(())) == 2
    store.delete(("success", "t1"), first)
    assert [found.key for found in store.search(())] == [second]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"key": "mine"}, "the key of a record is the hash of its content"),
        ({"namespace": ("notes", "t1")}, "belongs to the namespace"),
        ({"value": {"text": "remember this"}}, "stores measured hypotheses only"),
        ({"value": {**measured(0), "gain": float("nan")}}, "stores measured hypotheses only"),
    ],
)
def test_what_is_no_record_is_refused(
    change: dict[str, Any], sentence: str, store: SuccessStore
) -> None:
    value = measured(0)
    given = {"namespace": ("success", "t1"), "key": value["id"], "value": value} | change
    with pytest.raises(ValueError, match=sentence):
        store.put(given["namespace"], given["key"], given["value"])
    assert store.search(()) == []


async def test_nodes_of_a_graph_reach_the_memory(store: SuccessStore) -> None:
    class State(TypedDict):
        tried: list[str]

    async def look(state: State, runtime: Runtime[None]) -> State:
        assert runtime.store is not None
        found = await runtime.store.asearch(("success",), query="skewed residuals", limit=1)
        return {"tried": [item.value["hypothesis"] for item in found]}

    fill(store, *(measured(i) for i in range(3)))
    graph = StateGraph(State)
    graph.add_node("look", look)
    graph.add_edge(START, "look")
    graph.add_edge("look", END)
    done = await graph.compile(store=store).ainvoke({"tried": []})
    assert done["tried"] == ["train on log1p of the target"]


async def test_a_server_opens_the_folder_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOME_MEMORY", str(tmp_path / "there"))
    async with make_store() as opened:
        assert opened.where == str(tmp_path / "there")
