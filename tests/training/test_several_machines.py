"""torchrun on two nodes: the record of one process; folders that are not shared are said at once."""

import os
import re
import socket
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.base.run_folder import RunFolder
from bench.data.store import Store
from bench.results import record
from bench.training import several_machines
from bench.training.distributed import SINGLE_PROCESS, Processes
from tests.base.test_signals import COMMAND


def second(*told: Any) -> Any:
    """The second of two processes, on a machine of its own; told: what the first one broadcasts."""
    answers = iter(told)

    def raise_together(fault: str) -> None:
        if fault:
            raise InputError(fault)

    return SimpleNamespace(
        size=2,
        is_main=False,
        main_first=nullcontext,
        broadcast=lambda _: next(answers),
        gather=list,
        raise_together=raise_together,
    )


def open_as(processes: Any, store: Store, tmp_path: Path, *, data: Path | None = None) -> Any:
    needed: Any = {store.folder.name: "its card"}
    places = {"data": data or store.folder.parent, "runs": RunFolder(tmp_path / "demo")}
    return several_machines.open_stores(needed, lambda _: store, processes, **places)


class TestFolders:
    def test_of_one_process_are_taken_as_they_are(self, store: Store, tmp_path: Path):
        assert open_as(SINGLE_PROCESS, store, tmp_path) == {store.folder.name: store}
        assert not list(tmp_path.iterdir())

    def test_that_all_see_are_taken(self, store: Store, tmp_path: Path):
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "mark").touch()
        first = second({store.folder.name: store.fingerprint}, "mark", None)
        assert open_as(first, store, tmp_path) == {store.folder.name: store}

    @pytest.mark.parametrize(
        ("told", "message"),
        [
            (("same", "mark", None), "demo is not the folder of the first process; give one .* --runs DIR$"),
            (("other", "mark", None), "has other content than on the first machine; prepare it there again$"),
        ],
    )
    def test_that_differ_are_named_with_their_machine(
        self, told: tuple[Any, ...], message: str, store: Store, tmp_path: Path
    ):
        prints = {store.folder.name: store.fingerprint if told[0] == "same" else "0"}
        with pytest.raises(InputError, match=rf"^{re.escape(socket.gethostname())}: .*{message}"):
            open_as(second(prints, *told[1:]), store, tmp_path)

    def test_without_the_data_are_named_and_nothing_is_prepared_there(self, store: Store, tmp_path: Path):
        there = second({store.folder.name: store.fingerprint}, "mark", None)
        command = f"--data DIR, or run there: python -m bench.prepare --dataset {store.folder.name}"
        with pytest.raises(InputError, match=f"{tmp_path / store.folder.name} is not there; .*{command}$"):
            open_as(there, store, tmp_path, data=tmp_path)
        assert not list(tmp_path.iterdir())


def test_a_machine_says_what_is_wrong_once(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Processes, "gather", lambda _, own: [*own, "b: no", "", "b: no", "c: no"])
    processes = Processes(3, 4)
    monkeypatch.setenv("LOCAL_RANK", "0")
    with pytest.raises(InputError, match="^b: no\nc: no$"):
        processes.raise_together("")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as left:
        processes.raise_together("")
    assert left.value.code == 2


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Agents:
    """One process here, or the two agents that torchrun has on two nodes, both on this machine."""

    def __init__(self, cards: Path, folder: Path) -> None:
        self.command = [str(folder / "command.py"), str(cards), "--dataset", "demo", "--device", "cpu"]
        (folder / "command.py").write_text(COMMAND, encoding="utf-8")
        self.environment = os.environ | {"PYTHONPATH": str(ROOT)}
        self.environment |= {"OMP_NUM_THREADS": "1"}

    def single(self, *words: str) -> None:
        how: dict[str, Any] = {"env": self.environment, "capture_output": True, "text": True}
        subprocess.run([sys.executable, *self.command, *words], check=True, **how)

    def two(self, words: list[str], *, second: list[str]) -> list[tuple[int, str]]:
        """(status, what it printed) of both agents; second: words of the second agent alone."""
        launch = [sys.executable, "-m", "torch.distributed.run", "--nnodes=2", "--nproc-per-node=1"]
        launch += ["--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{free_port()}"]
        launch += ["--local-addr=127.0.0.1", *self.command, *words]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        agents = [subprocess.Popen([*launch, *more], env=self.environment, **pipes) for more in ([], second)]
        printed = [agent.communicate(timeout=900)[0] for agent in agents]
        return [(agent.returncode, text) for agent, text in zip(agents, printed, strict=True)]


@pytest.fixture
def agents(small_cards: Path, tmp_path: Path) -> Agents:
    return Agents(small_cards, tmp_path)


def records(folder: Path) -> list[dict[str, Any]]:
    return record.read_folder(folder / "demo", dataset="demo")


FEW = ["--set", "batch_size=32", "--epochs", "2"]


@pytest.mark.slow
def test_two_nodes_make_the_record_of_one_process(agents: Agents, tmp_path: Path):
    """Exactly with the same weights (KNN on an untrained trunk); training differs by the order of a sum."""
    words = ["--data", str(tmp_path / "data"), *FEW, "--batch-norm=frozen", "--from-scratch"]
    words += ["--method", "knn@features=trunk,resnet101"]
    agents.single(*words, "--jobs", "1", "--runs", str(tmp_path / "one"))
    for status, printed in agents.two([*words, "--runs", str(tmp_path / "two")], second=[]):
        assert status == 0, printed
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    assert [facts["method"] for facts in two] == [facts["method"] for facts in one] == ["knn", "resnet101"]
    assert [facts["variant"] for facts in two] == [facts["variant"] for facts in one]
    assert two[0]["metrics"] == one[0]["metrics"]
    assert two[1]["provenance"]["hardware"].startswith("2 x ")
    profile = one[1]["protocol"]["profile"]
    means = [facts["metrics"][profile]["mAP"] for facts in (one[1], two[1])]
    assert means[1] == pytest.approx(means[0], abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--data",
            "demo is not there; give a folder that all machines share, --data DIR, or run there: python",
        ),
        (
            "--runs",
            "demo is not the folder of the first process; give one that all machines share: --runs DIR",
        ),
    ],
)
def test_a_node_with_a_disk_of_its_own_gets_one_clear_message(
    option: str, message: str, agents: Agents, tmp_path: Path
):
    words = [
        "--method",
        "resnet101",
        *FEW,
        "--data",
        str(tmp_path / "data"),
        "--runs",
        str(tmp_path / "runs"),
    ]
    said = agents.two(words, second=[option, str(tmp_path / "own")])
    assert all(status == 1 for status, _ in said)  # torchrun's own
    for _, printed in said:
        assert printed.count(f"error: {socket.gethostname()}: {tmp_path}/own/{message}") == 1
    assert not list(tmp_path.glob("runs/demo/*.json"))
