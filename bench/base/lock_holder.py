"""The process that holds a lock: what it writes about itself, and whether it is seen to have ended."""

import json
import os
import secrets
import socket
import time
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Holder:
    """The process that holds a lock; place: its machine, since it was started; born: when its process was."""

    token: str
    host: str = ""
    place: str = ""
    pid: int = 0
    born: str = ""
    since: str = ""
    job: str = ""

    def __str__(self) -> str:
        if not self.pid:
            return "a process that has not written its name yet"
        job = f" (Slurm job {self.job})" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since} UTC"

    @classmethod
    def me(cls) -> "Holder":
        """The process that asks, with a new token."""
        token, since = secrets.token_hex(8), time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())
        pid, job = os.getpid(), os.environ.get("SLURM_JOB_ID", "")
        return cls(token, socket.gethostname(), _place(), pid, _state_and_birth(pid)[1], since, job)

    @classmethod
    def read(cls, text: bytes, *, otherwise: str) -> "Holder":
        """The process that wrote the text; one with the token `otherwise` if it was killed while it wrote."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return cls(otherwise)

    def written(self) -> bytes:
        """What `read` reads."""
        return json.dumps(asdict(self)).encode()

    @property
    def has_ended(self) -> bool:
        """Whether the process is seen to be gone; False where it may run on another machine."""
        if not self.pid or (self.host, self.place) != (socket.gethostname(), _place()):
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False  # of another user
        state, born = _state_and_birth(self.pid)
        return state in ("Z", "X") or born != self.born


@cache
def _place() -> str:
    """What two processes share that can see each other's numbers: the machine's start, and a container."""
    try:
        started = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{started} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # not on Linux
        return ""


def _state_and_birth(pid: int) -> tuple[str, str]:
    """(state, start in ticks since the machine's start) of a process; empty where that cannot be read."""
    try:
        fields = (
            Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        )
    except OSError:
        return "", ""
    return fields[0], fields[19]
