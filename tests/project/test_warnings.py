"""A warning is an error where our own code causes it, and is only shown where a library does."""

import warnings

import pytest


@pytest.mark.parametrize("module", ["bench", "bench.training.loop", "methods.srn", "tests.conftest"])
@pytest.mark.parametrize("kind", [UserWarning, DeprecationWarning, ResourceWarning])
def test_a_warning_in_our_own_code_is_an_error(module: str, kind: type[Warning]):
    with pytest.raises(kind, match="^doubtful$"):
        warnings.warn_explicit("doubtful", kind, "file.py", 1, module=module)


def test_a_warning_at_the_line_that_raises_it_here_is_an_error():
    with pytest.raises(FutureWarning, match="^doubtful$"):
        warnings.warn("doubtful", FutureWarning, stacklevel=1)


@pytest.mark.parametrize("module", ["torch.jit._script", "benchmark", "testsuite", "timm.bench"])
def test_a_warning_of_a_library_about_itself_is_only_shown(module: str):
    with warnings.catch_warnings(record=True) as shown:
        warnings.warn_explicit("doubtful", DeprecationWarning, "file.py", 1, module=module)
    assert [str(warning.message) for warning in shown] == ["doubtful"]
