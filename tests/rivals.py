"""The methods of configs/_base_/distillers on toys, for the tests."""

import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, PixelData

from .toys import distillation
from .voc import ROOT

#: Base configs of the methods by their names.
METHODS = {
    path.stem: path
    for path in sorted((ROOT / 'configs/_base_/distillers').glob('*.py'))
}
#: What a method needs on toys beyond one layer.
TOY = dict(
    ofd=dict(layers=['backbone.norm']),
    review=dict(layers=['backbone.conv', 'decode_head.conv_seg']),
)
IMAGE = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def method(name, **arguments):
    """A method's distiller, on a layer of the toys."""
    distiller = Config.fromfile(METHODS[name]).distiller.to_dict()
    if 'logits' not in distiller:
        distiller['layers'] = ['backbone.conv']
    if name == 'crd':
        distiller['losses']['loss_crd'].update(images=8, negatives=6)
    return {**distiller, **TOY.get(name, {}), **arguments}


def feature(**arguments):
    """A distiller of one layer, unless they say otherwise."""
    arguments = dict(dict(layers=['backbone.conv']), **arguments)
    return dict(type='mmtat.FeatureDistiller', **arguments)


def build(distiller, **kwargs):
    """A toy distillation, always with the same weights."""
    torch.manual_seed(0)
    return MODELS.build(distillation(distiller, **kwargs))


def batch():
    """Data samples with a path and a map of labels 0 to 2."""
    samples = []
    for index in range(len(IMAGE)):
        labels = (torch.arange(64).view(1, 8, 8) + index) % 3
        sample = BaseDataElement(metainfo=dict(img_path=f'{index}.png'))
        sample.gt_sem_seg = PixelData(data=labels)
        samples.append(sample)
    return samples


def distilled(model):
    """Losses of the distiller in a step that is always the same."""
    torch.manual_seed(3)
    losses = model(IMAGE, batch(), mode='loss')
    return {k: v for k, v in losses.items() if k.startswith('distill.')}


def features(model, layer='backbone.conv'):
    """Maps of the convolution, or of the norm, of student and teacher."""
    backbones = model.student.backbone, model.teacher.backbone
    maps = [backbone.conv(IMAGE) for backbone in backbones]
    if layer == 'backbone.norm':
        return [part.norm(x) for part, x in zip(backbones, maps)]
    return maps
