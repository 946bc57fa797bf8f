"""Work in several processes gives the same results as in one; errors of a process are reported."""

import os
import resource
import sys
from types import SimpleNamespace

import pytest

from bench.base import processes
from bench.base.errors import InputError


def test_one_process_works_in_order():
    assert list(processes.map_unordered(abs, iter([-2, 1, -3]), processes=1)) == [2, 1, 3]


def test_an_exception_in_one_process_ends_all():
    with pytest.raises(ValueError, match="invalid literal for int"):
        list(processes.map_unordered(int, iter(["1", "x", "2", "3"]), processes=2))


def test_a_killed_process_is_reported():
    with pytest.raises(
        InputError, match="a process was killed, perhaps because memory ran out; run the same"
    ):
        list(processes.map_unordered(os._exit, iter([3]), processes=2))


def test_cores_are_those_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch):
    assert processes.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processes.cores() == os.cpu_count()


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_is_in_bytes_on_every_system(platform: str, unit: int, monkeypatch: pytest.MonkeyPatch):
    peaks = {resource.RUSAGE_SELF: 3, resource.RUSAGE_CHILDREN: 5}
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(processes.resource, "getrusage", lambda who: SimpleNamespace(ru_maxrss=peaks[who]))
    assert processes.peak_memory() == 3 * unit
    assert processes.peak_memory(with_children=True) == 5 * unit
