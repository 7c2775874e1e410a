"""The metafiles of the configs, and what they say of them, for the tests."""

import functools

from mmengine.fileio import load

from mmtat.models.utils import load_config

from .voc import ROOT

METAFILES = {
    path.relative_to(ROOT).as_posix(): load(str(path))
    for path in sorted((ROOT / 'configs').rglob('metafile.yml'))
}
MODELS = [
    model for metafile in METAFILES.values() for model in metafile['Models']
]
HEADS = {
    'ASPPHead': 'DeepLabV3',
    'DepthwiseSeparableASPPHead': 'DeepLabV3+',
    'mmtat.DeepLabV3PlusHead': 'DeepLabV3+',
}


@functools.cache
def config_of(name):
    """A config of the repository, by its path there, or of a zoo."""
    return load_config(name if '::' in name else str(ROOT / name), 'role')


def network_of(model):
    """The name of a network, from its config."""
    backbone = model.backbone
    kind, depth = backbone.type.rpartition('.')[2], backbone.get('depth')
    if kind.startswith('MobileNet'):
        name = kind
    elif kind == 'WideResNet':
        name = f'WRN-{depth}-{backbone.widen_factor}'
    elif kind == 'CIFARVGG':
        name = f'VGG-{depth}'
    else:
        wide = (32, 64, 128, 256)
        times_4 = tuple(backbone.get('widths', ())) == wide
        name = f'ResNet-{depth}' + 'x4' * times_4
    if 'decode_head' not in model:
        return name
    if 'base_channels' in backbone:
        name += f', {backbone.base_channels} channels'
    return f'{HEADS[model.decode_head.type]} {name.replace("ResNet-", "R")}'


def results_of(metafile):
    """Every mapping with metrics, wherever it is."""
    if isinstance(metafile, dict):
        if 'Metrics' in metafile:
            yield metafile
        metafile = list(metafile.values())
    if isinstance(metafile, list):
        for part in metafile:
            yield from results_of(part)
