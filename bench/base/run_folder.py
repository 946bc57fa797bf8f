"""The layout of `runs/<dataset>/`: the path of every file that a run writes."""

from dataclasses import dataclass
from pathlib import Path

from bench.base.paths import RUNS


@dataclass(frozen=True)
class RunFolder:
    """The folder with all runs of one data set. A run is named as its record without `.json`: `srn-seed0`."""

    path: Path

    @classmethod
    def of(cls, dataset: str, runs: Path = RUNS) -> "RunFolder":
        """The folder of a data set; dataset: the full name, as in `nuswide@keep=all`."""
        return cls(runs / dataset)

    @staticmethod
    def names_file(runs: Path) -> Path:
        """The names that the user gave to runs, of all data sets."""
        return runs / "names.json"

    @property
    def stages(self) -> Path:
        """The folder of finished stages and of checkpoints of unfinished ones, shared by all runs."""
        return self.path / "stages"

    @property
    def logs(self) -> list[Path]:
        """The logs of all runs."""
        return sorted(self.path.glob("*.jsonl"))

    @property
    def curves(self) -> Path:
        """The file that `bench.plot` writes by default."""
        return self.path / "curves.png"

    @property
    def written(self) -> list[Path]:
        """The folders into which a run writes."""
        names = ("stages", "predictions", "held_out", "results", "tensorboard", "tracked", "cluster")
        return [self.path, *(self.path / name for name in names)]

    def record(self, run: str) -> Path:
        """The run's record."""
        return self.path / f"{run}.json"

    def log(self, run: str) -> Path:
        """The run's log, one line per epoch."""
        return self.path / f"{run}.jsonl"

    def predictions(self, run: str) -> Path:
        """The run's logits for the test images."""
        return self.path / "predictions" / f"{run}.safetensors"

    def held_out(self, run: str) -> Path:
        """The run's logits for the held-out images, on which its thresholds were fitted."""
        return self.path / "held_out" / f"{run}.safetensors"

    def result_files(self, run: str) -> Path:
        """The folder of the run's files for an evaluation server."""
        return self.path / "results" / run

    def tensorboard(self, run: str) -> Path:
        """The folder of the run's TensorBoard files."""
        return self.path / "tensorboard" / run

    def tracked(self, run: str) -> Path:
        """The file with the names that other trackers gave to the run."""
        return self.path / "tracked" / f"{run}.json"

    def tracker(self, name: str) -> Path:
        """The folder of a tracker's own files: of wandb or mlflow."""
        return self.path / "tracked" / name

    @property
    def cluster(self) -> Path:
        """The folder of what the tasks of a cluster print."""
        return self.path / "cluster"
