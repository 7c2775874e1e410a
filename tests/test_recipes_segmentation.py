"""Recipes of the segmentation configs against a table made by hand.

The table restates what TaT's authors released for Pascal VOC 2012 + SBD and
COCO-Stuff 10k. Their VOC teacher was a file without a recipe: that row is
this project's own choice.
"""

import copy
import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Optional, Tuple

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtat.models import DeepLabV3PlusHead
from mmtat.models.utils import load_config, without_pretrained

from .voc import ROOT

CONFIGS = ROOT / 'configs'
FOLDERS = ('voc', 'coco_stuff10k')
#: Images for training and classes; 1464 + 9118 images of VOC and SBD.
DATA = dict(voc=(10582, 21), coco_stuff10k=(9000, 171))
#: Value of the label where an image is padded.
PADDED_LABEL = dict(voc=0, coco_stuff10k=255)


@dataclass
class Recipe:
    """One row.

    Attributes:
        lr (float): Of the backbone.
        images (int): In one step of 4 processes.
        tat (tuple | None): Patches per side, groups, anchors per side, and
            the weights of both branches.
        epochs (int): Of training.
        schedule (str): 'cosine' or 'poly', to 0.
    """

    lr: float
    images: int
    tat: Optional[Tuple] = None
    epochs: int = 100
    schedule: str = 'cosine'


R18, MOBILE = 'deeplabv3plus_r18', 'deeplabv3plus_mobilenetv2'
TO_R18, TO_MOBILE = (
    f'tat_deeplabv3plus_r101_{name}' for name in ('r18', 'mobilenetv2')
)
RECIPES = {
    'voc/deeplabv3plus_r101': Recipe(0.007, 16),
    f'voc/{R18}': Recipe(0.007, 16),
    f'voc/{TO_R18}': Recipe(0.007, 16, (16, 64, 32, 0.1, 0.04)),
    f'voc/{MOBILE}': Recipe(0.004, 12),
    f'voc/{TO_MOBILE}': Recipe(0.004, 12, (32, 1024, 64, 0.1, 0.05)),
    'coco_stuff10k/deeplabv3plus_r101': Recipe(
        0.004, 16, epochs=200, schedule='poly'
    ),
    f'coco_stuff10k/{R18}': Recipe(0.01, 16),
    f'coco_stuff10k/{TO_R18}': Recipe(0.01, 16, (32, 512, 32, 0.6, 0.6)),
    f'coco_stuff10k/{MOBILE}': Recipe(0.007, 12),
    f'coco_stuff10k/{TO_MOBILE}': Recipe(0.007, 12, (16, 64, 32, 0.4, 0.4)),
}
DISTILLED = [name for name, recipe in RECIPES.items() if recipe.tat]
ALONE = [name for name, recipe in RECIPES.items() if not recipe.tat]
#: Pairs with a teacher of the zoo, and whose row they scale.
ZOO = {
    'tat_deeplabv3plus_r101_r18_voc': f'voc/{TO_R18}',
    f'voc/{TO_MOBILE}_zoo': f'voc/{TO_MOBILE}',
    'coco_stuff10k/tat_deeplabv3_r101_r18_zoo': f'coco_stuff10k/{TO_R18}',
    'coco_stuff10k/tat_deeplabv3_r101_mobilenetv2_zoo': (
        f'coco_stuff10k/{TO_MOBILE}'
    ),
}


@lru_cache(maxsize=None)
def config_of(name):
    return load_config(str(CONFIGS / name) + '.py', 'config')


def student_of(config):
    return config.model.get('architecture', config.model)


def build(config):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(without_pretrained(config))


def train_datasets(config):
    dataset = config.train_dataloader.dataset
    return dataset.get('datasets', [dataset])


def dilations(module):
    """Of the 3x3 convolutions, each padded to keep its map's size."""
    found = []
    for conv in module.modules():
        if isinstance(conv, nn.Conv2d) and conv.kernel_size == (3, 3):
            assert conv.padding == conv.dilation and conv.stride == (1, 1)
            found.append(conv.dilation[0])
    return found


def test_the_table_has_a_row_for_every_config_but_the_variants():
    found = {
        f'{folder}/{path.stem}'
        for folder in FOLDERS
        for path in (CONFIGS / folder).glob('*.py')
        if not path.stem.endswith(('_zoo', '_exact'))
    }
    assert found == set(RECIPES)


def test_the_exact_config_is_the_papers_but_for_what_it_distils():
    exact = config_of(f'voc/{TO_R18}_exact')
    paper = copy.deepcopy(config_of(f'voc/{TO_R18}'))
    assert exact.model.distiller.branches == dict(whole=dict(loss_weight=0.1))
    wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')
    paper.merge_from_dict(dict(optim_wrapper=wrapper))
    paper.model.distiller.branches = exact.model.distiller.branches
    paper.work_dir = exact.work_dir
    assert exact.to_dict() == paper.to_dict()


@pytest.mark.parametrize('name', RECIPES)
def test_a_config_optimises_and_ends_as_its_row(name):
    config, recipe = config_of(name), RECIPES[name]
    assert config.optim_wrapper.optimizer == dict(
        type='SGD',
        lr=recipe.lr,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
    )
    assert config.train_dataloader.batch_size * 4 == recipe.images
    assert config.auto_scale_lr.base_batch_size == recipe.images
    images, _ = DATA[name.split('/')[0]]
    iterations = recipe.epochs * (images // recipe.images)
    assert config.train_cfg.type == 'mmtat.ExactIterBasedTrainLoop'
    assert config.train_cfg.max_iters == iterations
    schedule = config.param_scheduler
    assert schedule.eta_min == 0 and schedule.by_epoch is False
    if recipe.schedule == 'cosine':
        assert schedule.type == 'CosineAnnealingLR'
        assert schedule.T_max == iterations
    else:
        assert (schedule.type, schedule.power) == ('PolyLR', 0.9)
        assert schedule.end == iterations


@pytest.mark.parametrize('name', RECIPES)
def test_a_config_augments_as_released(name):
    config, folder = config_of(name), name.split('/')[0]
    for dataset in train_datasets(config):
        load, label, flip, resize, pad, crop, blur, pack = dataset.pipeline
        assert (load.type, label.type, pack.type) == (
            'LoadImageFromFile',
            'LoadAnnotations',
            'PackSegInputs',
        )
        # Horizontally, by default.
        assert flip == dict(type='RandomFlip', prob=0.5)
        assert (resize.type, resize.keep_ratio) == ('RandomResize', True)
        (_, shortest), (_, longest) = resize.scale
        assert (shortest, longest) == (513 // 2, 513 * 2) == (256, 1026)
        assert (pad.type, pad.size) == ('Pad', (513, 513))
        assert pad.pad_val == dict(img=0, seg=PADDED_LABEL[folder])
        assert crop == dict(type='RandomCrop', crop_size=(513, 513))
        assert blur.type == 'mmpretrain.GaussianBlur'
        assert (blur.prob, blur.magnitude_range) == (0.5, (0, 1))
        assert blur.magnitude_std == 'inf'
    assert student_of(config).data_preprocessor.size == (513, 513)


@pytest.mark.parametrize('name', RECIPES)
def test_the_cross_entropy_is_divided_by_the_batch_size_again(name):
    recipe, (_, classes) = RECIPES[name], DATA[name.split('/')[0]]
    student = student_of(config_of(name))
    assert student.decode_head.loss_decode == dict(
        type='CrossEntropyLoss',
        loss_weight=1 / recipe.images,
        avg_non_ignore=True,
    )
    assert student.decode_head.num_classes == classes
    assert 'auxiliary_head' not in student


@pytest.mark.parametrize('name', DISTILLED)
def test_a_pair_distils_as_its_row(name):
    model = config_of(name).model
    patches, groups, anchors, of_patches, of_anchors = RECIPES[name].tat
    distiller = model.distiller
    assert distiller.branches == dict(
        patch_group=dict(
            patches=(patches, patches), groups=groups, loss_weight=of_patches
        ),
        anchor_point=dict(anchors=(anchors, anchors), loss_weight=of_anchors),
    )
    assert distiller.formulation == 'released'
    # The default embeddings: 1x1 and a norm per image.
    assert not {'query', 'key', 'value', 'logits'} & set(distiller)


@pytest.mark.parametrize('name', DISTILLED)
def test_a_pair_reads_the_last_checkpoint_of_its_teachers_config(name):
    config = config_of(name)
    folder = name.split('/')[0]
    teacher = f'{folder}/deeplabv3plus_r101'
    assert config.model.teacher == str(CONFIGS / teacher) + '.py'
    iterations = config_of(teacher).train_cfg.max_iters
    assert config.model.teacher_ckpt == (
        f'{config_of(teacher).work_dir}/iter_{iterations}.pth'
    )


@pytest.mark.parametrize('name', RECIPES)
def test_both_data_sets_have_work_dirs_of_their_own(name):
    # By its file's name alone a config of one would overwrite the other's.
    assert config_of(name).work_dir == f'work_dirs/{name}'


@pytest.mark.parametrize('name', DISTILLED)
def test_a_pair_is_tapped_before_the_last_relu_on_a_map_of_129(name):
    config = config_of(name)
    model = build(config.model)
    assert model.distiller.input_size == (513, 513)
    tapped = (1, 256, 129, 129)
    for role in ('student', 'teacher'):
        assert model.distiller.runs[role].records == {'layer_0': [tapped]}
        (layer,) = {pair[role] for pair in model.distiller.pairs}
        head = getattr(model, role).decode_head
        conv2 = head.decoder.conv2
        assert getattr(model, role).get_submodule(layer) is conv2.norm
        assert conv2.order == ('conv', 'norm', 'act')
    # The ReLU behind it works in place: what is recorded is a copy.
    assert model._overwritten == {'layer_0'}
    optimizer = build_optim_wrapper(model, config.optim_wrapper).optimizer
    rates = {
        id(parameter): group['lr']
        for group in optimizer.param_groups
        for parameter in group['params']
    }
    recipe, factors = RECIPES[name], {}
    for key, parameter in model.named_parameters():
        part = key.removeprefix('architecture.').split('.')[0]
        factor = rates.pop(id(parameter)) / recipe.lr
        factors.setdefault(part, set()).add(round(factor, 6))
    assert factors == dict(backbone={1}, decode_head={10}, distiller={1})
    # The teacher's are not there.
    assert not rates


@pytest.mark.parametrize('name', ALONE)
def test_a_network_is_the_released_one(name):
    student = student_of(config_of(name))
    model = build(student)
    head = model.decode_head
    assert isinstance(head, DeepLabV3PlusHead) and head.align_corners
    assert head.channels == 256
    assert dilations(head.aspp_modules) == [6, 12, 18]
    assert head.aspp_modules[0].kernel_size == (1, 1)
    assert [head.aspp_dropout.p, head.decoder.dropout.p] == [0.5, 0.5]
    assert head.dropout.p == 0.1
    assert head.c1_bottleneck.out_channels == 48
    convs = head.decoder.conv1.conv, head.decoder.conv2.conv
    assert [conv.in_channels for conv in convs] == [304, 256]
    for conv in convs:
        assert (conv.kernel_size, conv.groups) == ((3, 3), 1)
    image = torch.zeros(1, 3, 65, 65)
    with torch.no_grad():
        low, *_, deep = model.eval().extract_feat(image)
    # Strides of 4 and 16 on 64 + 1 pixels.
    assert (low.shape[2:], deep.shape[2:]) == ((17, 17), (5, 5))


def test_layer4_is_dilated_as_released():
    nets = {name: build(student_of(config_of(name))) for name in ALONE[:3]}
    teacher, r18, mobile = (net.backbone for net in nets.values())
    assert not teacher.deep_stem and not r18.deep_stem
    assert teacher.style == r18.style == 'pytorch'
    # Multi-grid 1, 2, 4, times 2.
    assert dilations(teacher.layer4) == [2, 4, 8]
    last = teacher.layer3[-1]
    assert dilations(last) == [1]
    # mmsegmentation's basic blocks dilate their first convolution.
    assert dilations(r18.layer4) == [2, 1, 2, 1]
    assert dilations(mobile.layer6) == [2, 1, 1]
    assert dilations(mobile.layer7) == [2]


def shapes_of(module):
    return {k: tuple(v.shape) for k, v in module.state_dict().items()}


@pytest.mark.parametrize('depth', [18, 101])
def test_torchvisions_weights_fit_a_whole_resnet(depth):
    import torchvision
    from mmengine.runner.checkpoint import get_torchvision_models

    name = f'resnet{depth}'
    student = student_of(config_of(f'voc/deeplabv3plus_r{depth}'))
    assert student.pretrained == f'torchvision://{name}'
    weights = torchvision.models.get_model_weights(name).IMAGENET1K_V1
    assert get_torchvision_models()[name] == weights.url
    theirs = shapes_of(getattr(torchvision.models, name)())
    del theirs['fc.weight'], theirs['fc.bias']
    assert shapes_of(build(student).backbone) == theirs


def test_mmpretrains_weights_fit_a_whole_mobilenet():
    from mmpretrain.models import MobileNetV2

    student = student_of(config_of('voc/deeplabv3plus_mobilenetv2'))
    assert student.pretrained == 'mmcls://mobilenet_v2'
    ours, theirs = shapes_of(build(student).backbone), shapes_of(MobileNetV2())
    # The last convolution serves the classifier.
    assert {k for k in theirs if not k.startswith('conv2.')} == set(ours)
    assert all(theirs[name] == shape for name, shape in ours.items())


@pytest.mark.parametrize('name', ZOO)
def test_with_a_zoo_teacher_weights_and_cut_scale_with_the_released(name):
    config, recipe = config_of(name), RECIPES[ZOO[name]]
    patches, groups, anchors, of_patches, of_anchors = recipe.tat
    patch_group, anchor_point = config.model.distiller.branches.values()
    # Plain cross-entropy, which is not divided by the batch size.
    student = config.model.architecture
    assert student.decode_head.loss_decode.loss_weight == 1
    images = recipe.images
    assert math.isclose(patch_group.loss_weight, images * of_patches)
    assert math.isclose(anchor_point.loss_weight, images * of_anchors)
    # Patches of as many pixels, and as many to a group, on a map of 128
    # (DeepLabV3+) or 64 (DeepLabV3).
    side = 128 if 'plus' in name else 64
    assert side // patch_group.patches[0] == 128 // patches
    count = patch_group.patches[0] ** 2
    assert count // patch_group.groups == patches**2 // groups
    assert anchor_point.anchors == (anchors, anchors)
    assert config.model.teacher.startswith('mmseg::')
    # The zoo names a folder by its config's old name.
    assert config.model.teacher.split('/')[1].split('_4xb4')[0] in (
        config.model.teacher_ckpt
    )
