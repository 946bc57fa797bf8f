"""Read from and write to the Hugging Face Hub by its own client, which keeps a cache and finds the token.

Only files that are asked for by name or pattern are fetched, and each is compared with the digest that the
Hub states for it. Nothing of what is fetched is executed.
"""

import hashlib
import importlib
import re
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bench.base.errors import InputError

Kind = Literal["model", "dataset"]
PREFIX = "hf:"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
LOG_IN = "log in with hf auth login, or set HF_TOKEN"
WRITE = "make a token with the right to write to it at {}/settings/tokens"
OFFLINE = "HF_HUB_OFFLINE forbids to ask the Hub; set HF_HUB_OFFLINE=0"
SHA1_DIGITS = 40  # of a git blob's name; the digests of large files have the 64 of SHA-256


@dataclass(frozen=True)
class Address:
    """A repository of the Hub at a revision: a branch, a tag or a commit."""

    kind: Kind
    name: str
    revision: str = "main"

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}" + ("" if self.revision == "main" else f"@{self.revision}")


def is_address(text: object) -> bool:
    """Whether a text, or a path made of it, means a repository of the Hub: `hf:ORG/NAME`."""
    return str(text).startswith(PREFIX)


def address(text: object, kind: Kind) -> Address:
    """The repository that `hf:ORG/NAME` or `hf:ORG/NAME@REVISION` means; InputError if it means none.

    >>> address("hf:mine/srn@v1", "model")
    Address(kind='model', name='mine/srn', revision='v1')
    """
    name, _, revision = str(text).removeprefix(PREFIX).partition("@")
    check_name(name, where=str(text))
    if ("@" in str(text) and not REVISION.fullmatch(revision)) or ".." in revision:
        raise InputError(f"{text}: after @ a branch, a tag or a commit is expected, as in hf:{name}@main")
    return Address(kind, name, revision or "main")


def check_name(name: str, *, where: str) -> None:
    """InputError unless this can be the name of a repository; where: what gave it, for the message."""
    parts = name.split("/")
    if not NAME.fullmatch(name) or ".." in name or "--" in name or any(p[-1] in ".-" for p in parts):
        raise InputError(
            f"{where}: not a repository of the Hub; write ORG/NAME, of letters, digits, ., _ and single -"
        )


def download(there: Address, patterns: Sequence[str], *, needed: Collection[str] = ()) -> Path:
    """The folder with the repository's files that match a pattern, named by the commit they are of.

    Without network it is taken from the cache. needed: files that must be in it. InputError says in a line
    why there is no such folder, or which file is damaged.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 (slow to import)

    with _faults(there), _quiet():
        path = HfApi().snapshot_download(
            there.name, repo_type=there.kind, revision=there.revision, allow_patterns=list(patterns)
        )
    folder = Path(path)
    if absent := [name for name in needed if not (folder / name).exists()]:
        raise InputError(f"{there}: its commit {folder.name[:12]} has no {absent[0]}")
    _refuse_damaged(there, folder, patterns)
    return folder


def _refuse_damaged(there: Address, folder: Path, patterns: Sequence[str]) -> None:
    """InputError if a file has not the digest that the Hub stated; the file is then deleted.

    The cache names the content of each file by this digest.
    """
    for link in sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}):
        content = link.resolve()
        if len(content.name) not in (SHA1_DIGITS, 64) or not re.fullmatch("[0-9a-f]+", content.name):
            continue  # a file system without links
        if _digest(content, content.name) != content.name:
            content.unlink()
            link.unlink(missing_ok=True)
            raise InputError(
                f"{there}: {link.relative_to(folder)} is damaged: it has not the digest that the Hub states; "
                "it was deleted, run the same command again to fetch it anew"
            )


def _digest(path: Path, stated: str) -> str:
    """The file's digest, of the kind of the stated one: SHA-256, or git's SHA-1 of a blob."""
    digest: Any = hashlib.sha256()
    if len(stated) == SHA1_DIGITS:
        digest = hashlib.sha1(f"blob {path.stat().st_size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return str(digest.hexdigest())


def check_push(name: str, kind: Kind, *, where: str, private: bool = False) -> None:
    """InputError if it is clear before any work that nothing can be pushed.

    where: the option that asks for it. private: the repository must not be public.
    """
    from huggingface_hub import HfApi  # noqa: PLC0415 (slow to import)
    from huggingface_hub.errors import RepositoryNotFoundError  # noqa: PLC0415 (as above)

    check_name(name, where=f"{where} {name}")
    there, api = Address(kind, name), HfApi()
    with _faults(there):
        token = api.whoami().get("auth", {}).get("accessToken", {})
        if token.get("role") == "read":
            raise InputError(f"{there}: your token can only read; {WRITE.format(api.endpoint)}")
        try:
            is_public = private and not api.repo_info(name, repo_type=kind).private
        except RepositoryNotFoundError:
            return
    if is_public:
        raise InputError(f"{there}: exists and is public; make it private there, or leave --private out")


def push(
    files: Mapping[str, Path | bytes],
    there: Address,
    *,
    private: bool,
    message: str,
    drop: Sequence[str] = (),
    if_absent: Mapping[str, bytes] | None = None,
) -> Address:
    """Push files, by their paths in the repository, in one commit; returns the address with that commit.

    The repository is made if there is none. drop: files of an earlier push that must not stay.
    if_absent: files that are pushed only where there is none of that name.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi  # noqa: PLC0415 (slow)

    api = HfApi()
    with _faults(there), _quiet():
        api.create_repo(there.name, repo_type=there.kind, private=private or None, exist_ok=True)
        present = api.list_repo_files(there.name, repo_type=there.kind)
        absent = {name: content for name, content in (if_absent or {}).items() if name not in present}
        changes: list[Any] = [CommitOperationDelete(name) for name in drop if name in present]
        changes += [CommitOperationAdd(name, content) for name, content in {**absent, **files}.items()]
        done = api.create_commit(there.name, changes, commit_message=message, repo_type=there.kind)
    return Address(there.kind, there.name, done.oid)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the client's progress bars where nobody sees them move."""
    utils: Any = importlib.import_module("huggingface_hub.utils")

    if sys.stderr.isatty() or utils.are_progress_bars_disabled():
        yield
        return
    utils.disable_progress_bars()
    try:
        yield
    finally:
        utils.enable_progress_bars()


@contextmanager
def _faults(there: Address) -> Iterator[None]:
    """Around calls of the client: whatever it raises becomes an InputError of one line."""
    errors: Any = importlib.import_module("huggingface_hub.errors")
    try:
        yield
    except InputError:
        raise
    except (errors.HTTPError, errors.EntryNotFoundError, OSError, ValueError, RuntimeError) as fault:
        raise InputError(f"{there}: {_reason(fault, there)}") from fault


def _reason(fault: BaseException, there: Address) -> str:
    """What is wrong, and the remedy."""
    from huggingface_hub import constants  # noqa: PLC0415 (slow to import)

    errors: Any = importlib.import_module("huggingface_hub.errors")
    in_cache = isinstance(fault, errors.LocalEntryNotFoundError)
    cause = fault.__cause__ if in_cache or isinstance(fault, RuntimeError) else None
    if cause and not isinstance(cause, errors.OfflineModeIsEnabled):
        return _reason(cause, there)
    if in_cache or isinstance(fault, errors.OfflineModeIsEnabled):
        return f"{'is not in the cache, and ' if in_cache else ''}{OFFLINE}"
    kind = "data set" if there.kind == "dataset" else there.kind
    revision = f"has no revision {there.revision}; give a branch, a tag or a commit of it"
    unseen = f"the Hub has no such {kind}, or your token cannot see it; check the name, or {LOG_IN}"
    remedies: dict[type[BaseException], str] = {
        errors.LocalTokenNotFoundError: f"needs a token of the Hub; {LOG_IN}",
        errors.GatedRepoError: f"its owner gives access on request; ask for it on its page, then {LOG_IN}",
        errors.RepositoryNotFoundError: unseen,
        errors.RevisionNotFoundError: revision,
    }
    if remedy := next((text for error, text in remedies.items() if isinstance(fault, error)), ""):
        return remedy
    if isinstance(fault, errors.HfHubHTTPError):
        return _answer(fault)
    said = " ".join(str(fault).split())[:300] or type(fault).__name__
    if isinstance(fault, errors.HTTPError):
        return f"{constants.ENDPOINT} cannot be reached ({said}); check the network and HF_ENDPOINT"
    return f"the Hub's client gave up: {said}; run the same command again"


def _answer(fault: Any) -> str:
    """What the status of a refusal means."""
    from huggingface_hub import constants  # noqa: PLC0415 (slow to import)

    status = fault.response.status_code
    if status == 401:
        return f"the Hub does not accept your token; {LOG_IN}"
    if status == 403:
        return f"your token may not do this; {WRITE.format(constants.ENDPOINT)}"
    said = " ".join((fault.server_message or "").split())[:200]
    return f"the Hub answers {status}{f' ({said})' if said else ''}; try again later"
