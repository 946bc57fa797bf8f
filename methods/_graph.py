"""The label graph, graph attention along its edges, and groups of labels by differentiable pooling.

Legend: C labels, G groups, D numbers of a node's embedding, E of its embedding by the next layer.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


def edges(cooccurrence_CC: NDArray[np.int64], *, threshold: float = 0.4) -> NDArray[np.bool_]:
    """The label graph from training labels: row i attends to j where P(i | j) >= threshold, and to itself.

    P(i | j) = N_ij / N_j. So a label attends to those that make it likely: `person` to what people carry.
    """
    images_C = np.maximum(np.diag(cooccurrence_CC), 1)  # at least 1: nobody attends to a label without images
    attends_CC: NDArray[np.bool_] = cooccurrence_CC / images_C >= threshold
    return attends_CC | np.eye(len(images_C), dtype=bool)


class GraphAttention(nn.Module):
    """A graph attention layer (Velickovic et al. 2018): h'_i = ELU(sum over j of s_ij W h_j + W h_i).

    s_i is the softmax of e_i over the edges i -> j, with e_ij = LeakyReLU(a^T [W h_i || W h_j]) of slope 0.2.
    The node's own part W h_i is added as in MSRN's release. W and a begin by Xavier's rule with gain 1.414.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.score = nn.Parameter(torch.empty(2 * outputs, 1))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        for parameter in (self.weight, self.score):
            nn.init.xavier_uniform_(parameter, gain=1.414)

    def forward(self, nodes_CD: Tensor, edges_CC: Tensor) -> Tensor:
        nodes_CE = nodes_CD @ self.weight
        from_E1, to_E1 = self.score.chunk(2)
        scores_CC = F.leaky_relu(nodes_CE @ from_E1 + (nodes_CE @ to_E1).T, 0.2)
        attention_CC = scores_CC.masked_fill(~edges_CC, -torch.inf).softmax(dim=1)
        return F.elu(attention_CC @ nodes_CE + nodes_CE)


class Groups(nn.Module):
    """Groups of nodes g = S^T Z (Ying et al. 2018), from the nodes' embeddings h.

    Z is a graph attention on ReLU(h), and S another one followed by a softmax over the groups.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.embed = GraphAttention(width, width)
        self.assign = GraphAttention(width, groups)

    def forward(self, nodes_CD: Tensor, edges_CC: Tensor) -> tuple[Tensor, Tensor]:
        """(g, S) of shapes (G, D) and (C, G); each row of S sums to 1."""
        rectified_CD = nodes_CD.relu()
        assignment_CG = self.assign(rectified_CD, edges_CC).softmax(dim=1)
        return assignment_CG.T @ self.embed(rectified_CD, edges_CC), assignment_CG


def distance(nodes_CD: Tensor, groups_GD: Tensor, assignment_CG: Tensor) -> Tensor:
    """The sum of the Euclidean distances between each node and its most likely group."""
    likeliest_CD = groups_GD[assignment_CG.argmax(dim=1)]
    total: Tensor = torch.linalg.vector_norm((nodes_CD - likeliest_CD).float(), dim=1).sum()
    return total
