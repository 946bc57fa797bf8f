"""bench.card: what it reads from tables, folders and exports, what it draws, and what it refuses."""

import doctest
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench import card as command
from bench.base.errors import InputError
from bench.data import card_options, cards, formats, preparation, survey
from bench.data.formats import Sample
from bench.data.own_pictures import card_files, drawn_split, tag_tables
from tests import trees

TAGS = {f"photo {n}.jpg": ("beach", "sunset")[: n % 3] for n in range(12)}  # none, one or two of them


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for cards."""
    monkeypatch.setattr(cards, "CARDS", tmp_path / "cards")
    return tmp_path


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for name in TAGS:
        trees.jpeg(tmp_path / "photos" / name)
    return tmp_path / "photos"


def go(tmp_path: Path, *words: Any) -> cards.Card:
    """The card that the command makes of tmp_path/photos."""
    where = ["--dataset", "own", "--images", tmp_path / "photos", "--data", tmp_path / "data"]
    assert command.main([str(word) for word in (*where, *words)]) == 0
    return cards.load_card("own")


def table(tmp_path: Path, *lines: str, **how: Any) -> Path:
    path = tmp_path / "tags.csv"
    path.write_text("".join(f"{line}\n" for line in lines), **{"encoding": "utf-8", **how})
    return path


def refused(tmp_path: Path, *words: Any) -> str:
    with pytest.raises(InputError) as caught:
        go(tmp_path, *words)
    assert not list((tmp_path / "cards").glob("*"))
    assert str(caught.value).count("\n") <= 11
    return str(caught.value)


def samples(card: cards.Card, tmp_path: Path, split: str = "") -> dict[str, Sample]:
    found = {}
    for one in (split,) if split else ("train", "test"):
        for item in survey.items(card, one, tmp_path / "data" / "own.source"):
            assert isinstance(item, Sample)
            found[item.id] = item
    return found


def labels(card: cards.Card, tmp_path: Path) -> dict[str, tuple[str, ...]]:
    """Picture -> its labels, as the card's format reads them."""
    return {
        name: tuple(label for label, value in zip(card.labels, sample.labels_C, strict=True) if value == 1)
        for name, sample in samples(card, tmp_path).items()
    }


@pytest.mark.parametrize("module", [card_files, drawn_split, tag_tables])
def test_the_doctests_hold(module: Any):
    assert doctest.testmod(module).failed == 0


LISTS = [f'{name},"{",".join(tags)}"' for name, tags in TAGS.items()]
COLUMNS = [
    "name;beach;sunset",
    *(f"{n};{'beach' in t:d};{'sunset' in t:d}" for n, t in TAGS.items()),
]
PAIRS = [f"{name}\t{tag}" for name, tags in TAGS.items() for tag in tags or ("",)]
CELLS = [",".join((name, *tags)) for name, tags in TAGS.items()]


class TestATableIsRead:
    @pytest.mark.parametrize(
        ("lines", "said"),
        [
            (LISTS, "comma between columns; no heading; column 1 names the pictures"),
            (["image,tags", *LISTS], "column 2 'tags' is a list of tags, separated by comma"),
            (
                [line.replace('"', "").replace(",", "\t", 1).replace(",", "|") for line in LISTS],
                "separated by bar",
            ),
            (COLUMNS, "2 columns of 0 and 1, a label each"),
            (
                [line.replace(";0", ";no").replace(";1", ";yes") for line in COLUMNS],
                "semicolon between columns",
            ),
            (PAIRS, "a row for each pair of picture and label; column 2 is the label"),
            (["photo\ttag", *PAIRS], "the first line is the heading"),
            (CELLS, "the cells from column 2 on are tags, one a cell"),
            (
                [line.replace(".jpg", "") for line in LISTS],
                "12 pictures found without an extension, as photo 0 is",
            ),
            ([line.replace("photo", "PHOTO") for line in LISTS], "found with another upper or lower case"),
            ([f"C:\\my\\{line}" for line in LISTS], "found in another folder than the name says"),
        ],
    )
    @pytest.mark.usefixtures("photos")
    def test_whatever_its_layout(self, tmp_path: Path, lines: list[str], said: str, capsys: Any):
        card = go(tmp_path, "--tags", table(tmp_path, *lines))
        assert card.labels == ("beach", "sunset")
        assert labels(card, tmp_path) == TAGS
        assert said in capsys.readouterr().out

    @pytest.mark.usefixtures("photos")
    def test_with_tags_between_blanks(self, tmp_path: Path, capsys: Any):
        cells = ("sea sun", "sun", "sky sea", "sky")
        lines = [f"photo {n}.jpg,{cells[n % 4]}" for n in range(12)]
        assert go(tmp_path, "--tags", table(tmp_path, *lines)).labels == ("sea", "sky", "sun")
        assert "separated by blanks (--tag-separator none: a cell is one tag)" in capsys.readouterr().out

    @pytest.mark.usefixtures("photos")
    def test_with_a_byte_order_mark_and_windows_lines(self, tmp_path: Path):
        card = go(tmp_path, "--tags", table(tmp_path, *LISTS, encoding="utf-8-sig", newline="\r\n"))
        assert labels(card, tmp_path) == TAGS

    @pytest.mark.usefixtures("alone", "photos")
    def test_and_can_be_prepared_without_a_source(self, tmp_path: Path):
        card = go(tmp_path, "--tags", table(tmp_path, *LISTS))
        store = preparation.prepare(card_options.at(card, 32), data=tmp_path / "data")
        assert len(store.train) + len(store.test) == len(TAGS)
        assert card.exif == "turn"

    def test_and_what_was_understood_is_said_first(self, photos: Path, tmp_path: Path, capsys: Any):
        trees.jpeg(photos / "sub" / "other.png")
        path = table(tmp_path, *LISTS)
        command.main(["--dataset", "own", "--images", str(photos), "--tags", str(path), "--show"])
        out = capsys.readouterr().out
        assert "12 pictures, 2 labels\n" in out
        assert "first rows as read:\n  photo 0.jpg -> no label\n  photo 1.jpg -> beach\n" in out
        assert "1 not named, so not used:\n  sub/other.png\n" in out
        assert "1.00 labels a picture on average, 4 pictures have none" in out
        assert "--test-share 0.2 --seed 0" in out
        assert not (tmp_path / "cards").exists()

    @pytest.mark.usefixtures("photos")
    def test_and_changed_labels_make_another_card(self, tmp_path: Path):
        before = go(tmp_path, "--tags", table(tmp_path, *LISTS))
        swapped = [line.replace("beach", "sea") for line in LISTS]
        with pytest.raises(InputError, match=r"own.toml exists already; to make it anew, add --replace"):
            go(tmp_path, "--tags", table(tmp_path, *swapped))
        after = go(tmp_path, "--tags", table(tmp_path, *swapped), "--replace")
        assert cards.store_digest(before) != cards.store_digest(after)

    @pytest.mark.usefixtures("photos")
    def test_cells_that_are_not_known(self, tmp_path: Path):
        lines = [line.replace("photo 4.jpg;1;0", "photo 4.jpg;1;?") for line in COLUMNS]
        card = go(tmp_path, "--tags", table(tmp_path, *lines), "--unknown", "?")
        assert samples(card, tmp_path)["photo 4.jpg"].labels_C.tolist() == [1, 0]
        assert samples(card, tmp_path)["photo 5.jpg"].labels_C.tolist() == [1, 1]
        assert samples(card, tmp_path)["photo 3.jpg"].labels_C.tolist() == [-1, -1]
        assert card.evaluation.unspecified == "excluded"


class TestATableIsRefused:
    @pytest.mark.parametrize(
        ("lines", "words", "message"),
        [
            ([], (), "is empty"),
            (["image,tags"], (), "names no picture"),
            (["image,tags"], ("--image-column", "image"), "has a heading, but no row"),
            (["x.jpg,beach"], (), "names no picture in .*: its first line is 'x.jpg, beach'"),
            (
                [*LISTS, "gone.jpg,beach"],
                (),
                "1 pictures are named by .*, but not there; .*--allow-partial:\n  gone",
            ),
            (
                ["image,tags", *LISTS],
                ("--tags-column", "tag"),
                "unknown column of .*'tag'; choose from: image, tags",
            ),
            (
                ["image,tags", *LISTS],
                ("--group-column", "who"),
                "unknown column .*'who'; choose from: image, tags",
            ),
            ([*LISTS, "photo 1.jpg,sunset"], (), "--layout pairs .* or --layout list"),
            ([*PAIRS, "photo 1.jpg\tsea\0"], (), "contains zero bytes"),
            ([line.replace("\t", ",") for line in PAIRS] + ['photo 1.jpg,"a'], (), "is not CSV"),
            (
                [f"photo {n}.jpg,red car" for n in range(12)],
                (),
                "--tag-separator none or --tag-separator space",
            ),
            ([f'photo {n}.jpg,"a;b,c"' for n in range(12)], (), "has comma and semicolon; .*--tag-separator"),
            ([f"photo {n}.jpg,\"['a']\"" for n in range(12)], (), "lists in brackets"),
            ([f"photo {n},a" for n in (77, *range(12))], (), "say --header yes or --header no"),
            (
                ["file,cat", *(f"photo {n}.jpg,{n % 2}" for n in range(12))],
                (),
                "--layout columns .*--layout pairs",
            ),
            (["file,cat,cat", "photo 1.jpg,1,0", "photo 2.jpg,1,0"], (), "several columns are called 'cat'"),
            (["file,a,b", "photo 1.jpg,1,0", "photo 2.jpg,1,0,1"], (), "line 3 has 4 cells, the heading 3"),
            (
                ["file,a,b", "photo 1.jpg,1,0", "photo 2.jpg,1,-1"],
                (),
                "line 3, column 3 'b' is '-1'.*--unknown='-1'",
            ),
            (
                ["file,a,b", "photo 1.jpg,1,0", "photo 2.jpg,1,"],
                (),
                "line 3, column 3 'b' is empty.*--unknown=empty",
            ),
            (["file,a,b", "photo 1.jpg,1,0", "photo 2.jpg,1,x"], (), "--ignore-columns"),
            (["photo 1.jpg,1,0", "photo 2.jpg,1,0"], (), "its first line must name the label of each column"),
            (
                ["a,b", "photo 1.jpg,photo 1.jpg", "photo 2.jpg,photo 2.jpg"],
                (),
                "both name pictures.*--image-column",
            ),
            (
                [*LISTS, 'photo 1.jpg,"a\nb"'],
                ("--layout", "pairs"),
                r"label 'a\\nb' is empty or has characters",
            ),
            (
                ["f,set,tag", "photo 1.jpg,val,a"],
                ("--split-column", "set"),
                "line 2, column 2 'set' is 'val'",
            ),
            (["photo 1.jpg,a"], (), "none of the 1 pictures is in t(rain|est); give more pictures"),
            (LISTS, ("--test-share", "0"), "--test-share 0.0: give a number above 0"),
        ],
    )
    @pytest.mark.usefixtures("photos")
    def test_with_the_option_that_decides(
        self, tmp_path: Path, lines: list[str], words: tuple[str, ...], message: str
    ):
        assert re.search(message, refused(tmp_path, "--tags", table(tmp_path, *lines), *words))

    def test_where_a_name_fits_two_pictures(self, photos: Path, tmp_path: Path):
        for folder in "ab":
            trees.jpeg(photos / folder / "same.jpg")
        message = refused(tmp_path, "--tags", table(tmp_path, *LISTS, "same.jpg,beach"))
        assert message.endswith("\n  same.jpg: a/same.jpg, b/same.jpg")

    def test_where_a_picture_cannot_be_read(self, photos: Path, tmp_path: Path):
        (photos / "photo 1.jpg").write_bytes(b"")
        path = table(tmp_path, *LISTS)
        assert refused(tmp_path, "--tags", path).endswith("photo 1.jpg (empty file)")
        assert len(samples(go(tmp_path, "--tags", path, "--allow-partial"), tmp_path)) == 11

    @pytest.mark.usefixtures("photos")
    def test_where_a_picture_is_listed_twice_with_other_labels(self, tmp_path: Path):
        message = refused(tmp_path, "--tags", table(tmp_path, *COLUMNS, "photo 1.jpg;0;1"))
        assert "lists 1 pictures several times with different labels" in message

    @pytest.mark.usefixtures("photos")
    def test_where_the_name_is_that_of_a_data_set_of_the_suite(self, tmp_path: Path):
        trees.write(tmp_path / "cards" / "own.toml", ['title = "by hand"'])
        with pytest.raises(InputError, match=r"was not made by bench.card; give another --dataset NAME"):
            go(tmp_path, "--tags", table(tmp_path, *LISTS), "--replace")

    @pytest.mark.parametrize("words", [(), ("--label-folders", "--tags", "x.csv")])
    @pytest.mark.usefixtures("photos")
    def test_where_the_labels_come_from_nowhere_or_from_two_places(self, tmp_path: Path, words: Any):
        assert "--tags FILE (a table), --label-folders" in refused(tmp_path, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--label-folders", "--group-column", "who"), "--group-column needs --tags; leave it out"),
        (("--tags", "x.csv", "--test-coco", "x.json"), "--test-coco needs --coco; leave it out"),
        (("--coco", "x.json", "--label-level", "first"), "--label-level needs --label-folders; leave it out"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_an_option_of_another_source_is_refused(tmp_path: Path, words: Any, message: str):
    assert refused(tmp_path, *words) == message


@pytest.mark.usefixtures("photos")
def test_labels_that_differ_by_case_or_blanks_are_said(tmp_path: Path, capsys: Any):
    lines = [*(f"photo {n}.jpg,Sea Side" for n in range(12)), *(f"photo {n}.jpg,seaside" for n in range(12))]
    card = go(tmp_path, "--tags", table(tmp_path, *lines), "--layout", "pairs", "--tag-separator", "none")
    assert card.labels == ("Sea Side", "seaside")
    assert "'Sea Side' and 'seaside'" in capsys.readouterr().out


class TestTheDrawnTestSet:
    @pytest.mark.usefixtures("photos")
    def test_does_not_move_when_pictures_are_added(self):
        names = [f"{n}.jpg" for n in range(1000)]
        few, many = (drawn_split.drawn(part, share=0.2, seed=0) for part in (names[:100], names))
        assert few == many[:100]
        assert 150 < many.count("test") < 250
        assert drawn_split.drawn(names, share=0.2, seed=1) != many

    @pytest.mark.usefixtures("photos")
    def test_has_no_group_of_the_training_set(self, tmp_path: Path):
        lines = ["file,who,tags", *(f'photo {n}.jpg,g{n % 4},"a,b"' for n in range(12))]
        card = go(tmp_path, "--tags", table(tmp_path, *lines), "--group-column", "who", "--test-share", "0.5")
        groups = [{sample.group for sample in samples(card, tmp_path, s).values()} for s in ("train", "test")]
        assert not groups[0] & groups[1]
        assert groups[0] | groups[1] == {"g0", "g1", "g2", "g3"}

    def test_has_no_picture_equal_to_one_of_the_training_set(self, photos: Path, tmp_path: Path):
        for n in range(12):
            (photos / f"copy {n}.jpg").write_bytes((photos / f"photo {n}.jpg").read_bytes())
        lines = [f"{kind} {n}.jpg,a" for kind in ("photo", "copy") for n in range(12)]
        card = go(tmp_path, "--tags", table(tmp_path, *lines), "--test-share", "0.5")
        test = samples(card, tmp_path, "test")
        assert {f"photo {n}.jpg" in test for n in range(12)} == {True, False}
        assert all((f"photo {n}.jpg" in test) == (f"copy {n}.jpg" in test) for n in range(12))

    @pytest.mark.usefixtures("photos")
    def test_leaves_each_label_a_training_picture(self, tmp_path: Path):
        side = drawn_split.drawn([f"photo {n}.jpg" for n in range(12)], share=0.5, seed=0)
        alone = side.index("test")
        lines = [f"photo {n}.jpg,{'rare' if n == alone else 'a'}" for n in range(12)]
        words = ("--tags", table(tmp_path, *lines), "--test-share", "0.5")
        message = refused(tmp_path, *words)
        assert message.startswith("1 labels have no picture in train: rare; draw again with --seed ")
        seed = message.partition("--seed ")[2].partition(",")[0]
        assert go(tmp_path, *words, "--seed", seed).labels == ("a", "rare")
        assert go(tmp_path, *words, "--min-images", "2", "--replace").labels == ("a",)

    @pytest.mark.usefixtures("photos")
    def test_is_the_one_of_the_table_where_it_has_one(self, tmp_path: Path):
        lines = ["file,set,tags", *(f"photo {n}.jpg,{'Test' if n < 3 else 'train'},a" for n in range(12))]
        card = go(tmp_path, "--tags", table(tmp_path, *lines), "--split-column", "set")
        assert sorted(samples(card, tmp_path, "test")) == [f"photo {n}.jpg" for n in range(3)]


class TestAFolderPerLabel:
    def test_is_read_and_equal_files_are_one_picture(self, tmp_path: Path, capsys: Any):
        photos = tmp_path / "photos"
        for n in range(12):
            trees.jpeg(photos / ("cat" if n % 2 else "dog") / f"{n}.jpg")
        (photos / "dog" / "both.jpg").write_bytes((photos / "cat" / "1.jpg").read_bytes())
        card = go(tmp_path, "--label-folders")
        found = labels(card, tmp_path)
        assert (len(found), found["cat/1.jpg"], found["dog/2.jpg"]) == (12, ("cat", "dog"), ("dog",))
        out = capsys.readouterr().out
        assert "1 files are equal to one in another folder" in out
        assert "not named" not in out

    def test_deeper_folders_and_sets_are_asked_for(self, tmp_path: Path):
        for split in ("train", "test"):
            for n in range(4):
                trees.jpeg(tmp_path / "photos" / split / ("cat" if n % 2 else "dog") / f"{split}{n}.jpg")
        assert "--split-folders yes or --split-folders no" in refused(tmp_path, "--label-folders")
        message = refused(tmp_path, "--label-folders", "--split-folders", "no")
        assert "--label-level first, last or each" in message
        card = go(tmp_path, "--label-folders", "--split-folders", "yes")
        assert card.labels == ("cat", "dog")
        assert len(samples(card, tmp_path, "test")) == 4


class TestAnExport:
    def write(self, path: Path, numbers: range, **changes: Any) -> Path:
        content = {
            "images": [{"id": n, "file_name": f"photo {n}.jpg", "width": 40} for n in numbers],
            "annotations": [
                {"id": n, "image_id": n, "category_id": 1 + n % 2, "bbox": [0, 0, 1, 1]} for n in numbers
            ],
            "categories": [{"id": n, "name": name} for n, name in enumerate(("pets", "cat", "dog"))],
        }
        path.write_text(json.dumps({**content, **changes}), encoding="utf-8")
        return path

    def test_is_read_with_its_sets(self, photos: Path, tmp_path: Path, capsys: Any):
        train, test = self.write(photos / "a.json", range(8)), self.write(photos / "b.json", range(8, 12))
        card = go(tmp_path, "--coco", train, "--test-coco", test)
        assert card.labels == ("cat", "dog")
        assert sorted(samples(card, tmp_path, "test")) == sorted(f"photo {n}.jpg" for n in range(8, 12))
        assert labels(card, tmp_path)["photo 3.jpg"] == ("dog",)
        assert "categories without an annotation are no labels: pets" in capsys.readouterr().out

    def test_of_two_folders_with_equal_names_is_read(self, tmp_path: Path):
        for split in ("train", "test"):
            for n in range(4):
                trees.jpeg(tmp_path / "photos" / split / f"photo {n}.jpg", size=(40 + len(split), 30))
        train, test = (self.write(tmp_path / "photos" / s / "x.json", range(4)) for s in ("train", "test"))
        card = go(tmp_path, "--coco", train, "--test-coco", test)
        assert sorted(samples(card, tmp_path, "test")) == [f"test/photo {n}.jpg" for n in range(4)]

    @pytest.mark.usefixtures("photos")
    def test_with_an_annotation_of_nothing_is_refused(self, tmp_path: Path):
        wrong = [{"image_id": 99, "category_id": 1}]
        path = self.write(tmp_path / "a.json", range(8), annotations=wrong)
        assert refused(tmp_path, "--coco", path).endswith(
            "annotations[0] has the image_id 99, which is not listed"
        )


@pytest.mark.usefixtures("photos")
def test_groups_are_read_and_must_fit_the_list(tmp_path: Path):
    lines = ["file,who,tags", *(f"photo {n}.jpg,g{n % 4},a" for n in range(12))]
    card = go(tmp_path, "--tags", table(tmp_path, *lines), "--group-column", "who", "--test-share", "0.5")
    source = tmp_path / "data" / "own.source"
    (source / card.options["train_groups"]).write_text("g1\n", encoding="utf-8")
    with pytest.raises(InputError, match="has 1 lines, but .* has .*; a line each is needed"):
        list(formats.reader("list-files")(card, "train", source))


def test_labels_are_those_of_a_matrix_of_any_size():
    found, labels_NC = tag_tables.matrix([["b", "a"], [], ["b"]])
    assert found == ("a", "b")
    assert np.array_equal(labels_NC, [[1, 1], [-1, -1], [-1, 1]])


def test_a_spreadsheet_is_named_as_one(photos: Path, tmp_path: Path):
    assert photos.exists()
    (tmp_path / "tags.xlsx").write_bytes(b"PK\x03\x04\x14\0\xff")
    assert "tags.xlsx is a spreadsheet or an archive; save the sheet as CSV (UTF-8)" in refused(
        tmp_path, "--tags", tmp_path / "tags.xlsx"
    )
