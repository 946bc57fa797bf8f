"""A graph of labels, attention along its edges, and groups of labels by differentiable pooling.

Legend: C labels, G groups, D numbers of a node's embedding, E of what a layer makes of it.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F


def adjacency(
    cooccurrence_CC: NDArray[np.int64], *, threshold: float = 0.4, share: float = 0.25
) -> NDArray[np.float64]:
    """The label graph from training labels (Chen et al. 2019): an edge i -> j where P(j | i) >= threshold.

    The edges of i to others share the weight `share` evenly, each label has an edge of weight 1 to itself;
    A = D^-1/2 A' D^-1/2, where D are the sums of the rows of A'.
    """
    own_C = np.maximum(np.diag(cooccurrence_CC), 1)  # a label without images has no edges
    itself_CC = np.eye(len(own_C))
    edges_CC = (cooccurrence_CC / own_C[:, None] >= threshold) & (itself_CC == 0)
    weights_CC = share * edges_CC / np.maximum(edges_CC.sum(axis=1, keepdims=True), 1) + itself_CC
    degree_C = np.sqrt(weights_CC.sum(axis=1))
    normalised_CC: NDArray[np.float64] = weights_CC / degree_C[:, None] / degree_C
    return normalised_CC


class GraphAttention(nn.Module):
    """h'_i = ELU(sum over j of s_ij W h_j), s_i = softmax of e_i over the edges i -> j (Velickovic 2018).

    e_ij = LeakyReLU(a^T [W h_i || W h_j]) with slope 0.2; W and a begin as Xavier's, with gain 1.414.
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
        return F.elu(attention_CC @ nodes_CE)


class Groups(nn.Module):
    """Groups g = S^T Z of nodes (Ying et al. 2018): a graph attention on ReLU(h) gives Z, another, followed
    by a softmax over the groups, S.
    """

    def __init__(self, width: int, groups: int) -> None:
        super().__init__()
        self.embed = GraphAttention(width, width)
        self.assign = GraphAttention(width, groups)

    def forward(self, nodes_CD: Tensor, edges_CC: Tensor) -> tuple[Tensor, Tensor]:
        """(g, S): (G, D), and (C, G), in which a row sums to 1."""
        rectified_CD = nodes_CD.relu()
        assignment_CG = self.assign(rectified_CD, edges_CC).softmax(dim=1)
        return assignment_CG.T @ self.embed(rectified_CD, edges_CC), assignment_CG


def distance(nodes_CD: Tensor, groups_GD: Tensor, assignment_CG: Tensor) -> Tensor:
    """The Euclidean distances of the nodes to their most likely groups, summed."""
    mine_CD = groups_GD[assignment_CG.argmax(dim=1)]
    total: Tensor = torch.linalg.vector_norm((nodes_CD - mine_CD).float(), dim=1).sum()
    return total
