"""Work in several processes: the same as in one, and what happens to them is told."""

import os

import pytest

from bench.base import processes
from bench.base.errors import InputError


def test_one_works_here_and_in_order():
    assert list(processes.each(abs, iter([-2, 1, -3]), processes=1)) == [2, 1, 3]


def test_a_mistake_in_one_ends_all():
    with pytest.raises(ValueError, match="invalid literal for int"):
        list(processes.each(int, iter(["1", "x", "2", "3"]), processes=2))


def test_one_that_the_system_ends_is_told():
    with pytest.raises(InputError, match="the system ended a process, perhaps for lack of memory; the same"):
        list(processes.each(os._exit, iter([3]), processes=2))


def test_are_as_many_as_this_one_may_use(monkeypatch: pytest.MonkeyPatch):
    assert processes.cores() == len(os.sched_getaffinity(0))
    monkeypatch.delattr(os, "sched_getaffinity")
    assert processes.cores() == os.cpu_count()
