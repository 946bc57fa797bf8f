"""Fetch the archives that a data set's owner offers openly: resumed by range, checked by MD5, unpacked.

An archive is called `NAME.part` until its MD5 is the card's, then `NAME.fetched` until it is unpacked; `NAME`
is one that a user put there, and stays. `.NAME.unpacked` says that all of it lies in the source folder.
"""

import contextlib
import hashlib
import shutil
import time
from collections.abc import Iterator, Mapping
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from bench.base import locks
from bench.base.atomic_files import write_atomically
from bench.base.errors import InputError
from bench.base.progress import Meter, say
from bench.data.cards import Archive, Card
from bench.data.unpack import left, unpack

ATTEMPTS = 6  # in a row that bring nothing
PAUSE = 2.0  # seconds after the first of them; each further one waits twice as long
TIMEOUT = 60.0
CHUNK = 1 << 20
PASSING = (408, 416, 425, 429, 500, 502, 503, 504)  # answers that may be others in a while


class Interrupted(Exception):  # noqa: N818 (what happened; the next attempt goes on from there)
    """The server stopped before the end, or cannot answer for now."""


def fetch(card: Card, folder: Path) -> Path:
    """All archives of the card, downloaded and unpacked in the folder, which is then the source.

    Raises InputError where the owner offers none, the disk is too small, the server does not answer, or an
    archive is not the one that the card names. What has arrived by then is kept.
    """
    if not card.archives:
        raise InputError(f"{card.title} is not offered for download; {card.obtain or card.source}")
    if card.not_offered:
        say(f"{card.title}: what is fetched is without {card.not_offered}; {card.obtain}")
    with _alone(folder):
        todo = [archive for archive in card.archives if not _is_unpacked(archive, folder)]
        there = {archive: _there(archive, folder) for archive in todo}
        _need_room(card, there, folder)
        for archive in todo:
            path = there[archive] or download(archive, folder)
            unpack(path, folder)
            write_atomically(_marker(archive, folder), archive.md5)
            _fetched(archive, folder).unlink(missing_ok=True)  # what a user put there stays
    return folder


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Of several processes that fetch into the folder one does, and the others wait; makes the folder."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locks.held(folder / ".lock", waiting=lambda: _say_that_it_waits(folder)))
        except OSError as fault:
            raise InputError(f"cannot write to the folder {folder}: {fault.strerror}") from fault
        yield


def _say_that_it_waits(folder: Path) -> None:
    say(f"another process fetches into {folder}: waiting for it")


def _name(archive: Archive) -> str:
    return archive.url.rpartition("/")[2]


def _marker(archive: Archive, folder: Path) -> Path:
    return folder / f".{_name(archive)}.unpacked"


def _is_unpacked(archive: Archive, folder: Path) -> bool:
    marker = _marker(archive, folder)
    return marker.exists() and marker.read_text(encoding="utf-8") == archive.md5


def _need_room(card: Card, there: Mapping[Archive, Path | None], folder: Path) -> None:
    """Say how many bytes are needed; InputError where there are fewer."""
    need = sum(_need(archive, path, folder) for archive, path in there.items())
    free = shutil.disk_usage(folder).free
    room = f"{need / 1e9:.1f} GB in {folder}, where {free / 1e9:.1f} GB are free"
    say(f"{card.title}: {len(there)} archives to fetch and unpack; they take up to {room}")
    if need > free:
        raise InputError(f"the archives of {card.name} take {room}; make room, or name another: --source DIR")


def _need(archive: Archive, there: Path | None, folder: Path) -> int:
    """What is still to be written: photographs hardly shrink in archives, so both take the same."""
    return left(there, folder) if there else 2 * archive.bytes - _size(_part(archive, folder))


def _there(archive: Archive, folder: Path) -> Path | None:
    """The whole archive, if it is in the folder: a user's, whose MD5 must be right, or one fetched before."""
    if not (path := folder / _name(archive)).exists():
        return fetched if (fetched := _fetched(archive, folder)).exists() else None
    if (found := _md5(path)) != archive.md5:
        raise InputError(f"{path} has the MD5 {found}, not {archive.md5} as on the card; move it away")
    return path


def download(archive: Archive, folder: Path) -> Path:
    """The archive's file, whole and checked; what an earlier attempt left is gone on with."""
    if there := _there(archive, folder):
        return there
    part = _part(archive, folder)
    failures, furthest = 0, _size(part)
    with Meter(_name(archive), total=archive.bytes, unit="B", done=furthest) as meter:
        while _size(part) < archive.bytes:
            try:
                _receive(archive, part, meter)
            except (OSError, HTTPException, Interrupted) as fault:
                failures = 1 if _size(part) > furthest else failures + 1
                furthest = max(furthest, _size(part))
                _wait(archive, failures, fault)
    if (found := _md5(part)) != archive.md5:
        part.unlink()
        raise InputError(
            f"{archive.url} has the MD5 {found}, not {archive.md5} as on the card; it is not kept, the same"
            " command begins anew"
        )
    return part.rename(_fetched(archive, folder))


def _part(archive: Archive, folder: Path) -> Path:
    return folder / f"{_name(archive)}.part"


def _fetched(archive: Archive, folder: Path) -> Path:
    return folder / f"{_name(archive)}.fetched"


def _md5(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _receive(archive: Archive, part: Path, meter: Meter) -> None:
    """Add to the part what the server sends; Interrupted where that is not all."""
    with _answer(archive, part) as response:
        start = _beginning(archive, part, response)
        meter.add(start - meter.done)
        while meter.done <= archive.bytes and (chunk := response.read(CHUNK)):
            _write(part, chunk, at=meter.done)
            meter.add(len(chunk))
    if meter.done < archive.bytes:
        raise Interrupted(f"the connection ended after {meter.done:,} of {archive.bytes:,} bytes")


def _write(part: Path, chunk: bytes, *, at: int) -> None:
    try:
        with part.open("ab" if at else "wb") as file:
            file.write(chunk)
    except OSError as fault:
        raise InputError(f"cannot write {part} beyond {at:,} bytes: {fault.strerror}") from fault


def _answer(archive: Archive, part: Path) -> HTTPResponse:
    """The server's answer to a request for what is missing."""
    if not archive.url.startswith(("http://", "https://")):
        raise InputError(f"{archive.url}: only http:// and https:// are fetched")
    headers = {"User-Agent": "multilabel-bench", "Accept-Encoding": "identity"}
    if start := _size(part):
        headers["Range"] = f"bytes={start}-"
    request = Request(archive.url, headers=headers)  # noqa: S310 (http, as said above)
    try:
        answer: HTTPResponse = urlopen(request, timeout=TIMEOUT)  # noqa: S310 (as above)
    except HTTPError as fault:
        fault.close()
        said = f"the server answers {fault.code} {fault.reason}"
        if fault.code not in PASSING:
            raise InputError(f"{archive.url}: {said}") from fault
        raise Interrupted(said) from fault
    return answer


def _beginning(archive: Archive, part: Path, answer: HTTPResponse) -> int:
    """From which byte on the server sends: where the part ends, or 0 where it knows no ranges.

    An answer that is neither is not trusted: the part is given up, and Interrupted raised.
    """
    wanted, length = _size(part), answer.headers.get("Content-Length")
    if answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {wanted}-"):
        return wanted
    if answer.status == 200 and length in (None, str(archive.bytes)):
        return 0
    if answer.status == 200 and not wanted:
        raise InputError(f"{archive.url} has {length} bytes, not the {archive.bytes:,} of the card")
    part.unlink(missing_ok=True)
    raise Interrupted(f"the server answers {answer.status} with another range than asked for")


def _wait(archive: Archive, failures: int, fault: Exception) -> None:
    if failures >= ATTEMPTS:
        raise InputError(f"{archive.url}: {fault}; the same command goes on where it was") from fault
    seconds = PAUSE * 2 ** (failures - 1)
    say(f"{_name(archive)}: {fault}; next attempt in {seconds:g} s")
    time.sleep(seconds)
