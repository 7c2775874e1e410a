"""CIFAR-100: networks as RepDistiller's, and every config of the folder."""

from functools import lru_cache
from pathlib import Path

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope
from mmpretrain.structures import DataSample

from mmtat.engine.launch import set_input_size
from mmtat.models import CIFARVGG, CIFARResNet, WideResNet
from mmtat.models.utils import load_config

from .voc import ROOT

FOLDER = ROOT / 'configs' / 'cifar100'
PATHS = sorted(FOLDER.glob('*.py'))
PAIRS = [path for path in PATHS if path.stem.startswith('tat_')]
NETWORKS = [path for path in PATHS if path not in PAIRS]

#: (teacher, student), as the paper's table has them.
PAPER_PAIRS = {
    ('wrn_40_2', 'wrn_16_2'),
    ('wrn_40_2', 'wrn_40_1'),
    ('resnet56', 'resnet20'),
    ('resnet110', 'resnet20'),
    ('resnet110', 'resnet32'),
    ('resnet32x4', 'resnet8x4'),
    ('vgg13', 'vgg8'),
}

LAST = dict(res='layer3', vgg='layer5', wrn='final')
THIN = (16, 16, 32, 64)
WIDE = (32, 64, 128, 256)
VGG = (3, 64, 128, 256, 512, 512)
#: Parameters of RepDistiller's classifiers for 100 classes, and what they
#: follow from: kind, blocks (VGG: convolutions) in a stage, widths.
KNOWN = {
    'resnet8x4': (1_233_540, 'resnet', 1, WIDE),
    'resnet20': (278_324, 'resnet', 3, THIN),
    'resnet32': (472_756, 'resnet', 5, THIN),
    'resnet32x4': (7_433_860, 'resnet', 5, WIDE),
    'resnet56': (861_620, 'resnet', 9, THIN),
    'resnet110': (1_736_564, 'resnet', 18, THIN),
    'vgg8': (3_965_028, 'vgg', 1, VGG),
    'vgg13': (9_462_180, 'vgg', 2, VGG),
    'wrn_16_2': (703_284, 'wrn', 2, (16, 32, 64, 128)),
    'wrn_40_1': (569_780, 'wrn', 6, THIN),
    'wrn_40_2': (2_255_156, 'wrn', 6, (16, 32, 64, 128)),
}
#: Only derived: no number of RepDistiller's was at hand. By depth.
DERIVED = {
    8: (83_892, 'resnet', 1, THIN),
    14: (181_108, 'resnet', 2, THIN),
    44: (667_188, 'resnet', 7, THIN),
}


def counted(kind, blocks, widths):
    """Parameters of a classifier, summed by hand from the papers."""
    total = 100 * widths[-1] + 100
    for a, b in zip(widths, widths[1:]):
        if kind == 'vgg':
            # Each convolution has a bias and a norm.
            total += 9 * a * b + 3 * b + (blocks - 1) * (9 * b * b + 3 * b)
            continue
        total += 9 * a * b + 9 * b * b + (blocks - 1) * (18 * b * b + 4 * b)
        # Norms follow the convolutions of one and precede the other's.
        total += 4 * b if kind == 'resnet' else 2 * a + 2 * b
        if a != b:
            # A projection; only the one has a norm behind it.
            total += a * b + (2 * b if kind == 'resnet' else 0)
    # The stem, and the norm behind it or at the end.
    ends = dict(vgg=0, resnet=29 * widths[0])
    return total + ends.get(kind, 27 * widths[0] + 2 * widths[-1])


def parameters(model):
    return sum(p.numel() for p in model.parameters())


@lru_cache(maxsize=None)
def config_of(path):
    config = load_config(str(path), 'config')
    # As tools/train.py does before it builds.
    set_input_size(config)
    return config


def test_the_folder_holds_the_networks_and_the_papers_pairs():
    assert {path.stem for path in NETWORKS} == set(KNOWN)
    assert {path.stem for path in PAIRS} == {
        f'tat_{teacher}_{student}' for teacher, student in PAPER_PAIRS
    }


@pytest.mark.parametrize('path', NETWORKS, ids=lambda path: path.stem)
def test_a_classifier_has_the_parameters_of_repdistillers(path):
    model = MODELS.build(dict(config_of(path).model, _scope_='mmpretrain'))
    number, *description = KNOWN[path.stem]
    assert parameters(model) == number == counted(*description)
    with torch.no_grad():
        (features,) = model.backbone.eval()(torch.randn(2, 3, 32, 32))
    size = 4 if path.stem.startswith('vgg') else 8
    assert features.shape == (2, model.head.fc.in_features, size, size)
    assert model.head(model.neck((features,))).shape == (2, 100)


@pytest.mark.parametrize('depth', DERIVED)
def test_a_resnet_without_a_config_has_the_derived_parameters(depth):
    number, *description = DERIVED[depth]
    classifier = 64 * 100 + 100
    found = parameters(CIFARResNet(depth)) + classifier
    assert found == number == counted(*description)


@pytest.mark.parametrize(
    'kind, arguments, shapes',
    [
        (CIFARResNet, (8,), [(16, 32), (32, 16), (64, 8)]),
        (CIFARResNet, (8, WIDE), [(64, 32), (128, 16), (256, 8)]),
        (WideResNet, (10, 2), [(32, 32), (64, 16), (128, 8)]),
        (CIFARVGG, (8,), [(64, 32), (128, 16), (256, 8), (512, 4), (512, 4)]),
    ],
)
def test_a_backbone_returns_the_maps_of_the_stages(kind, arguments, shapes):
    stages = tuple(range(len(shapes)))[::-1]
    backbone = kind(*arguments, in_channels=1, out_indices=stages)
    maps = backbone(torch.randn(2, 1, 32, 32))
    expected = [(2, width, size, size) for width, size in shapes[::-1]]
    assert [tuple(x.shape) for x in maps] == expected


def test_a_shortcut_of_equal_maps_passes_the_input_on():
    x = torch.randn(2, 16, 8, 8)
    narrow, wide = CIFARResNet(14).layer1[1], WideResNet(16, 1).layer1[1]
    for parameter in (p for b in (narrow, wide) for p in b.parameters()):
        torch.nn.init.zeros_(parameter)
    assert torch.equal(narrow(x), x.relu()) and torch.equal(wide(x), x)


def test_convolutions_begin_with_the_variance_of_their_fan_out():
    backbone = CIFARVGG(8)
    backbone.init_weights()
    std = backbone.layer5[0].weight.detach().std()
    assert std == pytest.approx((2 / (9 * 512)) ** 0.5, rel=0.01)
    assert not backbone.layer5[0].bias.any()


@pytest.mark.parametrize(
    'build, message',
    [
        (lambda: CIFARResNet(18), r'depth must be 6n \+ 2'),
        (lambda: CIFARResNet(8, (16, 32, 64)), 'widths must be four'),
        (lambda: CIFARResNet(8, out_indices=(3,)), 'stages from 0 to 2'),
        (lambda: WideResNet(20, 2), r'depth must be 6n \+ 4'),
        (lambda: WideResNet(16, 0), 'widen_factor must be a positive'),
        (lambda: WideResNet(16, 2, out_indices=()), 'out_indices must be'),
        (lambda: CIFARVGG(11), r'depth must be one of \(8, 13\)'),
        (lambda: CIFARVGG(8, out_indices=(5,)), 'stages from 0 to 4'),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_name(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_the_recipe_is_repdistillers(path):
    config = config_of(path)
    assert config.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4
    )
    steps = config.param_scheduler
    assert (steps.type, steps.by_epoch) == ('MultiStepLR', True)
    assert (steps.milestones, steps.gamma) == ([150, 180, 210], 0.1)
    assert config.train_cfg.max_epochs == 240
    assert config.default_scope == 'mmpretrain'
    loader = config.train_dataloader
    assert loader.batch_size == config.auto_scale_lr.base_batch_size == 64
    assert (loader.dataset.type, loader.dataset.split) == ('CIFAR100', 'train')
    crop, flip, _ = loader.dataset.pipeline
    assert (crop.type, crop.crop_size, crop.padding) == ('RandomCrop', 32, 4)
    assert (flip.type, flip.prob) == ('RandomFlip', 0.5)
    for loader in (config.val_dataloader, config.test_dataloader):
        assert loader.dataset.split == 'test'
        assert [s.type for s in loader.dataset.pipeline] == ['PackInputs']
    # RepDistiller's, of images in 0-1.
    mean, std = (0.5071, 0.4867, 0.4408), (0.2675, 0.2565, 0.2761)
    for name, numbers in (('mean', mean), ('std', std)):
        ours = [number / 255 for number in config.data_preprocessor[name]]
        assert ours == pytest.approx(numbers, rel=1e-3)
    assert not config.data_preprocessor.to_rgb


@pytest.mark.parametrize('path', PAIRS, ids=lambda path: path.stem)
def test_a_pair_weighs_tat_within_the_papers_range(path):
    model = config_of(path).model
    name = Path(model.teacher).stem
    assert Path(model.teacher) == FOLDER / f'{name}.py'
    student = path.stem.removeprefix(f'tat_{name}_')
    assert (name, student) in PAPER_PAIRS
    assert model.architecture == config_of(FOLDER / f'{student}.py').model
    assert model.architecture.head.loss.loss_weight == 1
    (layer,) = model.distiller.layers
    assert layer == 'backbone.' + LAST[name[:3]]
    (branch,) = model.distiller.branches.items()
    assert branch[0] == 'whole' and 0.05 <= branch[1].loss_weight <= 0.25
    # The file that training the teacher leaves in its work_dir.
    assert model.teacher_ckpt == f'work_dirs/{name}/epoch_240.pth'
    assert config_of(FOLDER / f'{name}.py').train_cfg.max_epochs == 240


@pytest.mark.parametrize('path', PAIRS, ids=lambda path: path.stem)
def test_a_pair_distils_a_step(path, tmp_path):
    config = config_of(path)
    init_default_scope(config.default_scope)
    file = tmp_path / 'teacher.pth'
    rest = dict(data_preprocessor=config.data_preprocessor)
    model = MODELS.build(dict(config.model, teacher_ckpt=str(file), **rest))
    # Read with the first loss, and compared with what is there after it.
    torch.save(dict(state_dict=model.teacher.state_dict()), file)
    size = 4 if 'vgg' in path.stem else 8
    for role, run in model.distiller.runs.items():
        # The last map: what the classifier pools, of more than one position.
        ((shape,),) = run.records.values()
        width = getattr(model, role).head.fc.in_features
        assert shape[1:] == (width, size, size)
    samples = [DataSample().set_gt_label(label) for label in (0, 1)]
    images = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    batch = dict(inputs=list(images), data_samples=samples)
    batch = model.data_preprocessor(batch, training=True)
    losses = model.train()(**batch, mode='loss')
    assert set(losses) == {'student.loss', 'distill.loss_tat'}
    total, _ = model.parse_losses(losses)
    assert total.isfinite() and losses['distill.loss_tat'] > 0
    total.backward()
    for part in (model.student, model.distiller):
        for name, parameter in part.named_parameters():
            assert parameter.grad.isfinite().all(), name
            # The norm behind a convolution of VGG takes its bias away.
            assert parameter.grad.any() or 'vgg' in path.stem, name
    assert all(p.grad is None for p in model.teacher.parameters())
    saved = torch.load(file, weights_only=True)['state_dict']
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(tensor, saved[name]), name
