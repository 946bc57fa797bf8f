"""`nox -s tests`, `nox -s lint`, and `nox -s reproduce-<card>` for every card in `datasets/`."""

from pathlib import Path

import nox

nox.needs_version = ">=2024.4.15"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
CARDS = sorted(path.stem for path in Path("datasets").glob("*.toml"))


def install(session: nox.Session, *groups: str) -> None:
    """The suite itself, editable, with the dependency groups of pyproject.toml."""
    session.install("-e", ".", *nox.project.dependency_groups(PYPROJECT, *groups))


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; options after `--` go to pytest."""
    install(session, "tests")
    session.run("pytest", "-n", "2", *session.posargs, env={"OMP_NUM_THREADS": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    """The linter, the formatter and the type checker."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("mypy")


def reproduce(session: nox.Session, card: str) -> None:
    """Prepare, train, print the table, check; options after `--` go to `bench.run`."""
    install(session)
    session.run("python", "-m", "bench.run", "--dataset", card, "--method", "all", *session.posargs)
    if not session.posargs:
        # The control: ResNet-101 trained on for the epochs that SRN's further stages take.
        control = ("--method", "resnet101", "--budget", "equal")
        session.run("python", "-m", "bench.run", "--dataset", card, *control)
    session.run("python", "-m", "bench.table", "--dataset", card)
    session.run("python", "-m", "bench.check", "--dataset", card)


for name in CARDS:
    nox.session(lambda session, card=name: reproduce(session, card), name=f"reproduce-{name}")
