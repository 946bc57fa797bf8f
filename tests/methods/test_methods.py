"""The five methods of the SRN paper: its equations written out directly, and its numbers of parameters."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from timm.layers import BatchNormAct2d
from timm.models.resnetv2 import PreActBottleneck
from torch import nn

from bench.training import method, trunk
from bench.training.method import Labels
from bench.training.trunk import Trunk
from methods import _losses, resnet101, resnet101_semantic, resnet107, srn

COCO = Labels(tuple(f"label {number}" for number in range(80)), np.zeros((80, 80), dtype=np.int64))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def on_resnet101(config_of: Any, **changes: Any) -> nn.Module:
    """The method's model on the paper's trunk at 224, without memory for its weights."""
    module = method.load_method(config_of)
    with torch.device("meta"):
        return module.Model(
            replace(module.Config(), **changes), COCO, trunk.load_trunk("resnet101", from_scratch=True)
        )


@pytest.fixture(scope="module")
def small_srn() -> srn.Model:
    config = replace(srn.RECIPES["demo"], attention_width=32, relation_width=24)
    labels = Labels(tuple("abcde"), np.zeros((5, 5), dtype=np.int64))
    model = method.build(method.load_method("srn"), config, labels, 0).eval()
    assert isinstance(model, srn.Model)
    return model


class TestSizes:
    """With ResNet-101 at 224 and C = 80 (reference: section 4.1 and 3.3 of the paper)."""

    baseline = parameters(on_resnet101("resnet101"))

    def test_resnet101(self):
        assert self.baseline == 42_664_080

    def test_resnet107_adds_two_blocks_of_8_9_million(self):
        assert parameters(on_resnet101("resnet107")) - self.baseline == 8_925_184

    def test_srn_adds_about_6_million_and_3_9_without_the_attention_blocks(self):
        assert parameters(on_resnet101("srn")) - self.baseline == 6_117_616
        assert parameters(on_resnet101("srn", attention_blocks=0)) - self.baseline == 3_883_248

    def test_conv4_has_four_kernels_as_large_as_x_for_each_channel(self):
        conv4 = on_resnet101("srn").get_submodule("regularization.conv4")[0]
        assert conv4.weight.shape == (2048, 1, 14, 14)
        assert conv4.weight.numel() == 401_408

    def test_srn_att_is_as_large_as_srn(self):
        assert parameters(on_resnet101("srn_att")) == parameters(on_resnet101("srn"))

    def test_the_released_networks_confidence_branch_has_a_hidden_layer(self):
        model = on_resnet101("srn", confidence_hidden=512)
        assert [tuple(p.shape) for p in model.get_submodule("confidence").parameters() if p.dim() == 4] == [
            (512, 1024, 1, 1),
            (80, 512, 1, 1),
        ]

    def test_semantic_has_two_layers_of_2048_on_logits_and_features(self):
        layers = [
            m for m in on_resnet101("resnet101_semantic").get_submodule("relations") if hasattr(m, "weight")
        ]
        assert [tuple(layer.weight.shape) for layer in layers] == [(2048, 2128), (2048, 2048), (80, 2048)]


class TestEquations:
    def test_attention_is_a_softmax_over_positions(self, small_srn: srn.Model):
        x = torch.randn(2, 64, 4, 4)
        z = small_srn.attention(small_srn.attention_trunk(x))
        a, _ = small_srn.maps(x)
        for image in range(2):
            for label in range(5):
                total = sum(torch.exp(z[image, label, i, j]) for i in range(4) for j in range(4))
                for i in range(4):
                    for j in range(4):  # Eq. 4
                        torch.testing.assert_close(
                            a[image, label, i, j], torch.exp(z[image, label, i, j]) / total
                        )

    def test_pooling_confidences_equals_classifying_attended_features(self):
        """Eq. 7 is Eq. 6 on Eq. 5: v^l = sum x_ij a^l_ij, y^l = W^l v^l + b^l."""
        x, a = torch.randn(3, 7, 4, 4), torch.rand(3, 5, 4, 4).flatten(2).softmax(dim=2).view(3, 5, 4, 4)
        conv1 = nn.Conv2d(7, 5, 1)
        v = torch.einsum("bdij,bcij->bcd", x, a)
        expected = (conv1.weight[:, :, 0, 0] * v).sum(dim=2) + conv1.bias
        torch.testing.assert_close(srn.pool(a, conv1(x)), expected, atol=1e-5, rtol=1e-5)

    def test_the_regularization_sees_sigmoid_s_times_a(self, small_srn: srn.Model):
        s, a = torch.randn(2, 5, 4, 4), torch.rand(2, 5, 4, 4)
        expected = small_srn.regularization(a / (1 + torch.exp(-s)))  # Eq. 8
        torch.testing.assert_close(small_srn.regularize(a, s), expected)

    def test_unweighted_the_regularization_sees_a_alone(self, small_srn: srn.Model):
        weighted, small_srn.config = small_srn.config, replace(small_srn.config, weighted=False)
        s, a = torch.randn(2, 5, 4, 4), torch.rand(2, 5, 4, 4)
        logits = small_srn.regularize(a, s)
        small_srn.config = weighted
        torch.testing.assert_close(logits, small_srn.regularization(a))

    def test_conv4_relates_places_within_one_channel_by_four_kernels(self, small_srn: srn.Model):
        conv4 = small_srn.regularization.conv4[0]
        x = torch.randn(2, 24, 4, 4)
        expected = [(x[:, n // 4] * conv4.weight[n, 0]).sum(dim=(1, 2)) for n in range(96)]
        torch.testing.assert_close(conv4(x)[:, :, 0, 0], torch.stack(expected, dim=1))

    def test_the_prediction_is_the_mean_of_main_and_regularized_logits(self, small_srn: srn.Model):
        images = torch.randn(2, 3, 64, 64)
        y_cls, y_att, y_sr = small_srn.branches(images)
        torch.testing.assert_close(small_srn.logits(images), 0.5 * y_cls + 0.5 * y_sr)
        torch.testing.assert_close(small_srn.attention_logits(images), y_att)
        torch.testing.assert_close(small_srn.regularization_logits(images), y_sr)
        torch.testing.assert_close(small_srn.main_logits(images), y_cls)
        torch.testing.assert_close(srn.fuse(y_cls, y_sr, 0.3), 0.3 * y_cls + 0.7 * y_sr)

    @pytest.mark.parametrize("kind", ["fused", "separate"])
    def test_the_joint_loss_is_eq_10_or_the_three_losses_apart(self, small_srn: srn.Model, kind: Any):
        images, labels = torch.randn(2, 3, 64, 64), torch.tensor([[1.0, 0, 0, 1, 0], [0, 1, 0, 0, 0]])

        def loss(logits: torch.Tensor) -> torch.Tensor:
            p = torch.sigmoid(logits)
            return -(labels * p.log() + (1 - labels) * (1 - p).log()).sum() / 2

        y_cls, y_att, y_sr = small_srn.branches(images)
        fused = loss((y_cls + y_sr) / 2) + loss(y_att)
        expected = {"fused": fused, "separate": loss(y_cls) + loss(y_att) + loss(y_sr)}[kind]
        before, small_srn.config = small_srn.config, replace(small_srn.config, joint_loss=kind)
        joint, _ = srn.joint_loss(small_srn, images, labels)
        small_srn.config = before
        torch.testing.assert_close(joint, expected)

    def test_the_loss_sums_over_labels_and_divides_by_the_batch_only(self):
        logits, labels = torch.zeros(4, 80), torch.zeros(4, 80)
        assert _losses.bce(logits, labels).item() == pytest.approx(80 * np.log(2))

    def test_the_loss_is_float32_whatever_the_logits_are(self):
        assert _losses.bce(torch.zeros(4, 8, dtype=torch.bfloat16), torch.zeros(4, 8)).dtype == torch.float32

    def test_semantic_concatenates_first_logits_and_pooled_features(self):
        model = resnet101_semantic.Model(resnet101_semantic.RECIPES["demo"], COCO, small_trunk())
        features = torch.randn(2, 128, 2, 2)
        pooled = features.mean(dim=(2, 3))
        first = pooled @ model.classifier.weight.T + model.classifier.bias
        hidden = torch.cat([first, pooled], dim=1)
        one, two, three = (layer for layer in model.relations if isinstance(layer, nn.Linear))
        for layer in (one, two):
            hidden = torch.relu(hidden @ layer.weight.T + layer.bias)
        torch.testing.assert_close(model.relate(features), hidden @ three.weight.T + three.bias)

    def test_resnet107_begins_as_resnet101(self):
        """The new blocks are the identity until they have learned something."""
        images, labels = torch.randn(2, 3, 64, 64), Labels(tuple("ab"), np.zeros((2, 2), dtype=np.int64))
        plain, deeper = (
            method.build(module, module.RECIPES["demo"], labels, 0).eval()  # type: ignore[arg-type]
            for module in (resnet101, resnet107)
        )
        assert torch.equal(plain(images), deeper(images))


def small_trunk() -> Trunk:
    return trunk.load_trunk("resnet10_narrow", from_scratch=True)


class TestPreactivationTrunks:
    """Blocks are pre-activation blocks on the raw stage; norm and ReLU follow them."""

    def build(self, name: str) -> Any:
        module = method.load_method(name)
        with torch.device("meta"):
            net = trunk.load_trunk("resnetv2_50", from_scratch=True)
            return module.Model(replace(module.Config(), trunk="resnetv2_50"), COCO, net)

    @pytest.mark.parametrize(("name", "part"), [("srn", "attention_trunk"), ("resnet107", "blocks")])
    def test_the_new_blocks_are_timms(self, name: str, part: str):
        *blocks, last = getattr(self.build(name), part)
        assert {type(block) for block in blocks} <= {PreActBottleneck}
        assert isinstance(last, BatchNormAct2d if name == "srn" else PreActBottleneck)
        assert sum(isinstance(block, PreActBottleneck) for block in (*blocks, last)) == 2

    def test_x_is_the_raw_output_of_the_third_stage(self):
        net = trunk.load_trunk("resnetv2_50", from_scratch=True).eval()
        images = torch.randn(1, 3, 64, 64)
        assert torch.equal(net.x(images), net.middle(images))
        assert (net.x(images) < 0).any()

    def test_resnet107_begins_as_its_trunk(self):
        """Its new blocks, before the trunk's last norm, are the identity."""
        module, small = method.load_method("resnet107"), replace(COCO, names=("a", "b"))
        config = replace(module.Config(), trunk="resnetv2_50", from_scratch=True, input_size=64)
        model = method.build(module, config, small, 0).eval()
        images = torch.randn(1, 3, 64, 64)
        pooled = model.trunk.features(images).mean(dim=(2, 3))
        torch.testing.assert_close(model.logits(images), model.classifier(pooled))
