"""bench.predict: a run predicts for image files what it predicted for the same images in the store."""

import csv
import io
import json
import os
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image
from scipy.special import expit

from bench import predict
from bench.base.errors import InputError
from bench.data import decode
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import image_files
from bench.deploy.answers import Answer, Choice, as_csv, as_json, as_text
from bench.scoring import predictions
from tests.records import refused
from tests.runs import finished


@pytest.fixture(scope="module")
def runs(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs: SRN, and ResNet-101, which is SRN's first stage."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("srn", "resnet101"):
        finished(name, card=small_card, store=store, folder=folder / "demo")
    return folder


@pytest.fixture(scope="module")
def scenes(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store's test images as files in nested folders; sorted by name they are in the store's order."""
    folder = tmp_path_factory.mktemp("scenes")
    for number, image_HWC in enumerate(store.test.images(np.arange(len(store.test)))):
        path = folder / f"{number // 20}" / f"{number:03d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(image_HWC).save(path)
    return folder


@pytest.fixture
def ask(runs: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command on a run of the folder; returns exit status, standard output and standard error."""

    def predict_with(*words: object, run: str = "srn") -> tuple[int, str, str]:
        (path,) = (runs / "demo").glob(f"{run}@*.json")
        places = ["--run", str(path), "--device", "cpu"]
        status = predict.main([*places, *map(str, words)])
        return status, *capsys.readouterr()

    return predict_with


def kept(runs: Path, name: str) -> predictions.Predictions:
    (path,) = (runs / "demo" / "predictions").glob(f"{name}@*.safetensors")
    return predictions.read_predictions(path)


@pytest.mark.parametrize("name", ["srn", "resnet101"])
def test_its_confidences_are_those_of_the_runs_predictions_file(
    name: str, ask: Any, runs: Path, scenes: Path
):
    status, out, err = ask("--images", scenes, "--top", 10, "--format", "json", "--batch-size", 96, run=name)
    assert (status, err) == (0, "")
    answers = json.loads(out)
    assert [Path(answer["image"]).stem for answer in answers] == [f"{n:03d}" for n in range(48)]
    logits_NC, names = kept(runs, name).logits_NC, kept(runs, name).facts["label_names"]
    for answer, logits_C in zip(answers, logits_NC, strict=True):
        values = [label["confidence"] for label in answer["labels"]]
        assert values == sorted(values, reverse=True)
        by_label = {label["label"]: label["confidence"] for label in answer["labels"]}
        assert by_label == dict(zip(names, expit(logits_C.astype(np.float64)).tolist(), strict=True))


def test_the_size_of_a_batch_does_not_matter(ask: Any, scenes: Path):
    answers = [
        json.loads(ask("--images", scenes, "--format", "json", "--batch-size", size)[1])
        for size in (1, 7, 96)
    ]
    for first, *others in zip(*answers, strict=True):
        for other in others:
            expected, values = (
                [label["confidence"] for label in answer["labels"]] for answer in (first, other)
            )
            assert values == pytest.approx(expected, abs=1e-5)


def test_an_unusable_file_is_reported_and_skipped_and_the_status_is_1(ask: Any, scenes: Path, tmp_path: Path):
    (tmp_path / "notes.txt").write_text("no image", encoding="utf-8")
    (tmp_path / "a.png").write_bytes(b"")
    whole = scenes / "0" / "000.png"
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:400])
    files = [tmp_path / "notes.txt", tmp_path / "a.png", tmp_path / "cut.png", whole]
    status, out, err = ask("--images", *files, "--format", "json", "--batch-size", 2)
    answers = json.loads(out)
    reasons = ["not an image", "empty file", "cut short or damaged"]
    assert status == 1
    assert [answer.get("error") for answer in answers] == [*reasons, None]
    assert [len(answer["labels"]) for answer in answers] == [0, 0, 0, 5]
    assert err == "".join(f"{file}: {why}\n" for file, why in zip(files, reasons, strict=False))


def test_an_image_of_another_shape_and_mode_is_accepted(ask: Any, tmp_path: Path):
    Image.new("L", (300, 97), 128).save(tmp_path / "grey.jpg")
    status, out, _ = ask("--images", tmp_path)
    assert status == 0
    assert re.search(rf"{tmp_path}/grey.jpg +(\w+ [01]\.\d{{3}}\*? *){{5}}\n\* predicted: .*\n$", out)


def test_the_answers_can_go_to_a_file(ask: Any, scenes: Path, tmp_path: Path):
    _, printed, _ = ask("--images", scenes / "0", "--format", "csv")
    status, out, _ = ask("--images", scenes / "0", "--format", "csv", "--output", tmp_path / "a.csv")
    assert (status, out) == (0, f"written: {tmp_path / 'a.csv'}\n")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == printed


@pytest.mark.parametrize("form", ["text", "csv", "json"])
def test_a_name_that_is_not_utf8_is_escaped(ask: Any, scenes: Path, tmp_path: Path, form: str):
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    shutil.copy(scenes / "0" / "000.png", path)
    words = ("--images", path, "--format", form, "--maps", tmp_path / "maps")
    assert ask(*words, "--output", tmp_path / "answers")[0] == 0
    text = (tmp_path / "answers").read_text(encoding="utf-8")
    assert "caf\\xe9.png" in text.replace("\\\\", "\\")
    assert ask(*words)[1] == text
    assert (tmp_path / "maps" / "0001-caf.png").exists()


def test_a_long_name_is_cut_in_the_name_of_its_maps(ask: Any, scenes: Path, tmp_path: Path):
    for name in (240 * "a", 60 * "ß" + 18 * "größe"):
        shutil.copy(scenes / "0" / "000.png", tmp_path / f"{name}.png")
    assert ask("--images", tmp_path, "--maps", tmp_path / "maps")[0] == 0
    drawn = sorted(path.name for path in (tmp_path / "maps").iterdir())
    assert drawn == [f"0001-{200 * 'a'}.png", f"0002-{60 * 'ß'}{11 * 'größe'}gr.png"]


class TestWhichLabels:
    NAMES = ("a", "b", "c", "d")
    VALUES = np.array([0.5, 0.9, 0.5, 0.1])

    @pytest.mark.parametrize(
        ("choice", "expected"),
        [
            (Choice(), "bacd"),
            (Choice(1), "b"),
            (Choice(9), "bacd"),
            (Choice(None, 0.5), "bac"),
            (Choice(2, 0.5), "ba"),
            (Choice(None, 0.95), ""),
        ],
    )
    def test_the_most_confident_labels_come_first_and_equal_ones_keep_their_order(
        self, choice: Choice, expected: str
    ):
        assert "".join(name for name, _ in choice.select(self.NAMES, self.VALUES)) == expected

    @pytest.mark.parametrize(
        ("words", "most", "least"),
        [((), 5, 0.0), (("--top", 3), 3, 0.0), (("--threshold", 0), 10, 0.0), (("--threshold", 1), 0, 1.0)],
    )
    def test_five_by_default_and_a_threshold_alone_does_not_limit_the_number(
        self, ask: Any, scenes: Path, words: tuple[object, ...], most: int, least: float
    ):
        _, out, _ = ask("--images", scenes / "0" / "000.png", "--format", "json", *words)
        (answer,) = json.loads(out)
        assert len(answer["labels"]) == most
        assert all(label["confidence"] >= least for label in answer["labels"])


class TestFormats:
    ANSWERS = (
        Answer("a.jpg", (("größer", 0.75), ("b, c", 0.125))),
        Answer("b.jpg", error="not an image"),
        Answer("c.jpg", maps="m/c.png"),
    )

    def test_text_has_one_line_per_image(self):
        lines = [re.split(r"  +", line.strip()) for line in as_text(self.ANSWERS).splitlines()]
        assert lines[0] == ["image", "1", "2"]
        assert lines[2:] == [
            ["a.jpg", "größer 0.750", "b, c 0.125"],
            ["b.jpg", "(not an image)"],
            ["c.jpg", "(none)"],
        ]

    def test_csv_has_one_line_per_label_and_every_digit(self):
        rows = list(csv.DictReader(io.StringIO(as_csv(self.ANSWERS))))
        assert [(row["image"], row["rank"], row["label"], row["confidence"]) for row in rows] == [
            ("a.jpg", "1", "größer", "0.75"),
            ("a.jpg", "2", "b, c", "0.125"),
            ("b.jpg", "", "", ""),
            ("c.jpg", "", "", ""),
        ]
        assert [row["error"] for row in rows] == ["", "", "not an image", ""]
        assert rows[-1]["maps"] == "m/c.png"

    def test_json_names_maps_and_errors_where_there_are_any(self):
        labels = [{"label": "größer", "confidence": 0.75}, {"label": "b, c", "confidence": 0.125}]
        assert json.loads(as_json(self.ANSWERS)) == [
            {"image": "a.jpg", "labels": labels},
            {"image": "b.jpg", "labels": [], "error": "not an image"},
            {"image": "c.jpg", "labels": [], "maps": "m/c.png"},
        ]


class TestFiles:
    def test_a_folder_gives_its_images_at_any_depth_each_once_and_no_hidden_ones(self, tmp_path: Path):
        for name in ("b.JPG", "a/z.png", "a/y.webp", "notes.txt", ".hidden.png", ".cache/c.png"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).touch()
        paths = image_files.list_images([tmp_path, tmp_path / "b.JPG", tmp_path / "notes.txt"])
        assert [str(path.relative_to(tmp_path)) for path in paths] == [
            "a/y.webp",
            "a/z.png",
            "b.JPG",
            "notes.txt",
        ]

    def test_what_cannot_be_read_is_named_and_not_passed_over(self, tmp_path: Path):
        folder, elsewhere = tmp_path / "images", tmp_path / "elsewhere"
        for path in (folder / "a", elsewhere):
            path.mkdir(parents=True)
        Image.new("RGB", (9, 9)).save(folder / "a" / "0.png")
        (folder / "b.HEIC").write_bytes(b"\0\0\0\x18ftypheic" + bytes(9))
        (folder / "c.jpg").symlink_to("none")
        (folder / "d").symlink_to(elsewhere)
        (folder / "e.jxl").write_bytes(b"\xff\x0a" + bytes(9))
        os.mkfifo(folder / "f.jpg")
        (batch,) = image_files.read_batches(image_files.list_images([folder]), side=8, batch_size=9)
        assert [path.name for path in batch.usable] == ["0.png"]
        assert {path.name: reason.partition(";")[0] for path, reason in batch.reasons.items()} == {
            "b.HEIC": "an HEIC image",
            "c.jpg": "a link to nothing",
            "d": "a link to a folder, which is not searched",
            "e.jxl": "a JPEG XL image",
            "f.jpg": decode.NO_FILE,
        }

    def test_a_folder_that_cannot_be_read_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        closed = PermissionError(13, "Permission denied", str(tmp_path))
        monkeypatch.setattr(os, "walk", lambda _, onerror: onerror(closed) or iter(()))
        (batch,) = image_files.read_batches(image_files.list_images([tmp_path]), side=8, batch_size=9)
        assert batch.reasons == {tmp_path: "a folder that cannot be read"}

    def test_an_image_of_another_format_makes_the_status_1(self, ask: Any, scenes: Path, tmp_path: Path):
        shutil.copy(scenes / "0" / "000.png", tmp_path)
        (tmp_path / "b.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(9))
        status, _, err = ask("--images", tmp_path)
        assert status == 1
        assert f"{tmp_path}/b.heic: an HEIC image; convert it" in err

    def test_many_batches_come_in_order(self, scenes: Path, store: Store):
        read = list(image_files.read_batches(image_files.list_images([scenes]), side=64, batch_size=5))
        assert [len(batch.paths) for batch in read] == [5] * 9 + [3]
        images_NHWC = np.concatenate([batch.images_BHWC for batch in read])
        assert np.array_equal(images_NHWC, store.test.images(np.arange(48)))


class TestOrientation:
    def test_that_is_not_applied_is_one_line_and_an_option_applies_it(self, ask: Any, tmp_path: Path):
        """The demo's card ignores it, so that is what the model was trained with."""
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        picture = Image.fromarray(self.STORED)
        for name, how in (("a.jpg", {"exif": exif}), ("b.jpg", {"exif": exif}), ("c.jpg", {})):
            picture.save(tmp_path / name, **how)
        status, ignored, err = ask("--images", tmp_path, "--format", "json")
        assert status == 0
        assert err == (
            "2 of 3 images have an EXIF orientation, which was ignored, as in the model's training; to turn"
            f" them, add --exif turn (the first: {tmp_path}/a.jpg)\n"
        )
        _, turned, err = ask("--images", tmp_path, "--format", "json", "--exif", "turn")
        assert err == ""
        before, after = json.loads(ignored), json.loads(turned)
        assert before[0] != after[0]
        assert before[2] == after[2]
        assert ask("--images", tmp_path, "--format", "json", "--exif", "ignore")[1:] == (ignored, "")

    STORED = np.random.default_rng(3).integers(0, 256, (16, 24, 3), np.uint8)

    def pixels(self, path: Path, exif: str = "turn") -> Any:
        (batch,) = image_files.read_batches([path], side=8, batch_size=1, exif=exif)
        assert not batch.reasons
        return batch.images_BHWC[0]

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_a_photograph_is_turned_as_its_camera_was_held(
        self, tmp_path: Path, suffix: str, orientation: int
    ):
        exif, plain = Image.Exif(), Image.fromarray(self.STORED)
        exif[ExifTags.Base.Orientation] = orientation
        more = {"lossless": True} if suffix == "webp" else {}
        plain.save(tmp_path / f"a.{suffix}", exif=exif, **more)
        plain.save(tmp_path / f"b.{suffix}", **more)
        quarters = {1: 0, 3: 2, 6: 3, 8: 1}[orientation]
        upright = np.rot90(decode.decode(tmp_path / f"b.{suffix}"), quarters)
        turned = self.pixels(tmp_path / f"a.{suffix}")
        assert np.array_equal(turned, decode.resize(np.ascontiguousarray(upright), 8))
        stored = decode.resize(decode.decode(tmp_path / f"b.{suffix}"), 8)
        assert np.array_equal(self.pixels(tmp_path / f"a.{suffix}", "ignore"), stored)

    def test_without_orientation_or_with_damaged_exif_pixels_are_as_they_are_stored(self, tmp_path: Path):
        plain = Image.fromarray(self.STORED)
        for name, exif in (("none", b""), ("odd", b"Exif\0\0II*\0\xff\xff\xff\xff"), ("cut", b"Exif\0\0I")):
            plain.save(tmp_path / f"{name}.jpg", exif=exif)
            stored = decode.resize(decode.decode(tmp_path / f"{name}.jpg"), 8)
            assert np.array_equal(self.pixels(tmp_path / f"{name}.jpg"), stored)


def _refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    return refused(predict.main, words, capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--images", "{}/none.jpg"], "--images .*none.jpg: no such file or folder"),
        (["--images", "{}"], "no image in this folder; names must end in one of .bmp, .*.webp$"),
        (["--images", "{}/a.txt", "--top", "0"], "--top 0: give at least 1"),
        (["--images", "{}/a.txt", "--threshold", "1.5"], "--threshold 1.5: give a confidence from 0 to 1"),
        (["--images", "{}/a.txt", "--threshold", "nan"], "--threshold nan: give a confidence from 0 to 1"),
        (["--images", "{}/a.txt", "--batch-size", "0"], "--batch-size 0: give at least 1"),
        (["--images", "{}/a.txt"], "--run srn-seed0: neither a path nor a run in .*; train one with"),
        (["--images", "{}/a.txt", "--run", "{}"], "not an exported model: no config.json in it"),
    ],
)
def test_a_mistake_is_reported_in_one_line_with_status_2(
    words: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "a.txt").touch()
    given = [word.format(tmp_path) for word in words]
    line = _refused(["--run", "srn-seed0", "--runs", str(tmp_path), *given], capsys)
    assert re.search(message, line)


class TestMaps:
    def test_each_image_gets_a_file_with_the_maps_of_its_labels(self, ask: Any, scenes: Path, tmp_path: Path):
        (tmp_path / "bad.png").touch()
        files = [tmp_path / "bad.png", scenes / "0" / "000.png", scenes / "0" / "001.png"]
        words = ("--images", *files, "--top", 2, "--maps", tmp_path / "maps", "--format", "json")
        _, out, _ = ask(*words)
        drawn = [answer.get("maps") for answer in json.loads(out)]
        assert drawn == [None, *(str(tmp_path / "maps" / name) for name in ("0002-000.png", "0003-001.png"))]
        for path in drawn[1:]:
            with Image.open(path) as picture:
                assert picture.size == (3 * 260, 2 * 276)

    def test_a_method_without_attention_lists_the_methods_that_have_it(
        self, ask: Any, scenes: Path, tmp_path: Path
    ):
        message = "--maps: ResNet-101 has no attention maps; use a run of a method that has: SRN-att, SRN"
        with pytest.raises(InputError, match=message):
            ask("--images", scenes, "--maps", tmp_path / "maps", run="resnet101")
        assert list(tmp_path.iterdir()) == []

    def test_a_folder_that_cannot_be_written_is_named(self, ask: Any, scenes: Path, tmp_path: Path):
        (tmp_path / "file").touch()
        with pytest.raises(InputError, match="file: is not a folder; give another folder: --maps DIR"):
            ask("--images", scenes / "0" / "000.png", "--maps", tmp_path / "file")
