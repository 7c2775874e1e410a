# Embeddings (convolution and norm) or the maps themselves, on VOC. Student
# and teacher have 256 channels here, so that every one can be the identity.
#   python tools/sweep.py configs/sweeps/embeddings_voc.py --gpus 0,1,2,3
# Needs the teacher that _base_/voc.py names.
_base_ = './_base_/voc.py'
_none = {f'model.distiller.{name}': None for name in ('query', 'key', 'value')}
grid = {
    'embeddings': {
        'all': {},
        'no norms': {key: dict(kernel_size=1, norm=None) for key in _none},
        'no key': {'model.distiller.key': None},
        'value only': {**_none, 'model.distiller.value': dict(kernel_size=1)},
        'none': _none,
    }
}
