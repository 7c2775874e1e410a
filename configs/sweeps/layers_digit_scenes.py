# One layer against several, on the tuning scenes. Each layer adds its losses,
# so that more layers also weigh more.
#   bash tools/demo.sh  # its scenes, teacher and student
#   python tools/sweep.py configs/sweeps/layers_digit_scenes.py
_base_ = './_base_/digit_scenes.py'
_decoder = [
    f'decode_head.sep_bottleneck.{index}.pointwise_conv.bn' for index in (0, 1)
]
_layers = 'model.distiller.layers'
grid = {
    'layers': {
        'decoder 2': {_layers: _decoder[1:]},
        'decoder 1 and 2': {_layers: _decoder},
        'decoder 1 and 2, stage 3': {_layers: ['backbone.layer3', *_decoder]},
    }
}
