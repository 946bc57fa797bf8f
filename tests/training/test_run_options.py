"""The options of `bench.run`: every recipe field is an option, and of two values the last one counts."""

from pathlib import Path
from typing import Any

import pytest

from bench import run
from bench.base import method_names
from bench.base.errors import InputError
from bench.training import method, run_options

USUAL = ["--dataset", "demo", "--method", "srn"]


PARSER = run_options.parser(None)


def changes(*words: str) -> dict[str, str]:
    return run_options.changes(PARSER.parse_args([*USUAL, *words]))


def test_every_field_of_every_method_is_an_option():
    for name in method_names.method_summaries():
        for field in method.fields(method.load_method(name)):
            assert changes(f"--{field.replace('_', '-')}", "1") == {field: "1"}


def test_an_option_of_a_field_is_the_same_as_set():
    assert changes("--batch-size=8") == changes("--set", "batch_size=8") == {"batch_size": "8"}


def test_the_first_preparation_may_leave_images_out(monkeypatch: pytest.MonkeyPatch):
    asked: dict[str, object] = {}

    def prepare(_: object, **how: object) -> None:
        asked.update(how)
        raise InputError("far enough")

    monkeypatch.setattr(run.preparation, "prepare", prepare)
    words = ["--dataset", "demo", "--method", "resnet101", "--device", "cpu"]
    for more in ([], ["--allow-partial"]):
        with pytest.raises(InputError, match="far enough"):
            run.main([*words, *more])
        assert asked["allow_partial"] is bool(more)


def test_of_a_field_given_twice_the_last_counts():
    assert changes("--lr", "1", "--set", "lr=2") == {"lr": "2"}
    assert changes("--set", "lr=2", "--lr", "1") == {"lr": "1"}


def test_a_field_that_is_true_or_false_may_stand_alone():
    assert changes("--from-scratch", "--fresh") == {"from_scratch": "true"}
    assert changes("--mirror", "false") == {"mirror": "false"}
    assert changes() == {}


def test_help_lists_the_fields_of_all_methods_and_of_each(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit):
        run_options.parser("What it does.").parse_args(["--help"])
    printed = " ".join(capsys.readouterr().out.split())
    assert "Trunk, stages and validation: Each field of a" in printed
    assert "--lr 0.02 is --set lr=0.02. attention_epochs, batch_norm" in printed
    assert "recipe fields: Labels and loss: focal_gamma, gamma_neg" in printed
    assert "recipe fields: Optimizer and schedule: batch_size, betas," in printed
    assert "recipe fields: Augmentation: crops, cutout," in printed
    assert "--ema DECAY moving average of the weights" in printed
    single = printed.partition("recipe fields of single methods: ")[2]
    assert single.startswith("asl: image_reduction csra: heads, lam knn: features, ")
    assert "resnet107: extra_blocks srn: alpha," in single


def test_an_unknown_option_is_answered_with_those_there_are():
    with pytest.raises(InputError, match="unrecognized arguments: --gpu 1; choose from: --help, .*--lr"):
        changes("--gpu", "1")
    with pytest.raises(InputError, match=r"unrecognized arguments: --epoch 3; did you mean --epochs\?$"):
        changes("--epoch", "3")
    with pytest.raises(InputError, match=r"^unrecognized arguments: --methods; did you mean --method\?$"):
        run_options.parser(None).parse_args(["--dataset", "demo", "--methods", "srn"])


def test_a_field_named_like_an_option_of_the_command_is_reached_by_set(monkeypatch: pytest.MonkeyPatch):
    real = method.fields
    monkeypatch.setattr(method, "fields", lambda module: {**real(module), "source": str})
    args = run_options.parser(None).parse_args(
        [*USUAL, "--set", "source=web", "--lr", "1", "--source", "files"]
    )
    assert run_options.changes(args) == {"source": "web", "lr": "1"}
    assert args.source == Path("files")


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("SRN-att", [("srn_att", {})]),
        ("srn,resnet101@budget=equal", [("srn", {}), ("resnet101", {"budget": "equal"})]),
        ("resnet101@budget=equal,lr=0.1,srn", [("resnet101", {"budget": "equal", "lr": "0.1"}), ("srn", {})]),
    ],
)
def test_a_method_may_carry_changes_of_its_own_as_its_record_does(text: str, chosen: list[Any]):
    assert run_options.methods(text) == chosen


@pytest.mark.parametrize("text", ["snr", "srn@budget", "lr=0.1", ""])
def test_what_is_no_method_is_refused(text: str):
    with pytest.raises(InputError):
        run_options.methods(text)
