"""ML-GCN: a graph of the labels computes their classifiers from word vectors (Chen et al. 2019).

arXiv 1904.03582. From the training labels E_ij = 1 where P(i | j) = N_ij / N_j >= tau and i != j, else 0
(N_ij: images with both labels, N_j: with label j). The neighbours of a label together have the weight p, the
label itself has 1 - p:
    A_ij = p E_ij / sum over k of E_ik,  A_ii = 1 - p,  A^ = D^-1/2 A D^-1/2,  D_jj = sum over i of A_ij
Two graph convolutions on word vectors Z give the classifiers W (C, D) of the maximum over positions:
    W = A^ LeakyReLU(A^ Z W1) W2,  y = W max(F)

Where paper and release differ, the graph is the release's, whose weights made the published numbers:
- Direction. The paper's P_ij is P(j | i), and its Eq. 8, as its authors corrected it, divides by sums over
  the first index. The release multiplies by the transpose of that matrix, as above: a label takes from those
  that make it likely, `person` from what people carry, and its neighbours together have p.
- p. The release divides 0.25 by the sum + 1e-6 and adds the identity. That is A / 0.8 for the paper's
  p = 0.2, and A^ does not change with such a factor.
- A label without images. The release divides by zero; here it has no neighbours.
- D sums columns of A, as in the release.
The schedule is the paper's: a tenth of the rate after every 40 of 100 epochs. The release has 20 epochs and
a step after 30, so that its rate never falls: `--epochs 20 --set milestones=`. It starts at 0.1 for the graph
and 0.01 for the trunk, clips gradients at a norm of 10, and keeps the epoch that is best on the test set;
here it is the last one. Its crops are cut from the photograph as it is, ours from the square that the store
has. Without `word_vectors` the labels' vectors are learned, and start as spread as the paper's, which are
GloVe's: with a deviation of 1 the first logits are 2.6 times as large, and the demo is learned later.
The graph needs a lower rate than a linear layer where the trunk starts from scratch. On equal terms on the
demo it has SRN's rate, unclipped: all features became 0 and the logits constant (tried on 1440 images).

Cost with C = 80: 44.9 M parameters, of which 2.4 M are W1 and W2; 31 GMAC for each image at 448. W takes 0.2
GMAC for each batch; it depends on no image, and `model.classifier()` computes it once for all.

Legend: B images, C labels, D channels, H and W sides.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import NO_FILE, File, Labels, Range, Stage, Trunk
from methods import _words, resnet101, resnet101_gmp
from methods._graph import edges
from methods.resnet101_gmp import PHOTOGRAPHS

ORDER = (2019, 2)
BASELINE = "resnet101_gmp"
SPREAD = 0.38  # of learned vectors at first: that of GloVe's for the labels of MS-COCO and VOC (0.377, 0.385)
Width = Annotated[int, Range(1, 65_536)]


@dataclass(frozen=True, kw_only=True)
class Config(resnet101_gmp.Config):
    """The training of its baseline, and the graph's settings.

    word_vectors: a file in GloVe's text format; without one vectors are learned. word_size: numbers in a
    vector. words: texts `label=word word`, for labels whose own words are not in that file.
    hidden: outputs of the first graph convolution. edge_threshold: tau. neighbour_weight: p.
    """

    word_vectors: File = NO_FILE
    words: tuple[str, ...] = ()
    word_size: Width = 300
    hidden: Width = 1024
    edge_threshold: Annotated[float, Range(above=0, most=1)] = 0.4
    neighbour_weight: Annotated[float, Range(0, below=1)] = 0.2


class Model(nn.Module):
    """y = W max(F), with W from the graph."""

    def __init__(self, config: Config, labels: Labels, trunk: Trunk) -> None:
        super().__init__()
        self.trunk, self.criterion = trunk, config.criterion
        self.classifier = GraphClassifier(config, labels, trunk.channels)

    def main_logits(self, images_BCHW: Tensor) -> Tensor:
        """The logits (B, C)."""
        features_BDHW: Tensor = self.trunk.features(images_BCHW)
        weights_CD: Tensor = self.classifier()
        return features_BDHW.amax(dim=(2, 3)) @ weights_CD.T

    def logits(self, images_BCHW: Tensor) -> Tensor:
        """The logits (B, C)."""
        return self.main_logits(images_BCHW)

    def forward(self, images_BCHW: Tensor) -> Tensor:
        return self.logits(images_BCHW)


def correlation(
    cooccurrence_CC: NDArray[np.int64], *, threshold: float, neighbour_weight: float
) -> NDArray[np.float64]:
    """A^ (C, C) from the co-occurrence counts of the training labels."""
    own_CC = np.eye(len(cooccurrence_CC), dtype=bool)
    edges_CC = edges(cooccurrence_CC, threshold=threshold) & ~own_CC
    neighbours_C1 = edges_CC.sum(axis=1, keepdims=True).clip(min=1)
    weights_CC = neighbour_weight * edges_CC / neighbours_C1 + (1 - neighbour_weight) * own_CC
    scale_C = weights_CC.sum(axis=0) ** -0.5
    normalised_CC: NDArray[np.float64] = scale_C[:, None] * weights_CC * scale_C
    return normalised_CC


class GraphConvolution(nn.Module):
    """A^ H W without bias (Kipf and Welling 2017); W starts uniform within 1 / sqrt(outputs), as released."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        bound = self.weight.shape[1] ** -0.5
        nn.init.uniform_(self.weight, -bound, bound)

    def convolve(self, nodes_CD: Tensor, correlation_CC: Tensor) -> Tensor:
        """The nodes' next embeddings."""
        return correlation_CC @ (nodes_CD @ self.weight)


class GraphClassifier(GraphConvolution):
    """W (C, D): word vectors, a graph convolution `first`, and another one, which is this module itself."""

    correlation_CC: Tensor

    def __init__(self, config: Config, labels: Labels, channels: int) -> None:
        super().__init__(config.hidden, channels)
        counts_CC, weight = labels.cooccurrence_CC, config.neighbour_weight
        matrix_CC = correlation(counts_CC, threshold=config.edge_threshold, neighbour_weight=weight)
        self.register_buffer("correlation_CC", torch.from_numpy(matrix_CC).float())
        self.words = _words.embedding(
            labels.names, config.word_vectors, size=config.word_size, spelled=config.words, spread=SPREAD
        )
        self.first = GraphConvolution(config.word_size, config.hidden)

    def forward(self) -> Tensor:
        hidden_CD = F.leaky_relu(self.first.convolve(self.words.weight, self.correlation_CC), 0.2)
        return self.convolve(hidden_CD, self.correlation_CC)


def stages(config: Config) -> tuple[Stage, ...]:
    """One stage for all layers; under the equal budget a second one trains them on."""
    settings = ("word_vectors", "words", "word_size", "hidden", "edge_threshold", "neighbour_weight")
    main = config.main_stage("classifier", owner=__name__, loss=resnet101.main_loss, settings=settings)
    return config.with_budget(main)


# `python -m bench.run --dataset coco@unlabelled=dropped --method ml_gcn --word-vectors FILE`: expected mAP
# 83.0; on voc2007@difficult=positive-in-training 94.0. The hours are not measured.
RECIPES = Config.recipes(
    voc2007={"words": _words.VOC_WORDS},
    voc2012={"words": _words.VOC_WORDS},
    **{
        PHOTOGRAPHS: {**resnet101_gmp.ON_PHOTOGRAPHS, "words": _words.VOC_WORDS},
        "demo": {**resnet101_gmp.ON_DEMO, "new_layers_lr": 0.02},  # chosen on the held-out images of seed 0
    },
)
