"""Download the archives that a data set's owner publishes: resume by HTTP range, check the MD5, unpack.

Files in the source folder, for an archive NAME:
`NAME.part`: an unfinished download. `NAME.fetched`: complete, MD5 checked, deleted after unpacking.
`NAME`: put there by the user, never deleted. `.NAME.unpacked`: marks that NAME was unpacked completely.
"""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse, InvalidURL
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.base import locks
from bench.base.atomic_files import write_atomically
from bench.base.cli import resume_hint
from bench.base.errors import InputError
from bench.base.progress import Meter, say
from bench.data import hf_snapshot
from bench.data.cards import Archive, Card
from bench.data.formats import _source
from bench.data.unpack import bytes_to_write, unpack

MAX_FAILURES = 6  # in a row without receiving any byte
PAUSE = 2.0  # seconds after the first failure; doubled after each further one
TIMEOUT = 60.0  # seconds
CHUNK = 1 << 20  # bytes
RETRY_STATUS = (408, 416, 425, 429, 500, 502, 503, 504)  # HTTP statuses of temporary problems


class Interrupted(Exception):  # noqa: N818 (no error: the next attempt resumes)
    """The download stopped before its end; another attempt may resume it."""


def fetch(card: Card, folder: Path) -> Path:
    """Download and unpack all archives of the card into the folder, and return the folder.

    Raises InputError if the card has no archives, the disk is too small, the server does not answer, or an
    archive does not have the card's size and MD5. What was downloaded is kept, so that it can be resumed.
    """
    if card.format == hf_snapshot.FORMAT:
        return hf_snapshot.fetch(card, folder)
    if not card.archives:
        raise InputError(f"{card.title} cannot be downloaded automatically; {_source.how_to_get(card)}")
    if card.not_offered:
        say(f"{card.title}: the download does not contain {card.not_offered}; {card.obtain}")
    with _locked(folder):
        missing = [archive for archive in card.archives if not _is_unpacked(archive, folder)]
        paths = {archive: _complete_archive(archive, folder) for archive in missing}
        _check_space(card, paths, folder)
        for archive in missing:
            path = paths[archive] or download(archive, folder)
            unpack(path, folder)
            write_atomically(_marker(archive, folder), archive.md5)
            _fetched(archive, folder).unlink(missing_ok=True)  # an archive that the user put there stays
    return folder


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Let only one process at a time download into the folder; creates the folder."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.held(folder / ".lock", waiting=lambda: _say_waiting(folder)))
        except OSError as error:
            raise InputError(f"cannot write to the folder {folder}: {error.strerror}") from error
        yield


def _say_waiting(folder: Path) -> None:
    say(f"waiting for another process that downloads into {folder}")


def _name(archive: Archive) -> str:
    name = archive.url.rpartition("/")[2]
    if name in ("", ".", ".."):
        raise InputError(
            f"{archive.url}: the URL of an archive must end in the name of a file; change the card"
        )
    return name


def _marker(archive: Archive, folder: Path) -> Path:
    return folder / f".{_name(archive)}.unpacked"


def _is_unpacked(archive: Archive, folder: Path) -> bool:
    marker = _marker(archive, folder)
    return marker.is_file() and marker.read_bytes() == archive.md5.encode()


def _check_space(card: Card, paths: Mapping[Archive, Path | None], folder: Path) -> None:
    """Say how many bytes are needed; InputError if fewer are free. paths: those of complete archives."""
    needed = sum(_bytes_needed(archive, path, folder) for archive, path in paths.items())
    free = shutil.disk_usage(folder).free
    space = f"{needed / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free"
    say(f"{card.title}: {len(paths)} archives to download and unpack; they need up to {space}")
    if needed > free:
        raise InputError(
            f"the archives of {card.name} need {space}; free some space, or give another folder: --source DIR"
        )


def _bytes_needed(archive: Archive, path: Path | None, folder: Path) -> int:
    """The bytes still to be written; images hardly shrink in an archive, so unpacked they take the same."""
    return bytes_to_write(path, folder) if path else 2 * archive.bytes - _size(_part(archive, folder))


def _complete_archive(archive: Archive, folder: Path) -> Path | None:
    """The complete archive, if the folder has one: the user's, or `.fetched`; InputError for a wrong MD5."""
    if not (path := folder / _name(archive)).exists():
        return fetched if (fetched := _fetched(archive, folder)).is_file() else None
    if not path.is_file():
        raise InputError(f"{path} is not a file; move it away")
    if (md5 := _md5(path)) != archive.md5:
        raise InputError(
            f"{path} is not the archive of the card: its MD5 is {md5}, not {archive.md5}; move it away"
        )
    return path


def download(archive: Archive, folder: Path) -> Path:
    """Download an archive, check its MD5 and return its path; resumes what an earlier attempt left."""
    if path := _complete_archive(archive, folder):
        return path
    part = _part(archive, folder)
    failures, most_received = 0, _size(part)
    with Meter(_name(archive), total=archive.bytes, unit="B", done=most_received) as meter:
        while _size(part) < archive.bytes:
            try:
                _receive(archive, part, meter)
            except (OSError, HTTPException, Interrupted) as error:
                failures = 1 if _size(part) > most_received else failures + 1
                most_received = max(most_received, _size(part))
                _wait_or_give_up(archive, failures, error)
    if (md5 := _md5(part)) != archive.md5:
        part.unlink()
        raise InputError(
            f"{archive.url} is not the archive of the card: its MD5 is {md5}, not {archive.md5}; the file was"
            " deleted, run the same command again to download it anew"
        )
    return part.rename(_fetched(archive, folder))


def _part(archive: Archive, folder: Path) -> Path:
    return folder / f"{_name(archive)}.part"


def _fetched(archive: Archive, folder: Path) -> Path:
    return folder / f"{_name(archive)}.fetched"


def _md5(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(archive: Archive, part: Path, meter: Meter) -> None:
    """Append what the server sends to the part; raises Interrupted if the connection ends too early."""
    with _request(archive, part) as response:
        start = _first_byte(archive, part, response)
        meter.add(start - meter.done)
        while meter.done <= archive.bytes and (chunk := response.read(CHUNK)):
            _write(part, chunk, offset=meter.done)
            meter.add(len(chunk))
    if meter.done < archive.bytes:
        raise Interrupted(f"the connection ended after {meter.done:,} of {archive.bytes:,} bytes")


def _write(part: Path, chunk: bytes, *, offset: int) -> None:
    try:
        with part.open("ab" if offset else "wb") as file:
            file.write(chunk)
    except OSError as error:
        raise InputError(f"cannot write {part} beyond {offset:,} bytes: {error.strerror}") from error


def _request(archive: Archive, part: Path) -> HTTPResponse:
    """The server's response to a request for the bytes that the part lacks.

    Raises Interrupted for a temporary problem of the server, InputError for any other.
    """
    if not archive.url.startswith(("http://", "https://")):
        raise InputError(f"{archive.url} cannot be downloaded; the URL must begin with http:// or https://")
    headers = {"User-Agent": "multilabel-bench", "Accept-Encoding": "identity"}
    if start := _size(part):
        headers["Range"] = f"bytes={start}-"
    request = Request(archive.url, headers=headers)  # noqa: S310 (http, checked above)
    try:
        response: HTTPResponse = urlopen(request, timeout=TIMEOUT)  # noqa: S310 (as above)
    except HTTPError as error:
        error.close()
        reason = f"the server answers {error.code} {error.reason}"
        if error.code not in RETRY_STATUS:
            raise InputError(f"{archive.url}: {reason}") from error
        raise Interrupted(reason) from error
    except (ValueError, InvalidURL) as error:  # no name of a host, or no number of a port
        raise InputError(f"{archive.url} is not a URL that can be asked for: {error}") from error
    return response


def _first_byte(archive: Archive, part: Path, response: HTTPResponse) -> int:
    """The offset of the first byte that is sent: the end of the part, or 0 if the server ignores ranges.

    Any other response is not trusted: the part is deleted and Interrupted is raised.
    """
    requested, length = _size(part), response.headers.get("Content-Length")
    if response.status == 206 and response.headers.get("Content-Range", "").startswith(f"bytes {requested}-"):
        return requested
    if response.status == 200 and length in (None, str(archive.bytes)):
        return 0
    if response.status == 200 and not requested:
        raise InputError(
            f"{archive.url} is not the archive of the card: it has {length} bytes, not {archive.bytes:,}"
        )
    part.unlink(missing_ok=True)
    raise Interrupted(f"the server answers {response.status} with another range than requested")


def _wait_or_give_up(archive: Archive, failures: int, error: Exception) -> None:
    if failures >= MAX_FAILURES:
        raise InputError(f"{archive.url}: {error}; {resume_hint()}") from error
    seconds = PAUSE * 2 ** (failures - 1)
    say(f"{_name(archive)}: {error}; next attempt in {seconds:g} s")
    time.sleep(seconds)
