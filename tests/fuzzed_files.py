"""Whole files of every kind that commands read; the fuzz test damages them."""

import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import safetensors.torch
import timm
import torch

from bench.data import cards
from bench.data.manifest import LAYOUT, MANIFEST, checksum
from bench.data.store import SPLITS
from bench.deploy import hub_folder, load_model
from bench.results.record import write_record
from bench.scoring.predictions import Predictions, write_predictions
from bench.training import method
from tests import records, trees
from tests.conftest import small_recipe
from tests.training.test_log import row

VIEWS = ("train", "held_out", "test")
TRUNK, WITH_WEIGHTS = "resnet10_narrow", "test_resnet"  # ours has no pretrained weights, that of timm may


def pictures(folder: Path) -> None:
    for n in (1, 2, 3, 4):
        trees.jpeg(folder / f"{n}.jpg")


def record_file(folder: Path) -> Path:
    return write_record(records.fake(), folder / "demo")


def log_file(folder: Path) -> Path:
    path = folder / "demo" / "srn-seed0.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(row(epoch=n)) + "\n" for n in (1, 2, 3)), encoding="utf-8")
    return path


def manifest_file(folder: Path) -> Path:
    """Of the present layout, with a checksum that fits."""
    path = folder / "demo" / MANIFEST
    path.parent.mkdir()
    counts = {"images": 1, "positives": 1, "held_out": 0}
    content: dict[str, Any] = {
        "dataset": "demo",
        "made_from": {"layout": LAYOUT, "card": "c" * 64, "reader": "e" * 64, "options": {"keep": "all"}},
        "partial": False,
        "counts": dict.fromkeys(VIEWS, counts),
        "left_out": {"train": {"missing": 1}, "test": {}},
        "files": {view: [1] for view in VIEWS},
        "expected": {view: {"images": 1, "positives": 0, "approximate": False} for view in SPLITS},
        "labels": list(cards.load_card("demo").labels),
        "libraries": {"Pillow": "12.0.0"},
        "differences": ["train: 2 images expected, 1 found"],
        "repeated": {"train": 0, "test": 0},
        "turned": 0,
        "source": None,
        "times": "a" * 64,
    }
    content |= {name: name for name in ("fingerprint", "sources", "listed", "exif", "overlap", "resample")}
    path.write_text(json.dumps(content | {"checksum": checksum(content)}), encoding="utf-8")
    return path


def card_file(folder: Path) -> Path:
    path = folder / "demo.toml"
    shutil.copy(cards.CARDS / "demo.toml", path)
    return path


def csv_file(folder: Path) -> Path:
    path = folder / "p.csv"
    path.write_text("id,a,b\nx,0.5,-1\ny,1.5,2\n", encoding="utf-8")
    (folder / "y.csv").write_text("id,a,b\nx,0,1\ny,1,0\n", encoding="utf-8")
    return path


def tags_file(folder: Path) -> Path:
    path = folder / "tags.csv"
    path.write_text('file,tags\n1.jpg,"a,b"\n2.jpg,a\n3.jpg,"a,b"\n4.jpg,a\n', encoding="utf-8")
    pictures(folder)
    return path


def export_file(folder: Path) -> Path:
    path = folder / "export.json"
    images = [{"id": n, "file_name": f"{n}.jpg"} for n in (1, 2, 3, 4)]
    annotations = [{"image_id": n, "category_id": 1} for n in (1, 2, 3, 4)]
    text = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "a"}]}
    path.write_text(json.dumps(text), encoding="utf-8")
    pictures(folder)
    return path


def npz_file(folder: Path) -> Path:
    path = folder / "p.npz"
    np.savez(path, logits=np.eye(3), labels=np.eye(3, dtype=int))
    return path


def columns_file(folder: Path) -> Path:
    path = folder / "tags.csv"
    path.write_text("file,a,b\n1.jpg,1,0\n2.jpg,0,1\n3.jpg,1,1\n4.jpg,1,0\n", encoding="utf-8")
    pictures(folder)
    return path


def pairs_file(folder: Path) -> Path:
    path = folder / "tags.csv"
    path.write_text("1.jpg\ta\n1.jpg\tb\n2.jpg\ta\n3.jpg\tb\n4.jpg\ta\n", encoding="utf-8")
    pictures(folder)
    return path


def list_card(folder: Path, **options: str) -> None:
    """The card `listed.toml` of three training images and a test image."""
    table = ", ".join(f'{name} = "{value}"' for name, value in options.items())
    lines = ['title = "T"', 'summary = "s"', 'format = "list-files"', 'labels = ["a", "b"]']
    lines += ['source = "ours"', 'licence = "none"', "sizes = { train = 32, test = 32 }"]
    lines += ["train = { images = 3 }", "test = { images = 1 }", f"options = {{ {table} }}"]
    trees.write(folder / "listed.toml", lines)


def list_file(folder: Path) -> Path:
    """A list of images; its matrices of labels and the test set's list lie beside it."""
    pictures(folder)
    names = {f"{split}_{kind}": f"{split}_{kind}.txt" for split in SPLITS for kind in ("list", "labels")}
    list_card(folder, **names)
    trees.write(folder / "train_list.txt", ["1.jpg 1", "2.jpg 2", "3.jpg 0"])
    trees.write(folder / "train_labels.txt", ["1 0", "1 1", "0 0"])
    trees.write(folder / "test_list.txt", ["4.jpg"])
    trees.write(folder / "test_labels.txt", ["1 -1"])
    return folder / "train_list.txt"


def matrix_of_labels_file(folder: Path) -> Path:
    return list_file(folder).with_name("train_labels.txt")


def labelled_list_file(folder: Path) -> Path:
    pictures(folder)
    list_card(folder, train_list="train.csv", test_list="test.csv", line="path-and-labels")
    trees.write(folder / "test.csv", ["4.jpg,1,0"])
    trees.write(folder / "train.csv", ["file,b,a", "1.jpg,1,0", "2.jpg,1,1", "3.jpg,0,0"])
    return folder / "train.csv"


def predictions_file(folder: Path) -> Path:
    path = folder / "p.safetensors"
    labels_NC = np.eye(3, dtype=np.int8)
    facts = {"dataset": "own", "label_names": ["a", "b", "c"], "ids": ["x", "y", "z"], "data": {}}
    write_predictions(path, Predictions(np.eye(3, dtype=np.float32), labels_NC, facts))
    return path


def trunk_file(folder: Path) -> Path:
    """Weights of a trunk, as users give them with `--trunk-weights`."""
    path = folder / "w.safetensors"
    path.write_bytes(_trunk_weights())
    return path


@cache
def _trunk_weights() -> bytes:
    torch.manual_seed(0)
    return bytes(safetensors.torch.save(timm.create_model(WITH_WEIGHTS, num_classes=0).state_dict()))


def exported_file(folder: Path) -> Path:
    """The weights of a model that bench.export wrote, and a picture."""
    trees.jpeg(folder / "1.jpg")
    for name, content in _exported().items():
        (folder / "model" / name).parent.mkdir(exist_ok=True)
        (folder / "model" / name).write_bytes(content)
    return folder / "model" / load_model.WEIGHTS


@cache
def _exported() -> dict[str, bytes]:
    """The content of an exported model's files by name; its weights are random."""
    config = small_recipe("resnet101", trunk=TRUNK)
    recipe = {name: value for name, value in vars(config).items() if not isinstance(value, method.File)}
    record = records.fake("resnet101") | {"recipe": json.loads(json.dumps(recipe))}
    names, path = load_model.label_names(record), Path("no file")
    labels = method.Labels(names, np.eye(len(names), dtype=np.int64))
    model = method.build(method.load_method("resnet101"), config, labels, 0)
    cpu = torch.device("cpu")
    loaded = load_model.build(record, model.state_dict(), cpu, labels=names, source=path)
    with TemporaryDirectory() as folder:
        files = hub_folder.write_folder(loaded, Path(folder))
        return {file.name: file.read_bytes() for file in files}
