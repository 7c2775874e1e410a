# One layer, the second convolution of the decoder, against both on VOC. Each
# layer adds its losses, so that two also weigh more; 'halved' does not.
#   python tools/sweep.py configs/sweeps/layers_voc.py --gpus 0,1,2
# Needs the teacher that _base_/voc.py names.
_base_ = './_base_/voc.py'
_layers = 'model.distiller.layers'
_branches = 'model.distiller.branches.'
_both = [f'decode_head.decoder.conv{index}.bn' for index in (1, 2)]
grid = {
    'layers': {
        'second': {_layers: _both[1:]},
        'both': {_layers: _both},
        'both, halved': {
            _layers: _both,
            _branches + 'patch_group.loss_weight': 0.05,
            _branches + 'anchor_point.loss_weight': 0.02,
        },
    }
}
