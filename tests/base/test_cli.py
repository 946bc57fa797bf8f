"""The last guard of every command: one line and an exit status, whatever ends it; what `--help` prints."""

import argparse
import errno
import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.base import cli, faults
from bench.base.cli import Parser
from bench.base.errors import InputError
from bench.base.paths import METHODS, ROOT
from tests.records import refused


def ended(fault: Exception, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    def main() -> int:
        raise fault

    with pytest.raises(SystemExit) as caught:
        cli.run_command(main)
    return caught.value.code, capsys.readouterr().err


@pytest.mark.parametrize(
    ("fault", "status", "message"),
    [
        (InputError("no"), 2, "error: no"),
        (InputError("a\x1b[2Jb"), 2, r"error: a\x1b[2Jb"),
        (
            OSError(errno.ENOTDIR, "Not a directory", "a/b"),
            2,
            "error: a/b: cannot be used: Not a directory",
        ),
        (OSError(errno.ELOOP, "Too many links", "a"), 2, "error: a: cannot be used: Too many links; a link "),
        (
            OSError(errno.EACCES, "Permission denied", b"a"),
            2,
            "error: a: cannot be used: Permission denied",
        ),
        (OSError("odd"), 2, "error: a file or the output: cannot be used: odd"),
        (UnicodeEncodeError("ascii", "é", 0, 1, "no"), 2, "error: a name or a text is not Unicode ("),
        (RecursionError("deep"), 2, "error: an input is nested too deeply"),
        (MemoryError(), 2, "error: not enough memory; close other programs, or use a smaller batch_size"),
        (RuntimeError("[..] can't allocate memory: 9 bytes"), 2, "error: not enough memory; close"),
        (TypeError("x\ny"), 70, "error: a fault of the suite, please report it: TypeError: x y"),
    ],
)
def test_whatever_ends_a_command_is_one_line(
    fault: Exception, status: int, message: str, capsys: pytest.CaptureFixture[str]
):
    code, err = ended(fault, capsys)
    assert (code, err.count("\n")) == (status, 1)
    assert err.startswith(message)


def test_the_traceback_is_shown_to_who_asks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    assert f"{faults.TRACEBACK}=1 shows the traceback" in ended(TypeError("x"), capsys)[1]
    monkeypatch.setenv(faults.TRACEBACK, "1")
    assert "Traceback" in ended(TypeError("x"), capsys)[1]


def test_a_full_disk_behind_the_output_is_said():
    code = "from bench.base.cli import run_command; run_command(lambda: print('x' * 10))"
    with Path("/dev/full").open("w") as full:
        words = [sys.executable, "-c", code]
        done = subprocess.run(words, cwd=ROOT, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "No space left" in done.stderr


def test_an_ascii_terminal_gets_escapes(monkeypatch: pytest.MonkeyPatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    with pytest.raises(SystemExit) as caught:
        cli.run_command(lambda: print("größer"))
    assert (caught.value.code, stream.buffer.getvalue()) == (0, rb"gr\xf6\xdfer" + b"\n")


def test_a_percent_sign_in_a_cards_name_is_no_pattern():
    parser = Parser(prog="p", description=None)
    cli.add_dataset(parser, ["50%", "a%sb"])
    assert "one of: 50%, a%sb" in parser.format_help()


@pytest.mark.parametrize("option", ["--data", "--runs"])
def test_a_folder_that_is_none_is_refused_at_once(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    file, loop, broken = tmp_path / "file", tmp_path / "loop", tmp_path / "broken"
    file.touch()
    loop.symlink_to(loop)
    broken.symlink_to(tmp_path / "nowhere")
    for path, reason in ((file, "is not a folder"), (loop, "cannot be entered"), (broken, "is a link to a")):
        parser = Parser(prog="p", description=None)
        cli.add_data(parser)
        cli.add_runs(parser)
        message = refused(
            lambda words, mine=parser: done(mine.parse_args(words)), [option, str(path)], capsys
        )
        assert message.startswith(f"error: {path}: {reason}")
        assert message.endswith(f"give another folder: {option} DIR\n")


def done(args: argparse.Namespace) -> int:
    return len(vars(args))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may enter every folder")
def test_a_folder_that_cannot_be_entered_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    parser = Parser(prog="p", description=None)
    cli.add_runs(parser)
    tmp_path.chmod(0)
    try:
        message = refused(lambda words: done(parser.parse_args(words)), ["--runs", str(tmp_path)], capsys)
    finally:
        tmp_path.chmod(0o700)
    assert "cannot be entered: Permission denied" in message


def test_a_fault_in_a_methods_file_is_not_called_one_of_the_suite(capsys: pytest.CaptureFixture[str]):
    fault = TypeError("odd")
    code = compile("\n\nraise fault", str(METHODS / "mine.py"), "exec")
    try:
        eval(code, {"fault": fault})  # noqa: S307 (the code above)
    except TypeError:
        assert ended(fault, capsys)[1].startswith(
            "error: a fault in a method's file: TypeError: odd (methods/mine.py, line 3); BENCH_TRACEBACK=1"
        )
