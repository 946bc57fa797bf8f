"""Locks: one process at a time trains a stage; a lease that is not renewed is taken over by exactly one."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench.base import locks
from bench.base.errors import InputError
from bench.base.lock_holder import Holder
from bench.base.locks import Lease, SeenLease, Watch
from bench.base.paths import ROOT
from bench.training import method, stage_cache
from bench.training.stage_cache import StageContext
from tests.conftest import small_recipe
from tests.methods.test_contract import learn


def test_a_second_holder_is_notified_and_waits_for_the_first(tmp_path: Path):
    order: list[str] = []
    waiting = threading.Event()

    def second() -> None:
        with locks.held(tmp_path / "x", waiting=waiting.set):
            order.append("second")

    thread = threading.Thread(target=second)
    with locks.held(tmp_path / "x", waiting=lambda: order.append("must not wait")):
        thread.start()
        assert waiting.wait(timeout=30)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
    assert list(tmp_path.iterdir()) == []


def test_the_lock_of_a_dead_process_is_released(tmp_path: Path):
    code = "import os, sys, pathlib; from bench.base import locks; "
    code += "lock = locks.held(pathlib.Path(sys.argv[1]), waiting=None); lock.__enter__(); os._exit(9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path / "x")], cwd=ROOT, check=False)
    assert done.returncode == 9
    assert (tmp_path / "x").exists()
    with locks.held(tmp_path / "x", waiting=lambda: pytest.fail("nobody holds it")):
        pass


def test_two_threads_that_need_the_same_stage_train_it_once(
    context: StageContext, capsys: pytest.CaptureFixture[str]
):
    facts: list[dict[str, Any]] = []
    threads = [
        threading.Thread(target=lambda: facts.extend(learn("resnet101", context)[1])) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(fact["reused"] for fact in facts) == [False, True]
    assert facts[0]["epochs"] == facts[1]["epochs"]
    assert "resnet101 main: another process is learning this stage; waiting for it" in capsys.readouterr().err
    assert [path.suffix for path in context.folder.iterdir()] == [".safetensors"]


def test_who_lost_the_lock_stores_no_result(context: StageContext, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(Lease, "is_held", lambda _: False)
    monkeypatch.setattr(locks, "_create", lambda path, **_: Lease(path, path, Holder.me(), os.dup(1)))
    with pytest.raises(InputError, match=r"lost its lock .*its result was not written. Run the same command"):
        learn("resnet101", context)
    assert not [path for path in context.folder.glob("*.safetensors") if "unfinished" not in path.name]


def test_a_file_that_a_killed_process_left_half_written_is_deleted(context: StageContext):
    (key,) = stage_cache.stage_keys(method.load_method("resnet101"), small_recipe("resnet101"), context, 0)
    context.folder.mkdir()
    (context.folder / f".{key}.unfinished.safetensors.abc").write_bytes(b"half")
    learn("resnet101", context)
    assert [path.name for path in context.folder.iterdir()] == [f"{key}.safetensors"]


def elsewhere(path: Path) -> Path:
    """The lease of a process on another machine, of which nothing else is known here."""
    path.write_bytes(replace(Holder.me(), host="node07", place="other", job="12").written())
    return path


def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "BEAT", 0.05)
    monkeypatch.setattr(locks, "PATIENCE", 3.0)


def test_who_waits_says_for_whom_since_when_and_what_follows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    impatient(monkeypatch)
    with locks.held(elsewhere(tmp_path / "x"), waiting=lambda: None):
        pass
    waits, takes = capsys.readouterr().err.splitlines()
    who = rf"process {os.getpid()} on node07 \(Slurm job 12\), since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"
    shows = r"; if that shows no sign of life for 3 seconds, this process takes over"
    shows += rf" \(its lock: {tmp_path}/x\)"
    assert re.fullmatch(f"waiting for {who}{shows}", waits)
    assert re.fullmatch(f"{who}: no sign of life for 3 seconds; this process takes over", takes)
    assert list(tmp_path.iterdir()) == []


class TestWatch:
    """On a clock that the test sets; the times of files are of any other clock."""

    def lease(self, renewed: int, **changes: Any) -> SeenLease:
        return SeenLease(Path("x"), replace(Holder("t", host="node07", pid=1), **changes), renewed)

    def test_only_a_lease_that_stays_as_it_is_is_over(self):
        now = [1000.0]
        watch = Watch(lambda: now[0])
        for renewed in (5, 10**30, -7):  # clocks of other machines may be anywhere, and jump
            assert not watch.is_over(self.lease(renewed))
            now[0] += locks.PATIENCE - 1
            assert not watch.is_over(self.lease(renewed))
        now[0] += 1
        assert watch.is_over(self.lease(-7))
        assert not watch.is_over(SeenLease(Path("x"), Holder("next", host="node07", pid=1), -7))

    def test_a_holder_misses_many_beats_before_it_is_given_up(self):
        assert locks.PATIENCE >= 10 * locks.BEAT

    @pytest.mark.parametrize(
        ("changes", "over"),
        [
            ({}, False),
            ({"born": "1"}, True),  # another process has its number by now
            ({"pid": 2**22 + 1}, True),
            ({"pid": 2**22 + 1, "host": "node07"}, False),
            ({"pid": 2**22 + 1, "place": "the same host before it was started again"}, False),
        ],
    )
    def test_a_process_is_seen_to_have_ended_on_the_same_machine_alone(
        self, changes: dict[str, Any], over: bool
    ):
        lease = SeenLease(Path("x"), replace(Holder.me(), **changes), 0)
        assert Watch(lambda: 0.0).is_over(lease) == over

    def test_a_killed_process_whose_parent_has_not_noticed_has_ended(self):
        code = "import sys, time; from bench.base.lock_holder import Holder; "
        code += "print(Holder.me().written().decode(), flush=True); time.sleep(60)"
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE) as process:
            assert process.stdout
            holder = Holder.read(process.stdout.readline(), otherwise="")
            assert not holder.has_ended
            os.kill(holder.pid, signal.SIGKILL)
            os.waitid(os.P_PID, holder.pid, os.WEXITED | os.WNOWAIT)
            assert holder.has_ended


def test_of_many_that_wait_for_a_lost_lease_exactly_one_at_a_time_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    impatient(monkeypatch)
    elsewhere(tmp_path / "x")
    inside, most, entered = [0], [0], [0]
    guard = threading.Lock()

    def work() -> None:
        with locks.held(tmp_path / "x", waiting=lambda: None) as lease:
            with guard:
                inside[0] += 1
                entered[0] += 1
                most[0] = max(most[0], inside[0])
            time.sleep(0.02)
            lease.check()
            with guard:
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (most[0], entered[0]) == (1, 12)
    assert list(tmp_path.iterdir()) == []


def test_of_two_that_take_over_at_the_same_moment_the_second_gets_nothing(tmp_path: Path):
    lost = locks._chain(elsewhere(tmp_path / "x"))
    first, second = (locks._create(tmp_path / "x", after=lost) for _ in range(2))
    assert first is not None
    assert first.is_held()
    assert second is None
    first.release()
    assert list(tmp_path.iterdir()) == []


def test_who_takes_over_too_late_withdraws(tmp_path: Path):
    """Its holder was alive after all, and has finished in between; the lock is another's by now."""
    lost = locks._chain(elsewhere(tmp_path / "x"))
    (tmp_path / "x").unlink()
    with locks.held(tmp_path / "x", waiting=lambda: pytest.fail("nobody holds it")) as lease:
        assert locks._create(tmp_path / "x", after=lost) is None
        lease.check()
    assert list(tmp_path.iterdir()) == []


HOLDER = """
import pathlib, sys, time
from bench.base import locks
locks.BEAT = 0.05
with locks.held(pathlib.Path(sys.argv[1]), waiting=None) as lease:
    print("held", flush=True)
    sys.stdin.readline()
    lease.check()
"""


def test_a_stopped_holder_is_replaced_and_notices_it_before_it_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """SIGSTOP, as a cluster suspends a job: the process is there, and renews nothing."""
    impatient(monkeypatch)
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, cwd=ROOT, text=True, **pipes) as process:
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        process.send_signal(signal.SIGSTOP)
        with locks.held(tmp_path / "x", waiting=lambda: None) as lease:
            process.send_signal(signal.SIGCONT)
            _, said = process.communicate("go\n", timeout=60)
            lease.check()
        assert process.returncode == 1
    assert f"process {process.pid} on {socket.gethostname()}" in capsys.readouterr().err
    assert f"; process {os.getpid()} on {socket.gethostname()}, since " in said
    assert "has taken it over; its result was not written. Run the same command again" in said
    assert list(tmp_path.iterdir()) == []


def test_a_holder_that_lives_is_waited_for_beyond_the_patience(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    impatient(monkeypatch)
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "x")]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with subprocess.Popen(words, cwd=ROOT, text=True, **pipes) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == "held\n"
        began = time.monotonic()
        threading.Timer(4.0, process.stdin.write, ["go\n"]).start()
        threading.Timer(4.1, process.stdin.flush).start()
        with locks.held(tmp_path / "x", waiting=lambda: None):
            assert time.monotonic() - began > locks.PATIENCE
    assert process.returncode == 0


def test_a_process_killed_before_it_wrote_its_name_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    impatient(monkeypatch)
    (tmp_path / "x").touch()
    with locks.held(tmp_path / "x", waiting=lambda: None):
        pass
    assert "waiting for a process that has not written its name yet; " in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_lock_whose_file_was_deleted_is_lost(tmp_path: Path):
    with locks.held(tmp_path / "x", waiting=lambda: None) as lease:
        lease.check()
        (tmp_path / "x").unlink()
        with pytest.raises(InputError, match="or the file was deleted; its result was not written"):
            lease.check()


def test_a_full_disk_leaves_no_lease(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(locks.os, "write", full)
    with pytest.raises(OSError, match="No space"), locks.held(tmp_path / "x", waiting=lambda: None):
        pass
    assert list(tmp_path.iterdir()) == []
