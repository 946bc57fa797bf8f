"""The reader nuswide-lists: the original lists, all layouts of the images, reasons for leaving images out."""

import doctest
from pathlib import Path

import pytest

from bench.base.errors import InputError
from bench.data.formats import MISSING, NO_LABEL, PLACEHOLDER, Sample, nuswide_lists
from tests import trees

CARD = trees.card("nuswide")
KEPT = ["actor/0001_2124494179.jpg", "zoo/0003_1000000001.jpg"]
GROUNDTRUTH = "Groundtruth/TrainTestLabels"


def test_the_doctests_hold():
    assert doctest.testmod(nuswide_lists).failed == 0


@pytest.mark.parametrize(
    ("images", "flat"),
    [("Flickr", False), ("images", False), ("images", True), ("Flickr", True), (".", True)],
)
def test_images_are_found_in_every_layout_and_labels_follow_the_list(tmp_path: Path, images: str, flat: bool):
    source = trees.nuswide(tmp_path, images=images, flat=flat)
    samples = list(nuswide_lists.read(CARD, "train", source))
    assert trees.positives(CARD, samples) == {name: trees.NUSWIDE["train"][name] for name in KEPT}
    for sample in samples:
        if isinstance(sample, Sample):
            assert isinstance(sample.image, Path)
            assert sample.image.is_file()


@pytest.mark.parametrize(
    "form",
    [
        "98796_{}_f86eb60ccf_m.jpg",
        "{}_f86eb60ccf_m.jpg",
        "{}_f86eb60ccf.jpg",
        "{}_1234567890.jpg",
        "{}_1234567890_o.JPG",
        "{}.jpeg",
        "0001_{}.jpeg",
        "{}_m.jpg",
        "zoo_{}.png",
    ],
)
def test_images_are_found_by_their_flickr_number_in_every_way_of_naming(tmp_path: Path, form: str):
    source = trees.nuswide(tmp_path, flat=True)
    for path in list((source / "Flickr").iterdir()):
        path.rename(path.with_name(form.format(path.stem)))
    samples = list(nuswide_lists.read(CARD, "train", source))
    assert list(trees.positives(CARD, samples)) == KEPT
    files = {item.id: str(item.image) for item in samples if isinstance(item, Sample)}
    assert all(name.rpartition("_")[2].removesuffix(".jpg") in file for name, file in files.items())


def test_a_list_may_name_images_as_flickr_does(tmp_path: Path):
    path = trees.nuswide(tmp_path) / "ImageList" / "TrainImagelist.txt"
    names = [f"98796_{name.rpartition('_')[2][:-4]}_f86eb60ccf_m.jpg" for name in trees.NUSWIDE["train"]]
    trees.write(path, names)
    samples = list(nuswide_lists.read(CARD, "train", tmp_path))
    assert [item.group for item in samples if isinstance(item, Sample)] == ["2124494179", "1000000001"]


def test_a_list_without_flickr_numbers_is_refused(tmp_path: Path):
    path = trees.nuswide(tmp_path) / "ImageList" / "TrainImagelist.txt"
    trees.write(path, [f"photo-{n}.jpg" for n in range(5)])
    with pytest.raises(InputError, match=r"names images without a Flickr number.*\n  photo-0.jpg\n  photo-1"):
        list(nuswide_lists.read(CARD, "train", tmp_path))


def test_images_are_left_out_with_the_reason(tmp_path: Path):
    samples = nuswide_lists.read(CARD, "train", trees.nuswide(tmp_path))
    assert trees.left_out(samples) == {
        "zoo/0002_174174086.jpg": NO_LABEL,
        trees.NUSWIDE_GONE: MISSING,
        trees.NUSWIDE_PLACEHOLDER: PLACEHOLDER,
    }


def test_keep_all_keeps_images_without_a_label_but_not_missing_ones(tmp_path: Path):
    mine = trees.with_options(CARD, keep="all")
    samples = list(nuswide_lists.read(mine, "train", trees.nuswide(tmp_path)))
    assert list(trees.positives(mine, samples)) == [KEPT[0], "zoo/0002_174174086.jpg", KEPT[1]]
    assert trees.left_out(samples) == {trees.NUSWIDE_GONE: MISSING, trees.NUSWIDE_PLACEHOLDER: PLACEHOLDER}


def test_a_photograph_in_two_folders_is_one_group(tmp_path: Path):
    samples = nuswide_lists.read(CARD, "train", trees.nuswide(tmp_path))
    groups = [sample.group for sample in samples if isinstance(sample, Sample)]
    assert groups == ["2124494179", "1000000001"]


def test_files_that_macos_adds_are_not_read_as_images(tmp_path: Path):
    source = trees.nuswide(tmp_path)
    for name in trees.NUSWIDE["train"]:
        folder, _, file = name.rpartition("/")
        (source / "Flickr" / folder / f"._{file}").write_bytes(b"\0\5\x16\7")
    samples = list(nuswide_lists.read(CARD, "train", source))
    kept = [sample.image for sample in samples if isinstance(sample, Sample)]
    files = [image.name for image in kept if isinstance(image, Path)]
    assert files == [name.rpartition("/")[2] for name in KEPT]
    assert trees.NUSWIDE_GONE in trees.left_out(samples)


def test_a_large_png_is_not_a_placeholder(tmp_path: Path):
    source = trees.nuswide(tmp_path)
    path = source / "Flickr" / trees.NUSWIDE_PLACEHOLDER
    path.write_bytes(b"\x89PNG" + bytes(nuswide_lists.PLACEHOLDER_BYTES))
    assert trees.NUSWIDE_PLACEHOLDER in trees.positives(CARD, nuswide_lists.read(CARD, "train", source))


def test_the_lists_that_users_of_srn_exchange_are_read_too(tmp_path: Path):
    trees.nuswide(tmp_path)
    source = trees.exchanged(tmp_path, trees.NUSWIDE, CARD.labels, "nus_wide_")
    (source / "ImageList" / "TrainImagelist.txt").unlink()
    mine = trees.with_options(CARD, lists="exchanged")
    samples = list(nuswide_lists.read(mine, "train", source))
    assert trees.positives(mine, samples) == {name: trees.NUSWIDE["train"][name] for name in KEPT}
    assert len(trees.left_out(samples)) == 3


def test_windows_line_ends_and_blank_lines_at_the_end_do_not_matter(tmp_path: Path):
    source = trees.nuswide(tmp_path)
    for path in [*source.rglob("*_Train.txt"), source / "ImageList" / "TrainImagelist.txt"]:
        path.write_bytes(path.read_bytes().replace(b"\n", b" \r\n") + b"\r\n\r\n")
    assert list(trees.positives(CARD, nuswide_lists.read(CARD, "train", source))) == KEPT


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        (
            f"{GROUNDTRUTH}/Labels_zebra_Train.txt",
            ("0\n0\n1\n", "0\n1\n"),
            "Labels_zebra_Train.txt has 4 lines, but {root}/ImageList/TrainImagelist.txt lists 5 images",
        ),
        (
            f"{GROUNDTRUTH}/Labels_zebra_Train.txt",
            ("0\n0\n1\n", "0\n\n1\n"),
            "Labels_zebra_Train.txt: line 2 is ''; it must be 0 or 1",
        ),
        (
            f"{GROUNDTRUTH}/Labels_zebra_Train.txt",
            ("0\n0\n1\n", "0\n0\n2\n"),
            "Labels_zebra_Train.txt: line 3 is '2'; it must be 0 or 1",
        ),
        (
            "ConceptsList/Concepts81.txt",
            ("animal\nbeach", "beach\nanimal"),
            "Concepts81.txt: label 2 is 'beach', but 'animal' in nuswide.toml; names and order",
        ),
        (
            "ImageList/TrainImagelist.txt",
            ("zoo\\0002_174174086.jpg", ""),
            "TrainImagelist.txt: line 2 is empty; every line must name an image",
        ),
    ],
)
def test_inconsistent_lists_are_refused_with_file_and_line(
    tmp_path: Path, file: str, change: tuple[str, str], message: str
):
    path = trees.nuswide(tmp_path) / file
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(*change), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(InputError) as caught:
        list(nuswide_lists.read(CARD, "train", tmp_path))
    assert message.format(root=tmp_path) in str(caught.value)


def test_a_concept_without_a_file_is_named(tmp_path: Path):
    (trees.nuswide(tmp_path) / GROUNDTRUTH / "Labels_zebra_Train.txt").unlink()
    with pytest.raises(InputError, match=r"has no Groundtruth/TrainTestLabels/Labels_zebra_Train.txt; ask "):
        list(nuswide_lists.read(CARD, "train", tmp_path))


def test_an_empty_list_is_refused(tmp_path: Path):
    (trees.nuswide(tmp_path) / "ImageList" / "TrainImagelist.txt").write_text("", encoding="utf-8")
    with pytest.raises(InputError, match=r"TrainImagelist.txt: line 1 is empty"):
        list(nuswide_lists.read(CARD, "train", tmp_path))


def test_a_list_that_is_not_text_is_refused(tmp_path: Path):
    (trees.nuswide(tmp_path) / "ImageList" / "TrainImagelist.txt").write_bytes(b"\xff\xd8\xff")
    with pytest.raises(
        InputError, match=r"TrainImagelist.txt: line 1 is not UTF-8 text; save the file as UTF-8"
    ):
        list(nuswide_lists.read(CARD, "train", tmp_path))


def test_a_list_with_zero_bytes_is_refused(tmp_path: Path):
    """UTF-16 without a byte order mark has them."""
    path = trees.nuswide(tmp_path) / "ImageList" / "TrainImagelist.txt"
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16-le")
    with pytest.raises(
        InputError,
        match=r"TrainImagelist.txt cannot be read as text: it contains zero bytes; save it as UTF-8",
    ):
        list(nuswide_lists.read(CARD, "train", tmp_path))


def test_a_folder_with_none_of_the_images_is_refused_with_instructions(tmp_path: Path):
    source = trees.nuswide(tmp_path, images="elsewhere")
    (source / "Flickr").mkdir()
    with pytest.raises(InputError, match=r"Flickr holds none of the images in the list; ask .*--source DIR"):
        list(nuswide_lists.read(CARD, "train", source))
