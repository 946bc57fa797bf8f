"""Lists in messages: ten lines at most with the line before, how many more there are, and where all stand."""

import doctest
from pathlib import Path

import pytest

from bench.base import lists

MANY = [f"{number}.jpg" for number in range(50)]


def test_the_doctests_hold():
    assert doctest.testmod(lists).failed == 0


def test_of_fifty_the_first_eight_have_a_line_each_and_a_file_has_all(tmp_path: Path):
    text = lists.as_lines(MANY, all_in=tmp_path / "new" / "all.txt")
    lines = text.split("\n")
    assert lines[0] == ""
    assert lines[1:9] == [f"  {name}" for name in MANY[:8]]
    assert lines[9:] == [f"  and 42 more, all listed in {tmp_path}/new/all.txt"]
    assert (tmp_path / "new" / "all.txt").read_text().splitlines() == MANY


@pytest.mark.parametrize("count", range(50))
def test_with_the_line_before_no_list_has_more_than_ten_lines(count: int, tmp_path: Path):
    message = f"wrong:{lists.as_lines(MANY[:count], all_in=tmp_path / 'all.txt')}"
    assert message.count("\n") < 10
    shown = sum(name in message for name in MANY[:count])
    assert shown == count or f"and {count - shown} more, all listed in" in message
    assert lists.in_line(MANY[:count]).count("\n") == 0


def test_a_file_that_moves_is_named_where_it_will_be(tmp_path: Path):
    text = lists.as_lines(MANY, all_in=tmp_path / "a.txt", moves_to=Path("there/a.txt"))
    assert text.endswith("and 42 more, all listed in there/a.txt")
    assert (tmp_path / "a.txt").is_file()


@pytest.mark.parametrize("count", [0, 1, 8])
def test_eight_or_fewer_need_no_file(tmp_path: Path, count: int):
    assert lists.as_lines(MANY[:count], all_in=tmp_path / "all.txt").count("\n") == count
    assert list(tmp_path.iterdir()) == []


def test_without_a_file_the_others_are_counted():
    assert lists.as_lines(MANY).endswith("\n  7.jpg\n  and 42 more")


def test_a_file_that_cannot_be_written_does_not_take_the_message(tmp_path: Path):
    (tmp_path / "file").touch()
    text = lists.as_lines(MANY, all_in=tmp_path / "file" / "all.txt")
    assert f"and 42 more (cannot write {tmp_path}/file/all.txt" in text


def test_an_entry_is_one_line_of_bearable_length_and_its_bytes_can_be_written(tmp_path: Path):
    odd = ["a\nb\t.jpg", "x" * 5000, "caf\udce9.jpg"]
    lines = lists.as_lines(odd).split("\n")[1:]
    assert lines[0] == r"  a\nb\t.jpg"
    assert len(lines[1]) < 410
    assert lines[2] == r"  caf\udce9.jpg"
    lists.as_lines(odd * 4, all_in=tmp_path / "all.txt")
    assert len((tmp_path / "all.txt").read_bytes()) > 4 * 5000
