"""A layer of a transformer: attention, then two linear layers, each added to its input and then normed.

Legend: B images, Q queries, P keys and values, D their width.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from bench.training import InputError


def check_heads(width: int, heads: int) -> None:
    """Raises InputError unless the heads can share the width equally."""
    if width % heads:
        raise InputError(
            f"width={width} cannot be divided equally among heads={heads}; change one of them,"
            f" as in --set width={heads * max(1, width // heads)}"
        )


class AttentionLayer(nn.Module):
    """h = LN(r + MHA(q, k, v)); the result is LN(h + W2 ReLU(W1 h + b1) + b2).

    r, q, k, v: what the attention is added to, queries, keys and values. MHA is torch's attention with
    several heads and a bias in each projection. There is no dropout.
    xavier: all weights begin by Xavier's rule, else only those that project queries, keys and values.
    """

    def __init__(self, width: int, heads: int, feedforward: int, *, xavier: bool) -> None:
        super().__init__()
        linear = XavierLinear if xavier else nn.Linear
        self.attention = Attention(width, heads, xavier=xavier)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.linear1, self.linear2 = linear(width, feedforward), linear(feedforward, width)

    def forward(self, added_BQD: Tensor, query_BQD: Tensor, key_BPD: Tensor, value_BPD: Tensor) -> Tensor:
        hidden_BQD = self.norm1(added_BQD + self.attention(query_BQD, key_BPD, value_BPD)[0])
        output_BQD: Tensor = self.norm2(hidden_BQD + self.linear2(F.relu(self.linear1(hidden_BQD))))
        return output_BQD


class Attention(nn.MultiheadAttention):
    """torch's attention, whose weights `build` draws for its name alone, as it does for every layer."""

    def __init__(self, width: int, heads: int, *, xavier: bool) -> None:
        super().__init__(width, heads, batch_first=True)
        output = XavierZeroBias if xavier else ZeroBias
        self.out_proj = output(width, width)  # type: ignore[assignment]

    def reset_parameters(self) -> None:
        """Draw the projections of queries, keys and values; that of the output draws its own."""
        self._reset_parameters()

    def forward(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor | None]:  # type: ignore[override]
        """(the attended values (B, Q, D), None); without the weights torch takes its fastest way."""
        return super().forward(query, key, value, need_weights=False)


class ZeroBias(nn.Linear):
    """A linear layer whose bias begins at 0."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.zeros_(self.bias)


class XavierLinear(nn.Linear):
    """A linear layer whose weights begin by Xavier's rule, uniform."""

    def reset_parameters(self) -> None:
        super().reset_parameters()
        nn.init.xavier_uniform_(self.weight)


class XavierZeroBias(XavierLinear, ZeroBias):
    """A linear layer that begins in both ways."""
