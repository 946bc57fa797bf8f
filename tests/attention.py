"""Attention written out in loops, for the tests of methods that use torch's."""

import math

import torch
from torch import Tensor, nn

from methods._attention import AttentionLayer


def plain_attention(attention: nn.MultiheadAttention, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """The attended values of one image (Q, D): softmax(q k / sqrt(D / heads)) v, head by head."""
    width, heads = attention.embed_dim, attention.num_heads
    weights, biases = (
        parameter.split(width) for parameter in (attention.in_proj_weight, attention.in_proj_bias)
    )
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True))
    size = width // heads
    rows = []
    for i in range(len(query)):
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            scores = [float(q[i, own] @ k[j, own]) / math.sqrt(size) for j in range(len(key))]
            total = sum(math.exp(score) for score in scores)
            terms = [math.exp(score) / total * v[j, own] for j, score in enumerate(scores)]
            parts.append(torch.stack(terms).sum(dim=0))
        rows.append(torch.cat(parts))
    return torch.stack(rows) @ attention.out_proj.weight.T + attention.out_proj.bias


def plain_norm(norm: nn.LayerNorm, rows: Tensor) -> Tensor:
    """Each row to mean 0 and variance 1 (of all its numbers, plus epsilon), then scaled and shifted."""
    normed = [(row - row.mean()) / ((row - row.mean()).pow(2).mean() + norm.eps).sqrt() for row in rows]
    return torch.stack(normed) * norm.weight + norm.bias


def plain_layer(layer: AttentionLayer, added: Tensor, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """LN(h + W2 ReLU(W1 h + b1) + b2) with h = LN(r + MHA(q, k, v)), of one image."""
    hidden = plain_norm(layer.norm1, added + plain_attention(layer.attention, query, key, value))
    first = (hidden @ layer.linear1.weight.T + layer.linear1.bias).clamp(min=0)
    return plain_norm(layer.norm2, hidden + first @ layer.linear2.weight.T + layer.linear2.bias)


def draw_all(model: nn.Module) -> nn.Module:
    """The model in float64 with all parameters drawn, norms and biases too, so that each of them counts."""
    for parameter in model.double().parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()
