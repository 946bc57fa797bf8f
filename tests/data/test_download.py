"""Downloads: resumed by range, checked by MD5, correct whatever the server does."""

import hashlib
import io
import os
import subprocess
import sys
import threading
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import prepare
from bench.base.errors import InputError
from bench.base.paths import ROOT
from bench.data import cards, download, unpack
from bench.data.cards import Archive, Card
from tests import server, trees
from tests.server import serving

CONTENT = np.random.default_rng(0).bytes(300_000)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No pauses, no proxy, small chunks; returns the pauses that were requested."""
    pauses: list[float] = []
    monkeypatch.setattr(download.time, "sleep", pauses.append)
    monkeypatch.setattr(download, "CHUNK", 10_000)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return pauses


def archive(at: server.Server, content: bytes = CONTENT, **changes: Any) -> Archive:
    facts = {
        "url": at.url,
        "bytes": len(content),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
    return Archive(**{**facts, **changes})


def test_a_complete_file_is_renamed_to_fetched(tmp_path: Path):
    with serving(CONTENT) as at:
        path = download.download(archive(at), tmp_path)
    assert path == tmp_path / "archive.zip.fetched"
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]


def test_an_interrupted_download_is_resumed_by_range(tmp_path: Path, at_once: list[float], capsys: Any):
    with serving(CONTENT, server.cut(100_000), server.cut(50_000), server.properly) as at:
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT
        assert at.ranges == [None, "bytes=100000-", "bytes=150000-"]
    assert at_once == [2, 2]
    line = "archive.zip: the connection ended after 100,000 of 300,000 bytes; next attempt in 2 s\n"
    assert line in capsys.readouterr().err


def test_a_part_that_an_earlier_process_left_is_resumed(tmp_path: Path):
    (tmp_path / "archive.zip.part").write_bytes(CONTENT[:123_456])
    with serving(CONTENT) as at:
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT
        assert at.ranges == ["bytes=123456-"]


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
def test_after_a_temporary_error_the_server_is_asked_again(tmp_path: Path, code: int, at_once: list[float]):
    with serving(CONTENT, server.status(code), server.status(code), server.properly) as at:
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT
    assert at_once == [2, 4]


def test_after_several_errors_the_download_stops_and_the_part_is_kept(tmp_path: Path):
    with (
        serving(CONTENT, server.cut(1000), server.status(503)) as at,
        pytest.raises(
            InputError,
            match="archive.zip: the server answers 503 Service Unavailable; run the same command again to",
        ),
    ):
        download.download(archive(at), tmp_path)
    assert len(at.ranges) == 1 + download.MAX_FAILURES - 1
    assert (tmp_path / "archive.zip.part").read_bytes() == CONTENT[:1000]
    assert not (tmp_path / "archive.zip.fetched").exists()


@pytest.mark.parametrize("code", [403, 404, 410])
def test_after_a_permanent_error_the_server_is_not_asked_again(tmp_path: Path, code: int):
    with (
        serving(CONTENT, server.status(code)) as at,
        pytest.raises(InputError, match=f"the server answers {code}"),
    ):
        download.download(archive(at), tmp_path)
    assert len(at.ranges) == 1


def test_a_server_that_does_not_answer_is_reported(tmp_path: Path):
    with serving(CONTENT) as at:
        nobody = archive(at)
    with pytest.raises(InputError, match="Connection refused.*; run the same command again to resume"):
        download.download(nobody, tmp_path)


def test_a_server_without_ranges_sends_everything_again(tmp_path: Path):
    with serving(CONTENT, server.cut(200_000), server.without_ranges) as at:
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT
        assert at.ranges == [None, "bytes=200000-"]


@pytest.mark.parametrize("confused", [server.another_range, server.a_part_as_200])
def test_a_response_with_another_range_than_requested_is_not_trusted(tmp_path: Path, confused: server.Answer):
    with serving(CONTENT, server.cut(200_000), confused, server.properly) as at:
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT
        assert at.ranges == [None, "bytes=200000-", None]


def test_a_server_that_always_sends_wrong_ranges_is_given_up(tmp_path: Path):
    """Each attempt receives the same bytes again, which does not count as progress."""
    with (
        serving(CONTENT, *[server.cut(200_000), server.another_range] * 9) as at,
        pytest.raises(InputError, match="run the same command again to resume"),
    ):
        download.download(archive(at), tmp_path)
    assert len(at.ranges) <= 2 * download.MAX_FAILURES


def test_a_file_with_a_wrong_md5_is_deleted(tmp_path: Path):
    with (
        serving(CONTENT[::-1]) as at,
        pytest.raises(
            InputError,
            match=r"archive.zip is not the archive of the card: its MD5 is [0-9a-f]{32}, not [0-9a-f]{32};"
            " the file was deleted, run the same command again to download it anew",
        ),
    ):
        download.download(archive(at), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_part_of_another_file_is_detected_by_the_md5_and_downloaded_again(tmp_path: Path):
    (tmp_path / "archive.zip.part").write_bytes(bytes(1000))
    with serving(CONTENT) as at:
        with pytest.raises(InputError, match="run the same command again to download it anew"):
            download.download(archive(at), tmp_path)
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_downloaded_again(tmp_path: Path):
    (tmp_path / "archive.zip.part").write_bytes(CONTENT + b"more")
    with serving(CONTENT) as at:
        with pytest.raises(InputError, match="run the same command again to download it anew"):
            download.download(archive(at), tmp_path)
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT


def test_a_file_of_another_size_than_on_the_card_is_refused_before_it_is_downloaded(tmp_path: Path):
    with (
        serving(CONTENT) as at,
        pytest.raises(
            InputError, match="archive.zip is not the archive of the card: it has 300000 bytes, not 400,000"
        ),
    ):
        download.download(archive(at, bytes=400_000), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_response_without_end_is_not_received_forever(tmp_path: Path):
    def endless(handler: server.Handler, _: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        for _ in range(10_000):
            try:
                handler.wfile.write(bytes(10_000))
            except OSError:
                break
        handler.close_connection = True

    with serving(CONTENT, endless) as at, pytest.raises(InputError, match="the file was deleted"):
        download.download(archive(at), tmp_path)


def test_an_archive_that_the_user_put_there_is_used_if_its_md5_is_right(tmp_path: Path):
    (tmp_path / "archive.zip").write_bytes(CONTENT)
    with serving(CONTENT) as at:
        assert download.download(archive(at), tmp_path).read_bytes() == CONTENT
        assert at.ranges == []
        (tmp_path / "archive.zip").write_bytes(b"mine")
        with pytest.raises(
            InputError, match="archive.zip is not the archive of the card: its MD5 is .*; move it away"
        ):
            download.download(archive(at), tmp_path)
    assert (tmp_path / "archive.zip").read_bytes() == b"mine"


def test_a_full_disk_is_reported_with_path_and_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "archive.zip.part").symlink_to("/dev/full")
    monkeypatch.setattr(download, "_size", lambda _: 0)
    with (
        serving(CONTENT) as at,
        pytest.raises(
            InputError, match=r"cannot write .*archive.zip.part beyond 0 bytes: No space left on device"
        ),
    ):
        download.download(archive(at), tmp_path)


def test_only_http_and_https_are_allowed(tmp_path: Path):
    with pytest.raises(
        InputError,
        match="file:///etc/passwd cannot be downloaded; the URL must begin with http:// or https://",
    ):
        download.download(Archive("file:///etc/passwd", 9, "0" * 32), tmp_path)


@pytest.mark.parametrize("url", ["http://a..b/x.zip", "http://127.0.0.1:port/x.zip"])
def test_a_url_that_cannot_be_asked_for_is_refused_at_once(tmp_path: Path, url: str, at_once: list[float]):
    with pytest.raises(InputError, match="x.zip is not a URL that can be asked for: "):
        download.download(Archive(url=url, bytes=9, md5="0"), tmp_path)
    assert at_once == []


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "http://127.0.0.1/.."])
def test_a_url_without_the_name_of_a_file_is_refused(tmp_path: Path, url: str):
    with pytest.raises(InputError, match="the URL of an archive must end in the name of a file"):
        download.download(Archive(url=url, bytes=9, md5="0"), tmp_path)


def test_a_folder_or_pipe_in_the_place_of_the_archive_is_named(tmp_path: Path):
    os.mkfifo(tmp_path / "x.zip")
    with pytest.raises(InputError, match="x.zip is not a file; move it away"):
        download.download(Archive(url="http://127.0.0.1/x.zip", bytes=9, md5="0"), tmp_path)


def test_the_download_of_a_killed_process_is_resumed(tmp_path: Path):
    part = tmp_path / "archive.zip.part"
    content = CONTENT * 40
    with serving(content, server.slowly) as at:
        wanted = archive(at, content)
        code = (
            "from pathlib import Path\nfrom bench.data import download\n"
            "from bench.data.cards import Archive\n"
            f"download.CHUNK = 1 << 16; download.download({wanted!r}, Path({str(tmp_path)!r}))"
        )
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT) as process:
            end = time.monotonic() + 60
            while not part.exists() or part.stat().st_size < 500_000:
                assert time.monotonic() < end
            process.kill()
        assert not (tmp_path / "archive.zip.fetched").exists()
        arrived = part.stat().st_size
        assert arrived < len(content)
        at.answers[:] = [server.properly]
        assert download.download(wanted, tmp_path).read_bytes() == content
        assert at.ranges == [None, f"bytes={arrived}-"]


def done(folder: Path) -> list[Path]:
    """The images and annotations that are unpacked."""
    return [path for path in folder.glob("*/*") if path.is_file()]


def stop() -> None:
    raise KeyboardInterrupt


class TestFetch:
    @staticmethod
    def zipped(root: Path) -> bytes:
        """A small MS-COCO as one archive."""
        content = io.BytesIO()
        with zipfile.ZipFile(content, "w") as made:
            for path in sorted(trees.coco(root).rglob("*")):
                made.write(path, path.relative_to(root))
        return content.getvalue()

    @pytest.fixture
    def offered(self, tmp_path: Path) -> Any:
        content = self.zipped(tmp_path / "owner")
        with serving(content) as at:
            yield at, trees.card("coco", archives=(archive(at, content),))

    def test_unpacks_into_the_source_folder_and_downloads_only_once(
        self, offered: tuple[server.Server, Card], tmp_path: Path
    ):
        at, card = offered
        folder = download.fetch(card, tmp_path / "source")
        assert trees.coco(tmp_path / "same") != folder
        names = {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}
        same = {
            path.relative_to(tmp_path / "same") for path in (tmp_path / "same").rglob("*") if path.is_file()
        }
        assert names == same | {Path(".archive.zip.unpacked")}
        download.fetch(card, folder)
        assert len(at.ranges) == 1

    def test_keeps_an_archive_that_was_there_before(
        self, offered: tuple[server.Server, Card], tmp_path: Path
    ):
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / "archive.zip").write_bytes(offered[0].content)
        download.fetch(offered[1], tmp_path / "source")
        assert (tmp_path / "source" / "archive.zip").exists()

    def test_killed_while_unpacking_resumes_in_the_same_space_and_deletes_its_archive(
        self, offered: tuple[server.Server, Card], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ):
        at, card = offered
        folder, disk = tmp_path / "source", int(2.1 * len(at.content))

        def left(_: Path) -> Any:
            used = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
            return type("Usage", (), {"free": disk - used})()

        monkeypatch.setattr(download.shutil, "disk_usage", left)
        write = unpack._write
        monkeypatch.setattr(unpack, "_write", lambda *a: write(*a) if len(done(folder)) < 3 else stop())
        with pytest.raises(KeyboardInterrupt):
            download.fetch(card, folder)
        monkeypatch.setattr(unpack, "_write", write)
        assert len(done(folder)) == 3
        download.fetch(card, folder)
        assert len(at.ranges) == 1
        assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [".archive.zip.unpacked"]

    def test_of_two_at_once_one_downloads_and_the_other_waits(
        self, offered: tuple[server.Server, Card], tmp_path: Path, capsys: Any
    ):
        at, card = offered
        folder, waiting = tmp_path / "source", threading.Event()

        def when_the_other_waits(handler: server.Handler, content: bytes) -> None:
            assert waiting.wait(timeout=30)
            server.properly(handler, content)

        at.answers[:] = [when_the_other_waits]
        both = [threading.Thread(target=download.fetch, args=(card, folder)) for _ in range(2)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(download, "_say_waiting", lambda _: waiting.set())
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
        assert at.ranges == [None]
        assert "0 archives to download" in capsys.readouterr().err
        assert (folder / ".archive.zip.unpacked").exists()

    def test_says_that_it_waits(self, tmp_path: Path, capsys: Any):
        download._say_waiting(tmp_path)
        assert f"waiting for another process that downloads into {tmp_path}" in capsys.readouterr().err

    def test_names_a_path_that_is_not_a_folder(self, offered: tuple[server.Server, Card], tmp_path: Path):
        (tmp_path / "source").write_bytes(b"a file")
        with pytest.raises(InputError, match=r"cannot write to the folder .*source: (File exists|Not a dir)"):
            download.fetch(offered[1], tmp_path / "source")

    def test_says_how_much_space_is_needed_and_stops_if_it_is_not_free(
        self,
        offered: tuple[server.Server, Card],
        tmp_path: Path,
        capsys: Any,
        monkeypatch: pytest.MonkeyPatch,
    ):
        monkeypatch.setattr(download.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000})())
        with pytest.raises(InputError, match="the archives of coco need 0.0 GB in .*--source DIR"):
            download.fetch(offered[1], tmp_path / "source")
        assert (
            "MS-COCO: 1 archives to download and unpack; they need up to 0.0 GB in" in capsys.readouterr().err
        )

    def test_says_whom_to_ask_if_there_is_nothing_to_download(self, tmp_path: Path):
        with pytest.raises(
            InputError, match="NUS-WIDE cannot be downloaded automatically; ask the Lab for Media Search"
        ):
            download.fetch(cards.load_card("nuswide"), tmp_path / "source")
        assert list(tmp_path.iterdir()) == []

    def test_first_says_what_the_archives_do_not_contain(
        self, offered: tuple[server.Server, Card], tmp_path: Path, capsys: Any
    ):
        card = replace(offered[1], not_offered="the test images")
        download.fetch(card, tmp_path / "source")
        assert capsys.readouterr().err.startswith(
            "MS-COCO: the download does not contain the test images; get train2014.zip, "
        )

    def test_is_the_first_step_of_preparing_with_download(
        self,
        offered: tuple[server.Server, Card],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: Any,
    ):
        monkeypatch.setattr(cards, "load_card", lambda *_, **__: offered[1])
        assert prepare.main(["--dataset", "coco", "--data", str(tmp_path / "data"), "--download"]) == 0
        assert "train: 4 images, 5 positive labels" in capsys.readouterr().out
        assert (tmp_path / "data" / "coco.source" / "train2014").is_dir()
