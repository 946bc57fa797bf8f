"""`bench.load`: a model that answers as `bench.predict` does; the examples of docs/python.md run."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ExifTags, Image

from bench import load
from bench.base import paths
from bench.base.errors import InputError
from bench.data.cards import Card
from bench.data.store import Store
from bench.deploy import hub_folder
from bench.deploy.answers import Choice
from bench.deploy.predict_images import predict_images
from bench.deploy.python_model import Model
from tests.runs import finished

PAGE = (paths.ROOT / "docs" / "python.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def runs(small_card: Card, store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    finished("srn", card=small_card, store=store, folder=folder / "demo")
    return folder


@pytest.fixture(scope="module")
def model(runs: Path) -> Model:
    return load("demo/srn", runs=runs, device="cpu")


@pytest.fixture(scope="module")
def files(store: Store, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Test images as files: more than a batch, and one of another size."""
    folder = tmp_path_factory.mktemp("images")
    images_NHWC = store.test.images(np.arange(40))
    for number, image_HWC in enumerate(images_NHWC):
        Image.fromarray(image_HWC).save(folder / f"{number:02d}.png")
    Image.fromarray(images_NHWC[0]).resize((90, 61)).save(folder / "40.png")
    return sorted(folder.iterdir())


def test_it_answers_as_the_command(model: Model, files: list[Path]):
    assert model.predict(files) == list(predict_images(model.loaded, files, Choice(None)))
    assert model.predict(files, top=3) == list(predict_images(model.loaded, files, Choice(3)))
    some = model.predict(files, threshold=0.5)
    assert some == list(predict_images(model.loaded, files, Choice(None, 0.5)))
    fitted = model.predict(files, threshold="fitted")
    assert fitted == list(predict_images(model.loaded, files, Choice(None, fitted=True)))


def test_paths_pictures_and_arrays_of_one_image_have_the_same_answer(model: Model, files: list[Path]):
    pictures = [Image.open(path) for path in files]
    arrays = [np.asarray(picture) for picture in pictures]
    p_NC = model.probabilities(files)
    assert p_NC.shape == (len(files), 10)
    for images in (map(str, files), pictures, arrays):
        assert (model.probabilities(images) == p_NC).all()
    answers = model.predict(arrays)
    assert [answer.image for answer in answers[:2]] == ["image 0", "image 1"]
    by_label = dict(answers[7].labels)
    assert [by_label[name] for name in model.labels] == p_NC[7].tolist()
    assert model.predict([]) == []
    assert model.probabilities([]).shape == (0, 10)


@pytest.mark.parametrize("exif", ["turn", "ignore"])
def test_photographs_are_turned_as_asked(model: Model, tmp_path: Path, exif: Any):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))
    image.getexif()[ExifTags.Base.Orientation] = 6
    image.save(tmp_path / "turned.png", exif=image.getexif())
    path = tmp_path / "turned.png"
    of_file = model.probabilities([path], exif=exif)
    assert (model.probabilities([Image.open(path)], exif=exif) == of_file).all()
    assert (of_file == model.probabilities([path])).all() == (exif == model.loaded.exif)


def test_an_export_is_loaded_too(model: Model, files: list[Path], tmp_path: Path):
    list(hub_folder.write_folder(model.loaded, tmp_path / "export", onnx=False))
    again = load(tmp_path / "export", device="cpu")
    assert (again.probabilities(files) == model.probabilities(files)).all()
    assert repr(again) == "Model(srn on demo, 10 labels)"
    assert again.record["metrics"] == model.record["metrics"]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ("gone.png", "gone.png: image missing"),
        (np.zeros((8, 8), np.uint8), r"image 0: an array of uint8, shape \(8, 8\); give uint8, \(H, W, 3\)"),
        (np.zeros((8, 8, 3)), r"image 0: an array of float64, shape .* give uint8"),
        (Image.new("F", (8, 8)), "image 0: a PIL image of mode F; convert it to RGB"),
        (7, "image 0: a int; give a path, a PIL image, or a uint8 array"),
    ],
)
def test_an_image_that_cannot_be_used_is_named(model: Model, image: Any, message: str):
    with pytest.raises(InputError, match=message):
        model.predict([image])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"top": 0}, "top=0: give at least 1"),
        ({"threshold": 2}, "threshold=2: give a confidence from 0 to 1"),
        ({"threshold": "x"}, "threshold='x': give a confidence"),
        ({"threshold": float("nan")}, "threshold=nan: give a confidence"),
        ({"exif": "x"}, "exif='x': choose from"),
    ],
)
def test_a_wrong_option_is_refused(model: Model, options: dict[str, Any], message: str):
    with pytest.raises(InputError, match=message):
        model.predict([np.zeros((8, 8, 3), np.uint8)], **options)


def test_a_single_image_is_no_list(model: Model):
    for image in ("a.png", Path("a.png"), Image.new("RGB", (8, 8))):
        with pytest.raises(InputError, match=r"give a list of images, as in predict\(\[image\]\)"):
            model.predict(image)


def test_a_wrong_run_lists_those_there_are(runs: Path):
    with pytest.raises(InputError, match=r"^load: nope: neither a path nor a run .* choose from: demo/srn"):
        load("nope", runs=runs)


def test_the_examples_of_the_page_run(
    runs: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(paths, "RUNS", runs)
    names: dict[str, Any] = {}
    examples = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(examples) == 5
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)  # noqa: S102 (our own page)
    assert "mAP   100.00" in capsys.readouterr().out
