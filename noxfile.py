"""Sessions of nox: checks, the tests on every supported Python, and `reproduce-NAME` for every data set card.

Every session but `tests-lowest` installs the versions of uv.lock, with which the accepted records were made.
`UV_TORCH_BACKEND=cpu nox -s SESSION` installs PyTorch without CUDA: the same version, about 4.5 GB smaller.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import nox
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

sys.path.insert(0, str(Path(__file__).parent))  # nox does not look for modules here
from bench.base import method_names
from bench.base.errors import InputError
from bench.data import cards  # needs the standard library alone, so nox's own Python can import it

nox.needs_version = ">=2025.2.9"  # the first one with nox.project.dependency_groups
nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
PAPER_METHODS = ("resnet101", "resnet107", "resnet101-semantic", "srn-att", "srn")
# The control: ResNet-101 trained on for the epochs that SRN's further stages take.
CONTROL = "resnet101@budget=equal"
ENVIRONMENT_SIZE = (
    "The environment takes 6 GB of disk and a download of 3 GB once, "
    "with UV_TORCH_BACKEND=cpu 1.5 GB of disk and 0.5 GB"
)
DEMO_COST = "Training takes about 4 minutes on 2 idle CPU cores, data and results take 0.2 GB of disk"
NOTHING_COMPARED = 3  # bench.check's exit status, as on a data set without accepted records
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def install(session: nox.Session, *groups: str) -> None:
    """Install the suite (editable) and dependency groups of pyproject.toml, all at the versions of uv.lock.

    The lock is handed to `uv pip install` as constraints, since `uv sync` does not know UV_TORCH_BACKEND.
    """
    constraints = Path(session.virtualenv.location) / "constraints.txt"
    options = ("--frozen", "--all-groups", "--no-emit-project", "--no-hashes", "--no-header", "--quiet")
    session.run_install("uv", "export", *options, "--output-file", str(constraints), external=True)
    session.install("--constraint", str(constraints), "-e", ".", *requirements(*groups))


def requirements(*groups: str) -> list[str]:
    """The requirements of dependency groups, as pyproject.toml states them."""
    return list(nox.project.dependency_groups(PYPROJECT, *groups))


def fast_tests(session: nox.Session) -> None:
    """Run the tests that take seconds; options after `--` go to pytest."""
    selection = ("-m", "not slow and not browser")
    session.run("pytest", "-n", "2", *selection, *session.posargs, env=ONE_THREAD)


@nox.session
def tests(session: nox.Session) -> None:
    """The tests; options after `--` go to pytest."""
    install(session, "tests")
    fast_tests(session)


def tests_on_python(version: str) -> Callable[[nox.Session], None]:
    """The session that runs the tests on another Python, which uv downloads where it is missing."""

    def session_of_python(session: nox.Session) -> None:
        tests(session)

    session_of_python.__doc__ = f"The tests on Python {version}, with the versions of uv.lock."
    return session_of_python


@nox.session(name="tests-lowest", python="3.11")
def tests_lowest(session: nox.Session) -> None:
    """The tests with the oldest versions that pyproject.toml allows."""
    direct = [*PYPROJECT["project"]["dependencies"], *requirements("tests")]
    session.install("--resolution", "lowest-direct", "-e", ".", *requirements("tests"))
    freeze = session.run_install("uv", "pip", "freeze", "--quiet", external=True, silent=True)
    too_high = (
        above_bounds(direct, freeze) if isinstance(freeze, str) else []
    )  # none where -R installs nothing
    if too_high:
        again = "correct the bounds in pyproject.toml, or run again with --reuse-venv=never"
        session.error(f"not the lower bounds of pyproject.toml: {', '.join(too_high)}; {again}")
    fast_tests(session)


def above_bounds(direct: list[str], freeze: str) -> list[str]:
    """The requirements `NAME>=BOUND` that are not installed at exactly BOUND, as `NAME VERSION, not BOUND`.

    `freeze` is what `uv pip freeze` prints: lines `NAME==VERSION`.
    """
    pins = (line.partition("==") for line in freeze.splitlines() if "==" in line)
    installed = {canonicalize_name(name): version for name, _, version in pins}
    bounds = {
        canonicalize_name(requirement.name): specifier.version
        for requirement in map(Requirement, direct)
        for specifier in requirement.specifier
        if specifier.operator == ">="
    }
    return [
        f"{name} {installed.get(name)}, not {bound}"
        for name, bound in sorted(bounds.items())
        if name not in installed or not Requirement(f"{name}=={bound}").specifier.contains(installed[name])
    ]


@nox.session
def slow(session: nox.Session) -> None:
    """The tests that take minutes: processes killed at random, several processes under torchrun."""
    install(session, "tests")
    session.run("pytest", "-n", "2", "-m", "slow", *session.posargs, env=ONE_THREAD)


@nox.session
def browser(session: nox.Session) -> None:
    """Report and leaderboard in headless Chromium: this machine's, else one that Playwright downloads."""
    install(session, "browser")
    if not (shutil.which("chromium") or shutil.which("google-chrome")):
        session.run("playwright", "install", "chromium")
    session.run("pytest", "-m", "browser", *session.posargs, env=ONE_THREAD)


@nox.session
def perf(session: nox.Session) -> None:
    """Measure the speed of metrics, data and training on this machine's device, as ratios."""
    install(session)
    session.run("python", "-m", "bench.perf", "data")
    session.run("python", "-m", "bench.perf", "metrics")
    session.run("python", "-m", "bench.perf", "train", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """The linter, the formatter, the spelling and the type checker."""
    install(session, "lint")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    session.run("codespell")
    session.run("mypy")


def reproduce(card: str) -> Callable[[nox.Session], None]:
    """The session that reproduces the paper's comparison on one data set."""

    def session_of_card(session: nox.Session) -> None:
        name = data_set(session, card)
        require_data(session, cards.load_card(name))
        methods = ("--method", method_list(session, card))  # of an option given twice the last counts
        session.log("; ".join([DEMO_COST, ENVIRONMENT_SIZE] if name == "demo" else [ENVIRONMENT_SIZE]))
        install(session)
        options = [word for word in session.posargs if word != "--download"]
        data_options = (*option(options, "--source"), *option(options, "--data"))
        if options != session.posargs:
            session.run("python", "-m", "bench.prepare", "--dataset", name, "--download", *data_options)
        runs = option(options, "--runs")
        session.run("python", "-m", "bench.run", "--dataset", name, "--table", *options, *methods)
        session.run("python", "-m", "bench.table", "--dataset", name, *runs)
        check = ("python", "-m", "bench.check", "--dataset", name, *runs)
        session.run(*check, success_codes=[0, NOTHING_COMPARED])

    session_of_card.__doc__ = (
        f"{card}: prepare the data, train the paper's five methods (`-- --method all`: its neighbours too), "
        "print the table after each, check the results; options after `--` go to bench.run, also `--terms "
        "equal --budget equal --trunk NAME --input-size N`, which gives all methods the same."
    )
    return session_of_card


def method_list(session: nox.Session, card: str) -> str:
    """What `--method` of bench.run gets: the paper's five by default; with the control on the demo."""
    asked = "".join(option(session.posargs, "--method")[1:]) or ",".join(PAPER_METHODS)
    for part in asked.split(","):
        name = part.partition("@")[0]
        try:
            if name != "all" and "=" not in name:
                method_names.find_method(name)
        except InputError as mistake:
            session.error(str(mistake))
    own_budget = option(session.posargs, "--budget") or option(session.posargs, "--terms")
    if card == "demo" and not own_budget and asked == ",".join(PAPER_METHODS):
        # Long runs before short ones: two at a time then end together.
        return ",".join([*PAPER_METHODS[:2], CONTROL, *PAPER_METHODS[2:]])
    return f"{asked},{CONTROL}" if card == "demo" and not own_budget and asked == "all" else asked


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
for version in ("3.12", "3.13"):
    nox.session(name=f"tests-{version}", python=version)(tests_on_python(version))
