"""The distiller of any loss of two features: wiring and bad input."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS

from mmtat.models import FeatureDistiller, SPLoss

from .rivals import build, distilled, feature, features
from .toys import ToySegmentor

AT = dict(loss_at=dict(type='ATLoss'))
SP = dict(loss_sp=dict(type='mmtat.SPLoss'))
EMBED = dict(type='mmtat.EmbeddingConnector')


@pytest.mark.parametrize(
    ('connector', 'name', 'shape'),
    [
        (EMBED, 'conv', (8, 4)),
        (dict(type='ConvModuleConnector'), 'conv_module.conv', (8, 4)),
        (dict(type='MGDConnector'), 'align', (8, 4)),
        (dict(type='CRDConnector', dim_out=5), 'linear', (5, 4)),
        (dict(EMBED, out_channels=6), 'conv', (6, 4)),
    ],
)
def test_channels_are_filled_in_but_those_of_the_config_win(
    connector, name, shape
):
    pool = connector['type'] == 'CRDConnector'
    model = build(feature(pool=pool, student_connector=connector, losses=SP))
    built = model.distiller.layer_connectors[0]['student']
    assert tuple(built.get_submodule(name).weight.shape[:2]) == shape
    assert distilled(model)['distill.loss_sp'] > 0


def test_a_teachers_connector_gets_the_teachers_channels():
    model = build(feature(teacher_connector=EMBED, losses=SP))
    built = model.distiller.layer_connectors[0]['teacher']
    assert built.conv.weight.shape[:2] == (8, 8)


@pytest.mark.parametrize(('connector', 'channels'), [(None, 4), (EMBED, 8)])
def test_a_loss_gets_the_channels_that_reach_it(connector, channels):
    losses = dict(loss_vid=dict(type='mmtat.VIDLoss', mid_channels=5))
    model = build(feature(student_connector=connector, losses=losses))
    vid = model.distiller.layer_criteria[0]['loss_vid']
    assert vid.mean[0].weight.shape[:2] == (5, channels)
    assert vid.mean[-1].weight.shape[:2] == (8, 5)


def test_several_layers_have_their_own_keys_and_connectors():
    layers = [
        'backbone.conv',
        dict(student='backbone', teacher='decode_head.conv_seg'),
    ]
    losses = dict(loss_l2=dict(type='L2Loss'), loss_pkd=dict(type='PKDLoss'))
    model = build(
        feature(layers=layers, student_connector=EMBED, losses=losses)
    )
    assert list(distilled(model)) == [
        f'distill.loss_{name}_{index}'
        for index in (0, 1)
        for name in ('l2', 'pkd')
    ]
    first, second = (c['student'] for c in model.distiller.layer_connectors)
    assert first.conv.weight.shape == (8, 4, 1, 1)
    assert second.conv.weight.shape == (3, 4, 1, 1)


def test_pooled_maps_are_vectors():
    model = build(feature(pool=True, losses=SP))
    student, teacher = (f.mean((2, 3)) for f in features(model))
    torch.testing.assert_close(
        distilled(model)['distill.loss_sp'], SPLoss()(student, teacher)
    )


@pytest.mark.parametrize('resize', [True, False])
def test_a_student_of_another_size_is_resized_unless_told_not_to(resize):
    model = build(feature(resize=resize, losses=SP), teacher=dict(stride=1))
    student, teacher = features(model)
    assert student.shape[2:] == (4, 4) and teacher.shape[2:] == (8, 8)
    if resize:
        student = F.interpolate(student, (8, 8), mode='bilinear')
    torch.testing.assert_close(
        distilled(model)['distill.loss_sp'], SPLoss()(student, teacher)
    )


class PooledSegmentor(ToySegmentor):
    """With a layer that returns vectors."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        pool = torch.nn.AdaptiveAvgPool2d(1)
        self.pool = torch.nn.Sequential(pool, torch.nn.Flatten())
        self.auxiliary_head = torch.nn.Sequential(self.auxiliary_head)

    def extract_feat(self, inputs):
        maps = super().extract_feat(inputs)
        self.pool(maps)
        return maps


def pooled(distiller):
    return MODELS.build(
        dict(
            type='mmtat.FrozenTeacherDistill',
            architecture=PooledSegmentor(),
            teacher=PooledSegmentor(width=8),
            distiller=distiller,
        )
    )


@pytest.mark.parametrize(
    'layer', [dict(student='pool', teacher='backbone'), 'pool']
)
def test_vectors_are_compared_as_they_are(layer):
    loss = distilled(pooled(feature(layers=[layer], losses=SP)))
    assert loss['distill.loss_sp'] > 0


def test_samples_are_found_where_a_layer_is_in_an_auxiliary_head():
    losses = distilled(
        pooled(
            feature(
                layers=['auxiliary_head.0'],
                losses=SP,
                logits=dict(type='DKDLoss'),
            )
        )
    )
    assert losses['distill.loss_sp'] > 0
    assert losses['distill.loss_logits'] > 0


def test_half_precision_features_are_compared_in_float32():
    losses = dict(loss_rkd=dict(type='DistanceWiseRKD', loss_weight=1.0))
    model = build(feature(pool=True, losses=losses))
    with torch.autocast('cpu', torch.bfloat16):
        loss = distilled(model)['distill.loss_rkd']
        low = [f.mean((2, 3)) for f in features(model)]
    assert low[0].dtype == torch.bfloat16 and loss.dtype == torch.float32
    compare = model.distiller.layer_criteria[0]['loss_rkd']
    torch.testing.assert_close(loss, compare(*(f.float() for f in low)))


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(layers=[]), 'layers and losses must be given .*, or logits al'),
        (dict(), 'layers and losses must be given together'),
        (
            dict(layers=[], losses=AT, logits=dict()),
            'layers and losses must be given together',
        ),
        (dict(losses=dict(at=AT['loss_at'])), "losses must name .*, got 'at'"),
        (dict(losses={'loss.at': AT['loss_at']}), 'losses must name each'),
        (dict(losses=dict(loss_at='ATLoss')), 'losses must name each loss'),
        (
            dict(losses=dict(loss_at=dict(type='ATLos'))),
            "losses.loss_at: unknown type 'ATLos'.*close matches: ATLoss",
        ),
        (
            dict(losses=dict(loss_at=dict(type='ATLoss', power=2))),
            "losses.loss_at: .*unexpected keyword argument 'power'",
        ),
        (
            dict(losses=dict(loss_dkd=dict(type='DKDLoss'))),
            'losses.loss_dkd: DKDLoss needs .*gt_labels.*distill_losses',
        ),
        (
            dict(losses=dict(loss_kl=AT['loss_at']), logits=dict()),
            "losses: 'loss_kl' is the name of the loss of the logits",
        ),
        (
            dict(losses=AT, distill_losses=AT),
            r"distill_losses: \['loss_at'\] are names",
        ),
        (dict(losses=AT, loss_weight=-1), 'loss_weight must be a number'),
        (
            dict(losses=AT, student_connector=dict(type='Embedding')),
            "student_connector: unknown type 'Embedding'",
        ),
        (
            dict(losses=AT, student_connector=dict(EMBED, kernel=1)),
            "student_connector: .*unexpected keyword argument 'kernel'",
        ),
        (
            dict(losses=AT, teacher_connector=dict(type='OFDTeacherConn')),
            'teacher_connector: .*close matches: OFDTeacherConnector',
        ),
        (
            dict(
                losses=AT, teacher_connector=dict(type='OFDTeacherConnector')
            ),
            "margins of .* from a batch norm, but .*layer 'backbone.conv' is",
        ),
        (dict(layers=['backbone.con'], losses=AT), 'matches: backbone.conv'),
        (
            dict(
                losses=AT,
                logits=dict(type='DKDLoss'),
                student_recorders=dict(
                    called_with=dict(type='ModuleOutputs', source='backbone')
                ),
            ),
            "student_recorders: 'called_with' is the name of a recorder",
        ),
    ],
)
def test_mistakes_raise_before_the_first_step(arguments, message):
    with pytest.raises(ValueError, match=message):
        build(feature(**arguments))


@pytest.mark.parametrize(
    'arguments',
    [
        dict(pool='yes'),
        dict(resize=1),
        dict(losses=['ATLoss']),
        dict(student_connector='conv'),
        dict(teacher_connector=[]),
        dict(logits='KLDivergence'),
        dict(logits=dict(per_pixel='yes')),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(arguments):
    name = next(iter(arguments))
    with pytest.raises(TypeError, match=f'^{name}'):
        FeatureDistiller(**dict(dict(layers=['a'], losses=AT), **arguments))
