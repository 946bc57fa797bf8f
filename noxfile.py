"""`nox -s tests`, `slow`, `browser`, `lint`, `perf`; `nox -s reproduce-<card>` for every card there is."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nox

sys.path.insert(0, str(Path(__file__).parent))  # nox does not look for modules here
from bench.base.errors import InputError
from bench.data import cards  # what it imports comes with Python, so nox has it too

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYPROJECT = nox.project.load_toml("pyproject.toml")


def install(session: nox.Session, *groups: str) -> None:
    """The suite itself, editable, with the dependency groups of pyproject.toml."""
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; options after `--` go to pytest."""
    install(session, "tests")
    session.run(
        "pytest", "-n", "2", "-m", "not slow and not browser", *session.posargs, env={"OMP_NUM_THREADS": "1"}
    )


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take minutes: processes killed at random, several processes under torchrun."""
    install(session, "tests")
    session.run("pytest", "-m", "slow", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def browser(session: nox.Session) -> None:
    """The report's page in a headless Chromium: that of this machine, else one that Playwright downloads."""
    install(session, "browser")
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        session.run("playwright", "install", "chromium")
    session.run("pytest", "-m", "browser", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def perf(session: nox.Session) -> None:
    """Measure metrics, data and, on the device there is, training; each prints its figures as ratios."""
    install(session)
    session.run("python", "-m", "bench.perf", "data")
    session.run("python", "-m", "bench.perf", "metrics")
    session.run("python", "-m", "bench.perf", "train", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """The linter, the formatter and the type checker."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


def reproduce(card: str) -> Callable[[nox.Session], None]:
    """The session that reproduces the paper's comparison on one data set."""

    def session_of_card(session: nox.Session) -> None:
        name = data_set(session, card)
        require_data(session, cards.load_card(name))
        install(session)
        words = [word for word in session.posargs if word != "--download"]
        if words != session.posargs:
            places = (*option(words, "--source"), *option(words, "--data"))
            session.run("python", "-m", "bench.prepare", "--dataset", name, "--download", *places)
        command = ("python", "-m", "bench.run", "--dataset", name)
        session.run(*command, "--method", "all", *words)
        if card == "demo" and not session.posargs:
            # The control: ResNet-101 trained on for the epochs that SRN's further stages take.
            session.run(*command, "--method", "resnet101", "--budget", "equal")
        runs = option(session.posargs, "--runs")
        session.run("python", "-m", "bench.table", "--dataset", name, *runs)
        session.run("python", "-m", "bench.check", "--dataset", name, *runs)

    session_of_card.__doc__ = f"{card}: prepare, train all methods, table, check; options go to bench.run."
    return session_of_card


def data_set(session: nox.Session, card: str) -> str:
    """The session's card, or the variant of it that is asked for, `--dataset nuswide@keep=all`, as its folder
    is called.
    """
    words = option(session.posargs, "--dataset") or ["--dataset", card]
    try:
        return cards.load_card(words[1]).name
    except IndexError:
        session.error("--dataset: a name is expected after it, as in nuswide@keep=all")
    except InputError as mistake:
        session.error(str(mistake))


def require_data(session: nox.Session, card: cards.Card) -> None:
    """Stop before anything is installed where the owner's files are needed and neither they nor a store are
    named.
    """
    stores = Path(*option(session.posargs, "--data")[1:] or ["data"])
    if not card.obtain or (stores / card.name / "manifest.json").exists():
        return
    if "--download" not in session.posargs and not option(session.posargs, "--source"):
        again = f"nox -s reproduce-{cards.base(card.name)} --"
        fetch = f"; or have it fetched: {again} --download" if card.archives and not card.not_offered else ""
        session.error(f"{card.obtain}; then: {again} --source DIR{fetch}")


def option(words: list[str], name: str) -> list[str]:
    """An option with its value, `--name VALUE` or `--name=VALUE`; nothing where it is not there."""
    apart = [
        part for word in words for part in (word.split("=", 1) if word.startswith(f"{name}=") else [word])
    ]
    return apart[apart.index(name) : apart.index(name) + 2] if name in apart else []


for name in cards.names():
    nox.session(name=f"reproduce-{name}")(reproduce(name))
