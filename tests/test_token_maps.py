"""Tokens of transformers as maps: their grid, and distilling them."""

import copy

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.structures import PixelData
from mmpretrain.structures import DataSample
from mmseg.structures import SegDataSample
from torch import nn

from mmtat.models import TaTDistiller
from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.ops import (
    token_grid,
    token_map_shape,
    tokens_and_grid,
    tokens_to_map,
)

from .toys import ToySegmentor


@pytest.mark.parametrize(
    ('count', 'image', 'expected'),
    [
        (196, (224, 224), (0, 14, 14)),
        (197, (224, 224), (1, 14, 14)),
        (198, (224, 224), (2, 14, 14)),
        (50, (224, 224), (1, 7, 7)),
        # Patches of 14, four registers.
        (261, (224, 224), (5, 16, 16)),
        # 14 does not divide 512: rounded down, and padded.
        (1297, (512, 512), (1, 36, 36)),
        (1370, (512, 512), (1, 37, 37)),
        (2049, (512, 1024), (1, 32, 64)),
        (2048, (1024, 512), (0, 64, 32)),
        # What the merging of patches pads.
        (125 * 167, (500, 667), (0, 125, 167)),
        (63 * 84, (500, 667), (0, 63, 84)),
        (32 * 42, (500, 667), (0, 32, 42)),
        (16 * 21, (500, 667), (0, 16, 21)),
        (31 * 41, (500, 667), (0, 31, 41)),
        (17, (32, 32), (1, 4, 4)),
    ],
)
def test_the_grid_follows_from_the_number_and_the_image(
    count, image, expected
):
    assert token_grid(count, image) == expected


def test_tokens_that_are_no_map_are_refused():
    with pytest.raises(ValueError, match='300 tokens are no map of an image'):
        token_grid(300, (224, 224))
    # As many as a square has, of an image that is none.
    with pytest.raises(ValueError, match='no map of an image of 224x448'):
        token_grid(197, (224, 448))


def test_tokens_that_may_be_two_maps_are_refused():
    with pytest.raises(ValueError, match=r'0 \+ 3x3 or 5 \+ 2x2'):
        token_grid(9, (32, 32))


def test_a_map_holds_each_token_where_it_was_cut():
    tokens = torch.arange(2 * 7 * 3.0).reshape(2, 7, 3)
    found = tokens_to_map(tokens, (32, 48))
    assert found.shape == (2, 3, 2, 3)
    for row in range(2):
        for column in range(3):
            expected = tokens[:, 1 + row * 3 + column]
            assert torch.equal(found[:, :, row, column], expected)
    assert found.data_ptr() == tokens[:, 1:].data_ptr()


def test_the_gradient_goes_to_the_tokens_but_not_to_that_of_the_class():
    tokens = torch.randn(1, 5, 3, requires_grad=True)
    tokens_to_map(tokens, (16, 16)).square().sum().backward()
    assert torch.equal(tokens.grad[:, 0], torch.zeros(1, 3))
    torch.testing.assert_close(tokens.grad[:, 1:], 2 * tokens[:, 1:])


def test_a_grid_that_is_given_decides():
    assert token_map_shape((2, 13, 4), grid=(2, 6)) == (2, 4, 2, 6)
    with pytest.raises(ValueError, match='map of 3x6 must be 18'):
        tokens_to_map(torch.zeros(2, 13, 4), grid=(3, 6))


@pytest.mark.parametrize(
    ('tokens', 'kind', 'message'),
    [
        ([1], TypeError, 'tokens must be a tensor'),
        (torch.zeros(4, 4), ValueError, r'shape \(B, N, C\), got \(4, 4\)'),
        (torch.zeros(1, 4, 4), ValueError, 'size of the image, or a grid'),
    ],
)
def test_what_is_no_token_is_refused(tokens, kind, message):
    with pytest.raises(kind, match=message):
        tokens_to_map(tokens)


def test_a_layer_may_return_the_grid_with_its_tokens():
    own, merged = torch.zeros(1, 12, 4), torch.zeros(1, 4, 8)
    assert tokens_and_grid((own, (3, 4))) == (own, (3, 4))
    assert tokens_and_grid((own.shape, (3, 4))) == (own.shape, (3, 4))
    # The stages of mmsegmentation: what goes on, and what is theirs.
    stage = (merged, (2, 2), own, (3, 4))
    assert tokens_and_grid(stage) == (own, (3, 4))
    for record in (own, (own,), (own, merged), (own, (5, 7)), [own, None]):
        assert tokens_and_grid(record) == (record, None)


@pytest.mark.parametrize('batch', [1, 2])
@pytest.mark.parametrize('norm', ['image', 'batch', None])
@pytest.mark.parametrize('stream', [True, False])
def test_tokens_and_maps_have_equal_losses_and_gradients(stream, norm, batch):
    embedding = dict(kernel_size=1, norm=norm)
    layer = TaTLayer(
        5,
        6,
        formulation='paper',
        query=embedding,
        key=embedding,
        value=embedding,
        branches=dict(
            whole=dict(), patch_group=dict(patches=(2, 2), groups=2)
        ),
        resize=False,
        stream=stream,
    )
    teacher = torch.randn(batch, 17, 6)
    tokens = torch.randn(batch, 17, 5, requires_grad=True)
    plain = tokens.detach()[:, 1:].transpose(1, 2).reshape(batch, 5, 4, 4)
    plain = plain.contiguous().requires_grad_()
    losses = layer(
        tokens_to_map(tokens, (32, 32)), tokens_to_map(teacher, (32, 32))
    )
    as_maps = layer(
        plain,
        teacher[:, 1:].transpose(1, 2).reshape(batch, 6, 4, 4).contiguous(),
    )
    torch.testing.assert_close(losses, as_maps)
    sum(losses.values()).backward()
    sum(as_maps.values()).backward()
    assert tokens.grad[:, 1:].abs().sum() > 0
    assert not tokens.grad[:, 0].any()
    torch.testing.assert_close(
        tokens.grad[:, 1:], plain.grad.flatten(2).transpose(1, 2)
    )


@MODELS.register_module()
class ToyTransformer(ToySegmentor):
    """Tokens of 4x4 pixels behind one of the class."""

    def __init__(self, leading=1, **kwargs):
        super().__init__(stride=4, **kwargs)
        width = self.backbone.conv.out_channels
        self.tokens = nn.Linear(width, width)
        self.leading = leading

    def extract_feat(self, inputs):
        features = super().extract_feat(inputs)
        # (B, C, h, w) -> (B, h*w, C)
        tokens = features.flatten(2).transpose(1, 2)
        of_class = tokens.mean(1, keepdim=True).expand(-1, self.leading, -1)
        tokens = self.tokens(torch.cat([of_class, tokens], 1))
        # (B, h*w, C) -> (B, C, h, w)
        tokens = tokens[:, self.leading :].transpose(1, 2)
        return tokens.unflatten(2, features.shape[2:])


PAIR = dict(student='tokens', teacher='tokens')


def toy_distillation(distiller, **kwargs):
    return MODELS.build(
        dict(
            type='mmtat.FrozenTeacherDistill',
            architecture=dict(type='ToyTransformer', width=4),
            teacher=dict(type='ToyTransformer', width=8, leading=2),
            distiller=copy.deepcopy(distiller),
        )
    )


def recorded_tokens(model, inputs):
    """The losses of a step, and both tokens as maps of 4x8."""
    seen = {}
    for role in ('student', 'teacher'):
        module = getattr(model, role).tokens
        module.register_forward_hook(
            lambda module, args, output, role=role: seen.update({role: output})
        )
    losses = model(inputs, mode='loss')
    return losses, {
        role: tokens[:, -32:]
        .transpose(1, 2)
        .reshape(len(inputs), -1, 4, 8)
        .contiguous()
        for role, tokens in seen.items()
    }


def test_tokens_of_images_of_another_shape_than_the_dry_runs():
    model = toy_distillation(dict(type='mmtat.TaTDistiller', layers=[PAIR]))
    assert model.distiller.input_size == (224, 224)
    losses, maps = recorded_tokens(model, torch.rand(2, 3, 16, 32))
    expected = model.distiller.tat[0](maps['student'], maps['teacher'])
    torch.testing.assert_close(losses['distill.loss_tat'], expected['whole'])
    for recorder in model.distiller.student_recorders.recorders.values():
        assert recorder.data_buffer == []


def test_mmrazors_losses_take_tokens():
    distiller = dict(
        type='mmtat.FeatureDistiller',
        layers=[PAIR],
        student_connector=dict(type='mmtat.EmbeddingConnector'),
        losses=dict(loss_cwd=dict(type='ChannelWiseDivergence', tau=4)),
    )
    model = toy_distillation(distiller)
    losses, maps = recorded_tokens(model, torch.rand(2, 3, 16, 32))
    connect = model.distiller.layer_connectors[0]['student']
    criterion = model.distiller.layer_criteria[0]['loss_cwd']
    expected = criterion(
        connect(maps['student']).contiguous(), maps['teacher']
    )
    torch.testing.assert_close(losses['distill.loss_cwd'], expected)


def test_the_review_takes_tokens():
    distiller = dict(
        type='mmtat.ReviewKDDistiller',
        layers=['backbone', PAIR],
    )
    model = toy_distillation(distiller)
    loss = model(torch.rand(2, 3, 16, 32), mode='loss')['distill.loss_review']
    loss.backward()
    assert loss > 0
    assert model.architecture.tokens.weight.grad.abs().sum() > 0


def test_tokens_that_are_no_map_of_the_step_name_the_layer():
    model = toy_distillation(dict(type='mmtat.TaTDistiller', layers=[PAIR]))
    model.architecture.leading = 15
    with pytest.raises(ValueError, match="student layer 'tokens': 31 tokens"):
        model(torch.rand(2, 3, 16, 16), mode='loss')


def test_tokens_that_are_no_map_are_refused_before_the_first_step():
    distiller = TaTDistiller(layers=[PAIR])
    distiller.prepare_from_student(ToyTransformer(leading=9))
    with pytest.raises(ValueError, match="student layer 'tokens': 3145 tok"):
        distiller.prepare_from_teacher(ToyTransformer())


def test_a_map_needs_no_record_of_the_call():
    model = toy_distillation(
        dict(type='mmtat.TaTDistiller', layers=['backbone.conv'])
    )
    assert list(model.distiller.student_recorders.recorders) == ['layer_0']


VIT = dict(
    type='mmpretrain.VisionTransformer',
    arch=dict(
        embed_dims=16, num_layers=2, num_heads=2, feedforward_channels=16
    ),
    img_size=32,
    patch_size=8,
)
SWIN = dict(
    arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1]),
    window_size=2,
    pad_small_map=True,
)
CNN = dict(type='mmpretrain.ResNet', depth=18, base_channels=8)
CNN['stem_channels'] = 8


def classifier(backbone, channels, **kwargs):
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(backbone),
        head=dict(
            type='mmpretrain.LinearClsHead',
            num_classes=3,
            in_channels=channels,
        ),
        **kwargs,
    )


def segmentor(backbone, channels):
    return dict(
        type='mmseg.EncoderDecoder',
        backbone=backbone,
        decode_head=dict(
            type='mmseg.FCNHead',
            in_channels=channels,
            in_index=3,
            channels=8,
            num_convs=1,
            num_classes=3,
            norm_cfg=dict(type='BN'),
        ),
    )


POOL = dict(neck=dict(type='mmpretrain.GlobalAveragePooling'))
#: Models, the layer, and height and width of its map of 32x64 pixels.
MODELS_AND_LAYERS = dict(
    vit=(classifier(VIT, 16), 'backbone.layers.1', (4, 8)),
    deit=(
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(VIT, type='mmpretrain.DistilledVisionTransformer'),
            head=dict(
                type='mmpretrain.DeiTClsHead', num_classes=3, in_channels=16
            ),
        ),
        'backbone.ln1',
        (4, 8),
    ),
    beit=(
        classifier(
            dict(VIT, type='mmpretrain.BEiTViT', use_rel_pos_bias=False),
            16,
        ),
        'backbone.layers.0',
        (4, 8),
    ),
    swin=(
        classifier(
            dict(SWIN, type='mmpretrain.SwinTransformer', img_size=32),
            64,
            **POOL,
        ),
        'backbone.stages.1',
        (4, 8),
    ),
    swin_block=(
        classifier(
            dict(SWIN, type='mmpretrain.SwinTransformer', img_size=32),
            64,
            **POOL,
        ),
        'backbone.stages.2.blocks.0.ffn',
        (2, 4),
    ),
    swin_of_mmseg=(
        segmentor(
            dict(
                type='mmseg.SwinTransformer',
                embed_dims=8,
                depths=[1, 1, 1, 1],
                num_heads=[1, 1, 1, 1],
                window_size=2,
            ),
            64,
        ),
        'backbone.stages.1',
        (4, 8),
    ),
    segformer=(
        segmentor(
            dict(
                type='mmseg.MixVisionTransformer',
                embed_dims=8,
                num_layers=[1, 1, 1, 1],
                num_heads=[1, 1, 1, 1],
            ),
            8,
        ),
        'backbone.layers.1.1.0',
        (4, 8),
    ),
    cnn=(classifier(CNN, 64, **POOL), 'backbone.layer2', (4, 8)),
)
STUDENTS_AND_TEACHERS = [
    ('vit', 'cnn'),
    ('cnn', 'vit'),
    ('swin', 'deit'),
    ('deit', 'swin'),
    ('segformer', 'vit'),
    ('vit', 'segformer'),
    ('beit', 'swin_of_mmseg'),
    ('swin_of_mmseg', 'beit'),
    ('swin_block', 'segformer'),
]


def last_tokens(output):
    """The tensor of a layer's tokens, or map."""
    if isinstance(output, tuple):
        return output[-2]
    return output


@pytest.mark.parametrize(('student', 'teacher'), STUDENTS_AND_TEACHERS)
def test_transformers_of_the_zoos_learn_and_teach(student, teacher):
    configs, layers, sizes = zip(
        *(MODELS_AND_LAYERS[name] for name in (student, teacher))
    )
    model = MODELS.build(
        dict(
            type='mmtat.FrozenTeacherDistill',
            architecture=copy.deepcopy(configs[0]),
            teacher=copy.deepcopy(configs[1]),
            distiller=dict(
                type='mmtat.TaTDistiller',
                layers=[dict(student=layers[0], teacher=layers[1])],
            ),
        )
    )
    seen = []
    for part, layer in zip((model.student, model.teacher), layers):
        part.get_submodule(layer).register_forward_hook(
            lambda module, args, output: seen.append(last_tokens(output))
        )
    is_segmentor = configs[0]['type'].startswith('mmseg')
    labels = torch.randint(3, (1, 32, 64))
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=labels))
        if is_segmentor
        else DataSample().set_gt_label(index)
        for index in range(2)
    ]
    losses = model(torch.rand(2, 3, 32, 64), samples, mode='loss')
    maps = []
    # The teacher runs first.
    for tokens, (height, width) in zip(reversed(seen), sizes):
        if tokens.dim() == 3:
            tokens = tokens[:, tokens.shape[1] - height * width :]
            tokens = tokens.transpose(1, 2).reshape(2, -1, height, width)
        assert tokens.shape[2:] == (height, width)
        maps.append(tokens.contiguous())
    expected = model.distiller.tat[0](*maps)['whole']
    torch.testing.assert_close(losses['distill.loss_tat'], expected)
    layer = model.student.get_submodule(layers[0])
    losses['distill.loss_tat'].backward()
    before = {n: p.detach().clone() for n, p in layer.named_parameters()}
    torch.optim.SGD(model.parameters(), lr=1.0).step()
    assert any(not p.equal(before[n]) for n, p in layer.named_parameters())
    assert all(p.grad is None for p in model.teacher.parameters())
