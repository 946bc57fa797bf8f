"""Format hf-datasets: Parquet files of the Hub, fetched from one on loopback and prepared."""

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from PIL import Image

from bench import prepare
from bench.base.errors import InputError
from bench.data import cards, formats
from bench.data.manifest import read_manifest
from tests import hub_server
from tests.hub_server import Hub
from tests.records import refused

NAMES = ["cat", "dog", "sun"]
LISTS = {"train": [[0], [0, 2], [], [1, 2], [1]], "test": [[2, 0], [1]]}
CARD = """title = "Pets of the Hub"
summary = "pictures"
format = "hf-datasets"
labels = ["cat", "dog", "sun"]
source = "the Hub"
licence = "CC0"
train.images = 5
test.images = 2
sizes = {{ train = 16, test = 16 }}
[options]
repository = "mine/pets"
revision = "{revision}"
"""


@pytest.fixture(autouse=True)
def no_bars() -> Iterator[None]:
    datasets.disable_progress_bars()
    yield
    datasets.enable_progress_bars()


def encoded(seed: int, form: str = "PNG", **how: Any) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (16, 16, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **how)
    return buffer.getvalue()


def parquet(split: str, feature: Any = None, **columns: Any) -> bytes:
    """A file as the library `datasets` pushes it; feature: of the list of labels."""
    lists = LISTS[split]
    images = [{"bytes": encoded(10 * len(split) + n), "path": f"{n}.png"} for n in range(len(lists))]
    feature = feature or datasets.List(datasets.ClassLabel(names=NAMES))
    table = {"image": images, "labels": lists, **columns}
    features = {"image": datasets.Image(), "labels": feature}
    features |= {name: datasets.Value("string") for name in table if name not in features}
    buffer = io.BytesIO()
    datasets.Dataset.from_dict(table, datasets.Features(features)).to_parquet(buffer)
    return buffer.getvalue()


def files(**columns: Any) -> dict[str, bytes]:
    return {f"data/{split}-00000-of-00001.parquet": parquet(split, **columns) for split in LISTS}


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with hub_server.hub(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a card's files, as `--source` takes it."""
    (tmp_path / "cards").mkdir()
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    write_card(tmp_path)
    for name, content in files().items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "files"


def write_card(tmp_path: Path, revision: str = "v1", options: str = "") -> None:
    text = CARD.format(revision=revision) + options
    (tmp_path / "cards" / "pets.toml").write_text(text, encoding="utf-8")


def run(tmp_path: Path, *words: str) -> int:
    return prepare.main(["--dataset", "pets", "--data", str(tmp_path / "data"), *words])


def read(folder: Path, split: str = "train") -> list[formats.Sample]:
    found = formats.reader("hf-datasets")(cards.load_card("pets"), split, folder)
    return [item for item in found if isinstance(item, formats.Sample)]


def test_labels_are_those_of_the_lists_and_an_image_is_the_bytes_of_its_file(folder: Path):
    for split, lists in LISTS.items():
        samples = read(folder, split)
        assert [np.flatnonzero(sample.labels_C).tolist() for sample in samples] == [*map(sorted, lists)]
        assert [sample.id for sample in samples] == [f"{split}-{n:07d}" for n in range(len(lists))]
        content = [np.asarray(sample.image).tobytes() for sample in samples]
        assert content == [encoded(10 * len(split) + n) for n in range(len(lists))]


def test_download_prepares_what_is_at_the_revision_also_without_network(
    folder: Path,
    server: Hub,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    commit = server.add("dataset", "mine/pets", files() | {"pets.py": b"raise SystemExit", "big.bin": b"x"})
    server.repositories["dataset", "mine/pets"].tags["v1"] = commit
    server.add("dataset", "mine/pets", {"data/train-00000-of-00001.parquet": b"another one"})
    assert run(tmp_path, "--download") == 0
    assert f"hf:mine/pets@v1: commit {commit}" in capsys.readouterr().err
    manifest = read_manifest(tmp_path / "data" / "pets")
    assert manifest["source"].endswith(f"/snapshots/{commit}")
    assert manifest["counts"]["test"]["positives"] == 3
    assert not [request for request in server.asked if "pets.py" in request or "big.bin" in request]
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    server.asked.clear()
    assert run(tmp_path, "--download", "--data", str(tmp_path / "again")) == 0
    assert run(tmp_path) == 0
    again = read_manifest(tmp_path / "again" / "pets")
    assert (again["fingerprint"], server.asked) == (manifest["fingerprint"], [])
    assert run(tmp_path, "--source", str(folder), "--data", str(tmp_path / "third")) == 0
    assert read_manifest(tmp_path / "third" / "pets")["sources"] == manifest["sources"]


@pytest.mark.usefixtures("folder")
def test_a_damaged_download_is_refused(server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    name = "data/test-00000-of-00001.parquet"
    commit = server.add("dataset", "mine/pets", files())
    write_card(tmp_path, commit)
    server.damaged[name] = files()[name][:-1] + b"?"
    line = refused(prepare.main, ["--dataset", "pets", "--data", str(tmp_path / "d"), "--download"], capsys)
    assert line.startswith(f"error: hf:mine/pets@{commit}: {name} is damaged: it has not the digest")


@pytest.mark.usefixtures("folder")
def test_a_revision_that_moves_is_refused(server: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for revision in ("main", "refs/convert/parquet"):
        write_card(tmp_path, revision)
        line = refused(
            prepare.main, ["--dataset", "pets", "--data", str(tmp_path / "d"), "--download"], capsys
        )
        assert f"pets.toml: [options] revision '{revision}' moves with each commit; give a commit" in line
    assert server.asked == []


@pytest.mark.usefixtures("folder")
def test_without_files_the_command_that_fetches_them_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    fetch = "fetch hf:mine/pets@v1 with python -m bench.prepare --dataset pets --download, or give a folder"
    args = ["--dataset", "pets", "--data", str(tmp_path / "data")]
    assert fetch in refused(prepare.main, args, capsys)
    (tmp_path / "empty").mkdir()
    line = refused(prepare.main, [*args, "--source", str(tmp_path / "empty")], capsys)
    assert f"{tmp_path / 'empty'} has no file data/train-*.parquet; {fetch}" in line


def test_names_are_labels_too_and_columns_can_have_other_names(folder: Path, tmp_path: Path):
    tags = datasets.List(datasets.Value("string"))
    spelled = [[NAMES[number] for number in numbers] for numbers in LISTS["train"]]
    owners = {"file": [f"p{n}" for n in range(5)], "owner": ["a", "a", "b", "b", "c"]}
    path = folder / "data" / "train-00000-of-00001.parquet"
    path.write_bytes(parquet("train", tags, labels=spelled, **owners))
    write_card(tmp_path, options='id = "file"\ngroup = "owner"\n')
    samples = read(folder)
    assert [np.flatnonzero(sample.labels_C).tolist() for sample in samples] == LISTS["train"]
    assert [(sample.id, sample.group) for sample in samples][3:] == [("p3", "b"), ("p4", "c")]


def test_several_patterns_are_one_split_in_the_order_of_their_files(folder: Path, tmp_path: Path):
    write_card(tmp_path, options='train = ["data/train-*.parquet", "data/test-*.parquet"]\n')
    assert len(read(folder)) == 7


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ('image = "picture"', "has no column 'picture'; it has image, labels"),
        ('image = "labels"', "column 'labels' of data/train-*.parquet holds no images but List"),
        (
            'labels = "image"',
            "column image must be a list of class numbers with names, or of names, not Image",
        ),
        ('train = ["../*.parquet"]', "'../*.parquet' is no pattern of Parquet files"),
        ('train = ["pets.py"]', "'pets.py' is no pattern of Parquet files"),
        ('train = ["nowhere/*.parquet"]', "has no file nowhere/*.parquet; fetch hf:mine/pets@v1"),
    ],
)
def test_options_that_do_not_fit_the_files(folder: Path, tmp_path: Path, options: str, line: str):
    write_card(tmp_path, options=options)
    with pytest.raises(InputError) as mistake:
        read(folder)
    assert line in str(mistake.value)


@pytest.mark.parametrize(
    ("feature", "lists", "line"),
    [
        (
            datasets.List(datasets.Value("int64")),
            LISTS["train"],
            "must be a list of class numbers with names",
        ),
        (
            datasets.List(datasets.ClassLabel(names=["cat", "sun", "dog"])),
            LISTS["train"],
            "label 2 is 'sun', but",
        ),
        (datasets.List(datasets.Value("string")), [["cat"], ["cow"]] + 3 * [[]], "row 1 has the label 'cow'"),
        (datasets.List(datasets.ClassLabel(names=NAMES)), [None] + 4 * [[]], "row 0 has no list of labels"),
    ],
)
def test_labels_that_are_not_the_cards(folder: Path, feature: Any, lists: list[Any], line: str):
    (folder / "data" / "train-00000-of-00001.parquet").write_bytes(parquet("train", feature, labels=lists))
    with pytest.raises(InputError) as mistake:
        read(folder)
    assert line in str(mistake.value)


@pytest.mark.parametrize("damage", [b"", b"PAR1 no", "middle"])
def test_a_file_that_is_no_parquet_is_a_line(folder: Path, damage: Any):
    path = folder / "data" / "train-00000-of-00001.parquet"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] if damage == "middle" else damage)
    with pytest.raises(InputError, match=r"data/train-\*\.parquet cannot be read as Parquet: "):
        read(folder)


def test_images_without_bytes_and_damaged_ones_stop_the_preparation_and_nothing_else_is_read(
    folder: Path, tmp_path: Path
):
    """A path in a row is never opened: it would be of this machine, not of the data set."""
    path = folder / "data" / "train-00000-of-00001.parquet"
    table = pq.read_table(path)
    images = table["image"].to_pylist()
    images[0] = {"bytes": None, "path": str(tmp_path / "cards" / "pets.toml")}
    images[1]["bytes"] = images[1]["bytes"][:60]
    pq.write_table(table.set_column(0, table.schema.field("image"), pa.array(images)), path)
    assert [np.asarray(sample.image).size for sample in read(folder)][:2] == [0, 60]
    with pytest.raises(InputError) as mistake:
        run(tmp_path, "--source", str(folder))
    for line in ("2 images of pets cannot be used", "train-0000000 (empty file)", "train-0000001 (cut short"):
        assert line in str(mistake.value)


def test_photographs_are_turned_as_the_card_says_and_counted(folder: Path, tmp_path: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = folder / "data" / "test-00000-of-00001.parquet"
    table = pq.read_table(path)
    images = [{"bytes": encoded(5, "JPEG", exif=exif), "path": ""}, table["image"][1].as_py()]
    pq.write_table(table.set_column(0, table.schema.field("image"), pa.array(images)), path)
    prints = {}
    for rule in ("turn", "ignore"):
        card = (tmp_path / "cards" / "pets.toml").read_text(encoding="utf-8")
        card = card.replace("[options]", f'exif = "{rule}"\n[options]')
        (tmp_path / "cards" / "pets.toml").write_text(card, encoding="utf-8")
        run(tmp_path, "--source", str(folder), "--data", str(tmp_path / rule))
        prints[rule] = read_manifest(tmp_path / rule / "pets")["fingerprint"]
        write_card(tmp_path)
    assert prints["turn"] != prints["ignore"]
