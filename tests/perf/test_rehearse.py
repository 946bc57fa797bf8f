"""A rehearsal makes up files that the readers take for the owner's, and says what a real run takes."""

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
from bench.perf.rehearsal import Measured
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
