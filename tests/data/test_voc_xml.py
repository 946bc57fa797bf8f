"""The reader voc-xml: labels from lists or XML files, difficult objects, test labels that are not public."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.base.errors import InputError
from bench.data.formats import NO_ANNOTATION, Sample, voc_xml
from tests import trees

CARD = trees.card("voc2007")
MAIN = "VOCdevkit/VOC2007/ImageSets/Main"


@pytest.mark.parametrize("lists", [True, False], ids=["lists", "xml"])
@pytest.mark.parametrize("split", ["train", "test"])
def test_lists_and_xml_give_the_same_labels(tmp_path: Path, split: str, lists: bool):
    samples = list(voc_xml.read(CARD, split, trees.voc(tmp_path, lists=lists)))
    assert trees.positives(CARD, samples) == dict(trees.VOC[split])
    for sample in samples:
        zeros = {CARD.labels[column] for column in np.flatnonzero(sample.labels_C == 0)}
        assert zeros == set(trees.VOC_DIFFICULT.get(sample.id, ()))


def test_difficult_objects_may_be_positive_in_training_but_are_never_in_the_test_set(tmp_path: Path):
    mine = trees.with_options(CARD, difficult="positive-in-training")
    source = trees.voc(tmp_path)
    assert trees.positives(mine, voc_xml.read(mine, "train", source))["000009"] == ("person",)
    first = next(voc_xml.read(mine, "test", source))
    assert first.labels_C[CARD.labels.index("cat")] == 0


def test_test_labels_that_are_not_public_are_all_0_and_need_no_file(tmp_path: Path):
    mine = trees.card("voc2012")
    samples = list(voc_xml.read(mine, "test", trees.voc(tmp_path, year=2012)))
    assert [sample.id for sample in samples] == list(trees.VOC["test"])
    assert not any(sample.labels_C.any() for sample in samples)
    assert trees.positives(mine, voc_xml.read(mine, "train", tmp_path)) == dict(trees.VOC["train"])


@pytest.mark.parametrize("source", [".", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_the_source_may_be_the_devkit_or_a_folder_above_or_in_it(tmp_path: Path, source: str):
    samples = list(voc_xml.read(CARD, "test", trees.voc(tmp_path) / source))
    assert [sample.id for sample in samples] == ["000001", "000002"]


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("car_trainval.txt", ("000009 -1\n", ""), "car_trainval.txt has 2 lines; the image set has 3 images"),
        (
            "car_trainval.txt",
            ("000007  1", "000008  1"),
            "car_trainval.txt: line 2 is '000008  1'; it must be 000007 and 1, 0 or -1",
        ),
        (
            "car_trainval.txt",
            ("000007  1", "000007  2"),
            "car_trainval.txt: line 2 is '000007  2'; it must be 000007 and 1, 0 or -1",
        ),
        (
            "car_trainval.txt",
            ("000007  1", "000007"),
            "car_trainval.txt: line 2 is '000007'; it must be 000007 and 1, 0",
        ),
        (
            "car_trainval.txt",
            ("-1", " 0"),
            "car_trainval.txt: holds 1 and 0 but no -1; in these lists 0 means that all",
        ),
        ("trainval.txt", ("000007", ""), "trainval.txt: line 2 is empty; every line must name an image"),
    ],
)
def test_inconsistent_lists_are_refused_with_file_and_line(
    tmp_path: Path, file: str, change: tuple[str, str], message: str
):
    path = trees.voc(tmp_path) / MAIN / file
    before = path.read_text(encoding="utf-8")
    path.write_text(before.replace(*change), encoding="utf-8")
    assert path.read_text(encoding="utf-8") != before
    with pytest.raises(InputError) as caught:
        list(voc_xml.read(CARD, "train", tmp_path))
    assert str(path.parent) in str(caught.value)
    assert message in str(caught.value)


def test_a_single_missing_list_is_not_replaced_by_the_xml_files(tmp_path: Path):
    (trees.voc(tmp_path) / MAIN / "car_trainval.txt").unlink()
    with pytest.raises(InputError, match=r"car_trainval.txt: there is no such file"):
        list(voc_xml.read(CARD, "train", tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("<object>", "<object"), "000007.xml cannot be read as XML: "),
        (("<name>car<", "<name>lorry<"), "000007.xml: unknown class 'lorry'; choose from: aeroplane, "),
    ],
)
def test_wrong_xml_is_refused_with_the_file(tmp_path: Path, change: tuple[str, str], message: str):
    path = trees.voc(tmp_path, lists=False) / "VOCdevkit" / "VOC2007" / "Annotations" / "000007.xml"
    path.write_text(path.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        list(voc_xml.read(CARD, "train", tmp_path))
    assert message in str(caught.value)


def test_a_missing_annotation_is_named(tmp_path: Path):
    (trees.voc(tmp_path, lists=False) / "VOCdevkit/VOC2007/Annotations/000007.xml").unlink()
    samples = list(voc_xml.read(CARD, "train", tmp_path))
    assert trees.left_out(samples) == {"000007": NO_ANNOTATION}
    assert list(trees.positives(CARD, samples)) == ["000005", "000009"]


def test_a_missing_folder_of_annotations_is_named(tmp_path: Path):
    shutil.rmtree(trees.voc(tmp_path, lists=False) / "VOCdevkit/VOC2007/Annotations")
    with pytest.raises(InputError, match=r"VOC2007 has no Annotations; get "):
        list(voc_xml.read(CARD, "train", tmp_path))


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("gb2312", "汽车"),
        ("GBK", "镕"),
        ("big5", "照片"),
        ("Shift_JIS", "写真"),
        ("euc-kr", "사진"),
        ("UTF-8", "größe"),
        ("ISO-8859-1", "größe"),
        ("utf-16", "größe"),
    ],
)
def test_xml_is_read_in_the_encoding_that_it_declares(tmp_path: Path, encoding: str, text: str):
    path = trees.voc(tmp_path, lists=False) / "VOCdevkit" / "VOC2007" / "Annotations" / "000007.xml"
    body = path.read_text(encoding="utf-8").replace("VOC<", f"{text}<")
    path.write_bytes(f'<?xml version="1.0" encoding="{encoding}"?>\n{body}'.encode(encoding))
    samples = voc_xml.read(CARD, "train", tmp_path)
    assert trees.positives(CARD, samples)["000007"] == ("car", "person")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b'<?xml version="1.0" encoding="klingon"?><a/>',
            "the encoding 'klingon' is unknown; save the file as",
        ),
        (b'<?xml version="1.0" encoding="hex"?><a/>', "the encoding 'hex' is unknown"),
        (
            b'<?xml version="1.0" encoding="gbk"?><a>\x80\xff</a>',
            "000007.xml cannot be read as XML: .*decode",
        ),
        (b"", "cannot be read as XML: no element found"),
        (b"\xff\xfe", "cannot be read as XML"),
    ],
)
def test_xml_of_another_encoding_is_refused_with_the_file(tmp_path: Path, content: bytes, message: str):
    path = trees.voc(tmp_path, lists=False) / "VOCdevkit" / "VOC2007" / "Annotations" / "000007.xml"
    path.write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(voc_xml.read(CARD, "train", tmp_path))


def test_a_part_is_the_images_with_some_objects_up_to_an_id_without_some(tmp_path: Path):
    trees.voc(tmp_path)
    whole = [sample for sample in voc_xml.read(CARD, "train", tmp_path) if isinstance(sample, Sample)]
    first, second = ([CARD.labels[label] for label in np.flatnonzero(s.labels_C >= 0)] for s in whole[:2])
    ids = [sample.id for sample in whole]
    (only_first,) = set(first[:1]) - set(second)

    def part(**options: Any) -> list[str]:
        card = replace(CARD, options={**CARD.options, **options})
        return [item.id for item in voc_xml.read(card, "train", tmp_path) if isinstance(item, Sample)]

    assert part() == ids
    assert ids[0] in part(objects=[only_first])
    assert ids[1] not in part(objects=[only_first])
    assert part(last_id=ids[0]) == ids[:1]
    assert part(without=ids[:1]) == ids[1:]
    with pytest.raises(InputError, match="unknown object 'lorry'; choose from: aeroplane"):
        part(objects=["lorry"])
