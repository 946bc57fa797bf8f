"""A rehearsal makes up files that the readers take for the owner's, and says what a real run takes."""

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import rehearse
from bench.base.errors import InputError
from bench.data import cards
from bench.data.survey import differences, survey
from bench.perf import made_up_files, made_up_images, obstacles, rehearsal_page
from bench.perf.made_up_labels import draw_labels
from bench.perf.rehearsal import Folders, Measured, labels, make_and_prepare
from bench.training import trunk

OWNERS = ("coco", "nuswide", "voc2007", "voc2012", "wider")


def draw(**changes: int) -> np.ndarray:
    counts = {"positives": 300, "without": 7} | changes
    return draw_labels(100, 12, **counts, rng=np.random.default_rng(0))


class TestLabels:
    def test_have_exactly_the_counts_asked_for_and_every_label_an_image(self):
        labels_NC = draw()
        assert labels_NC.sum() == 300
        assert (~labels_NC.any(axis=1)).sum() == 7
        assert labels_NC.any(axis=0).all()

    def test_a_few_are_frequent_and_most_are_rare(self):
        counts_C = np.sort(draw(positives=200).sum(axis=0))
        assert counts_C[-1] > 5 * np.median(counts_C)

    @pytest.mark.parametrize("positives", [92, 12 * 93])
    def test_counts_that_do_not_fit_are_refused(self, positives: int):
        with pytest.raises(ValueError, match="do not fit"):
            draw(positives=positives)

    def test_are_the_counts_of_ms_coco_at_full_size(self):
        labels_NC = made_up_files._draw(coco := cards.load_card("coco"), "train", coco.train)
        assert labels_NC.sum() == coco.train.positives
        assert labels_NC.any(axis=1).sum() == coco.variants[0].train.images


class TestPictures:
    def test_are_all_different_and_the_same_in_every_rehearsal(self, tmp_path: Path):
        folder = tmp_path / "first" / "train" / "a"
        pictures = [made_up_images.Picture(folder / f"{n}.jpg", (64, 48)) for n in range(20)]
        made_up_images.draw_all(pictures)
        contents = [picture.path.read_bytes() for picture in pictures]
        assert len(set(contents)) == 20
        again = made_up_images.Picture(tmp_path / "second" / "train" / "a" / "3.jpg", (64, 48))
        made_up_images.draw_all([again])
        assert again.path.read_bytes() == contents[3]


@pytest.mark.parametrize("name", OWNERS)
def test_the_reader_finds_what_the_card_says(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(made_up_files, "SIZES", dict.fromkeys(made_up_files.SIZES, ((64, 48),) * 3))
    monkeypatch.setattr(made_up_files, "cores", lambda: 1)
    made = made_up_files.make(cards.load_card(name), tmp_path, share=0.0001)
    surveys = survey(made.card, tmp_path)
    assert differences(made.card, surveys) == ([], [])
    assert surveys["train"].images == made.card.train.images >= made_up_files.FEWEST
    assert not surveys["train"].left_out
    files = {*surveys["train"].paths, *surveys["test"].paths}
    assert made.pictures == len(files) == len({Path(file).read_bytes() for file in files})


def test_every_card_of_an_owner_can_be_rehearsed_and_ones_own_pictures_need_it_not(tmp_path: Path):
    assert all(made_up_files.can_make(cards.load_card(name)) for name in OWNERS)
    own = replace(cards.load_card("coco"), name="own", format="list-files")
    with pytest.raises(InputError, match=r"with your own pictures, run bench.prepare and then bench.run"):
        made_up_files.make(own, tmp_path, share=1.0)


@pytest.mark.parametrize(
    ("name", "option"), [("nuswide@lists=exchanged", "lists"), ("voc2007-bus-car-cat-train", "objects")]
)
def test_options_that_no_files_are_made_for_are_refused_before_any_work(
    name: str, option: str, tmp_path: Path
):
    with pytest.raises(InputError, match=rf"cannot be rehearsed: no files are made up for {option}="):
        rehearse.main(["--dataset", name, "--device", "cpu", "--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def findings(**changes: object) -> dict[str, obstacles.Finding]:
    facts = {
        "target": torch.device("cpu"),
        "disk_bytes": 1,
        "host_bytes": 1,
        "folder": Path("/"),
        "trunks": (),
    }
    return {finding.what: finding for finding in obstacles.look(**{**facts, **changes})}


class TestObstacles:
    def test_too_little_disk_and_memory_and_no_gpu_stop_a_run(self):
        assert not findings()["disk"].stops
        assert findings(disk_bytes=1 << 60)["disk"].stops
        assert findings(host_bytes=1 << 60)["memory"].stops
        assert findings()["GPU"].stops

    def test_weights_that_cannot_be_had_stop_a_run(self, monkeypatch: pytest.MonkeyPatch):
        def refuse(name: str, **_how: object) -> None:
            raise InputError(f"weights of trunk {name} cannot be downloaded")

        monkeypatch.setattr(trunk, "load_trunk", refuse)
        assert findings(trunks=[("resnet101.tv_in1k", "")])["weights"].stops


def test_the_page_projects_to_the_whole_data_set(tmp_path: Path):
    measured = Measured(
        0.1, {"prepare": 36.0}, {"store": 10**9, "runs": 10**9}, hours={"srn": 1.5, "all": 1.5}
    )
    card = cards.load_card("coco")
    text = rehearsal_page.page(card, measured, target=torch.device("cpu"), is_small=False, data=tmp_path)
    assert "prepared store: 10.0 GB" in text
    assert "runs, one seed: 1.0 GB" in text  # these do not grow with the data set
    assert "preparation: 0.10 hours" in text
    assert "srn 1.50, all 1.50" in text


@pytest.mark.parametrize("share", ["0", "-1", "1.5", "nan"])
def test_a_share_that_is_none_is_refused(share: str):
    with pytest.raises(InputError, match="give a number above 0, up to 1"):
        rehearse.main(["--dataset", "coco", "--share", share])


def test_a_wrong_recipe_field_is_refused_before_any_work(tmp_path: Path):
    words = ["--dataset", "coco", "--device", "cpu", "--set", "foo=1", "--output", str(tmp_path)]
    with pytest.raises(InputError, match="unknown recipe field 'foo'"):
        rehearse.main(words)
    assert not list(tmp_path.iterdir())


class TestFolders:
    """A rehearsal deletes only what a rehearsal made."""

    def test_somebody_elses_files_are_refused_and_stay(self, tmp_path: Path):
        for name in ("source", "data", "runs"):
            (tmp_path / "coco" / name).mkdir(parents=True)
            (tmp_path / "coco" / name / "mine.txt").write_text("mine")
        words = ["--dataset", "coco", "--device", "cpu", "--output", str(tmp_path)]
        with pytest.raises(
            InputError, match=r"files that are not a rehearsal's.*give another folder: --output"
        ):
            rehearse.main(words)
        Folders(tmp_path / "coco").remove()
        files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
        assert files == ["mine.txt"] * 3

    def test_what_an_interrupted_one_left_is_deleted_and_what_is_kept_is_refused(self, tmp_path: Path):
        folders = Folders(tmp_path / "coco")
        with suppress(KeyboardInterrupt), folders.claimed():
            folders.data.mkdir()
            raise KeyboardInterrupt
        with folders.claimed():
            assert not folders.data.exists()
            folders.data.mkdir()
            folders.keep()
        with pytest.raises(InputError, match="or that --keep kept"), folders.claimed():
            pass
        assert folders.data.exists()

    def test_two_at_once_are_refused(self, tmp_path: Path):
        folders = Folders(tmp_path / "coco")
        with folders.claimed():
            folders.data.mkdir()
            with pytest.raises(InputError, match="another rehearsal works in"), folders.claimed():
                pass
            assert folders.data.exists()

    def test_a_file_in_its_place_is_refused(self, tmp_path: Path):
        (tmp_path / "coco").write_text("mine")
        with pytest.raises(InputError, match="give another folder"), Folders(tmp_path / "coco").claimed():
            pass


def test_the_share_is_that_of_the_images_that_were_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """At least 48 images of a split are made, however small the share; the demo is always drawn whole."""
    monkeypatch.setattr(made_up_files, "SIZES", dict.fromkeys(made_up_files.SIZES, ((64, 48),) * 3))
    monkeypatch.setattr(made_up_files, "cores", lambda: 1)
    card = cards.load_card("voc2007")
    make_and_prepare(card, Folders(tmp_path), measured := Measured(0.001))
    assert measured.share == 2 * 48 / (card.train.images + card.test.images)
    monkeypatch.setattr(made_up_files, "can_make", lambda _: False)
    with pytest.raises(InputError):  # it would be prepared from the owner's files
        make_and_prepare(card, Folders(tmp_path / "new"), measured := Measured(0.001))
    assert measured.share == 1


def test_two_rows_of_a_method_have_two_names():
    common = {"trunk": "resnet10_narrow"}
    runs = [("resnet101", common), ("resnet101", {**common, "budget": "equal"}), ("srn", common)]
    assert labels(runs) == ["resnet101", "resnet101@budget=equal", "srn"]
    assert labels(runs[:1]) == ["resnet101"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*OWNERS, "demo"])
def test_the_whole_chain_runs_on_the_cpu(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rehearse.main(
        ["--dataset", name, "--share", "0.002", "--method", "resnet101,srn", "--output", str(tmp_path)]
    )
    printed = capsys.readouterr().out
    assert f"# Rehearsal of {cards.load_card(name).title}" in printed
    folder = tmp_path / name
    assert (folder / "rehearsal.md").read_text() in printed
    assert not (folder / "source").exists()
    assert (folder / "report" / "index.html").exists() == (name != "voc2012")
