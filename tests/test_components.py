"""Loss and connectors as registered modules."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope

from mmtat.models import (
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
    TaTLoss,
)
from mmtat.ops import (
    BACKENDS,
    group_patches,
    pool_anchors,
    target_aware_loss,
)


@pytest.mark.parametrize(
    'scope', ['mmengine', 'mmseg', 'mmpretrain', 'mmrazor']
)
def test_components_are_reachable_from_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        loss = MODELS.build(dict(type='mmtat.TaTLoss', loss_weight=2.0))
        connector = MODELS.build(
            dict(type='mmtat.PatchGroupConnector', patches=(2, 2), groups=2)
        )
    assert isinstance(loss, TaTLoss)
    assert isinstance(connector, PatchGroupConnector)


def test_the_loss_weight_scales_the_loss():
    arguments = torch.rand(4, 2, 3, 4, 4)
    expected = 0.3 * target_aware_loss(*arguments)
    torch.testing.assert_close(TaTLoss(0.3)(*arguments), expected)
    for backend in BACKENDS:
        loss = TaTLoss(0.3, backend)
        torch.testing.assert_close(loss(*arguments), expected)
        assert f'backend={backend!r}' in repr(loss)
    assert list(TaTLoss().parameters()) == []


@pytest.mark.parametrize('weight', [-1, 'much', float('nan')])
def test_a_loss_weight_that_is_no_weight_raises(weight):
    with pytest.raises(ValueError, match='loss_weight must be a number'):
        TaTLoss(weight)


def test_connectors_do_what_their_functions_do():
    feature = torch.randn(2, 3, 8, 8)
    patches = PatchGroupConnector(patches=(2, 4), groups=4)(feature)
    assert torch.equal(patches, group_patches(feature, (2, 4), 4))
    anchors = AnchorPointConnector(anchors=(4, 2))(feature)
    assert torch.equal(anchors, pool_anchors(feature, (4, 2)))


def test_connectors_refuse_bad_numbers_when_they_are_built():
    with pytest.raises(ValueError, match='groups must divide the 6 patches'):
        PatchGroupConnector(patches=(2, 3), groups=4)
    with pytest.raises(ValueError, match='anchors must be two positive'):
        AnchorPointConnector(anchors=8)


def test_a_norm_per_image_sees_one_image_at_a_time():
    connector = EmbeddingConnector(3, 5, norm='image').double()
    torch.nn.init.normal_(connector.norm.weight)
    feature = torch.randn(2, 3, 4, 4).double()
    together = connector(feature)
    alone = torch.cat([connector(image) for image in feature.split(1)])
    torch.testing.assert_close(together, alone)
    embedded = F.conv2d(feature, connector.conv.weight)
    mean = embedded.mean((2, 3), keepdim=True)
    variance = embedded.var((2, 3), unbiased=False, keepdim=True)
    expected = (embedded - mean) / (variance + 1e-5).sqrt()
    expected = expected * connector.norm.weight.view(1, -1, 1, 1)
    torch.testing.assert_close(together, expected)


def test_a_norm_over_the_batch_is_batch_norm():
    connector = EmbeddingConnector(3, 5, kernel_size=3, norm='batch')
    feature = torch.randn(2, 3, 4, 4)
    assert connector(feature).shape == (2, 5, 4, 4)
    assert isinstance(connector.norm, torch.nn.BatchNorm2d)
    torch.testing.assert_close(
        connector(feature).mean((0, 2, 3)), torch.zeros(5), atol=1e-5, rtol=0
    )


def test_without_a_norm_the_embedding_is_a_convolution():
    connector = EmbeddingConnector(3, 5, norm=None)
    feature = torch.randn(1, 3, 2, 2)
    expected = F.conv2d(feature, connector.conv.weight)
    assert torch.equal(connector(feature), expected)
    assert [name for name, _ in connector.named_parameters()] == [
        'conv.weight'
    ]


@pytest.mark.parametrize(
    ('arguments', 'name'),
    [
        (dict(kernel_size=5), 'kernel_size'),
        (dict(norm='layer'), 'norm'),
        (dict(in_channels=0), 'in_channels'),
        (dict(out_channels=1.5), 'out_channels'),
    ],
)
def test_an_embedding_refuses_what_it_does_not_know(arguments, name):
    with pytest.raises(ValueError, match=f'^{name} must be'):
        EmbeddingConnector(
            **dict(dict(in_channels=2, out_channels=3), **arguments)
        )


def test_connectors_work_alone_in_a_configurable_distiller():
    from mmrazor.models.distillers import ConfigurableDistiller

    from .toys import ToySegmentor

    student, teacher = ToySegmentor(), ToySegmentor()
    with DefaultScope.overwrite_default_scope('mmrazor'):
        distiller = ConfigurableDistiller(
            student_recorders=dict(
                f=dict(type='ModuleOutputs', source='backbone.conv')
            ),
            teacher_recorders=dict(
                f=dict(type='ModuleOutputs', source='backbone.conv')
            ),
            connectors=dict(
                patches=dict(
                    type='mmtat.PatchGroupConnector', patches=(2, 2), groups=2
                )
            ),
            distill_losses=dict(loss_tat=dict(type='mmtat.TaTLoss')),
            loss_forward_mappings=dict(
                loss_tat={
                    name: dict(
                        recorder='f',
                        from_student=name in ('query', 'value'),
                        connector='patches',
                    )
                    for name in ('query', 'key', 'value', 'target')
                }
            ),
        )
    distiller.prepare_from_student(student)
    distiller.prepare_from_teacher(teacher)
    image = torch.rand(1, 3, 8, 8)
    with distiller.student_recorders, distiller.teacher_recorders:
        s = student.backbone.conv(image)
        t = teacher.backbone.conv(image)
    loss = distiller.compute_distill_losses()['loss_tat']
    maps = [group_patches(x, (2, 2), 2) for x in (s, t, s, t)]
    torch.testing.assert_close(loss, target_aware_loss(*maps))
