# Embeddings or not, on the tuning scenes.
#   bash tools/demo.sh  # its scenes, teacher and student
#   python tools/sweep.py configs/sweeps/embeddings_digit_scenes.py
# In the decoder (student 32 channels, teacher 64) only the key, which is the
# teacher's map, can go without: an identity keeps the channels, and query and
# value must come to 64. The logits have 11 channels in both, so that there
# all three can; all rows but the first two are of the logits.
_base_ = './_base_/digit_scenes.py'
_logits = {'model.distiller.layers': ['decode_head.conv_seg']}
_none = {f'model.distiller.{name}': None for name in ('query', 'key', 'value')}
_no_norm = {key: dict(kernel_size=1, norm=None) for key in _none}
grid = {
    'embeddings': {
        'decoder, all': {},
        'decoder, no key': {'model.distiller.key': None},
        'logits, all': _logits,
        'logits, no norms': {**_logits, **_no_norm},
        'logits, none': {**_logits, **_none},
    }
}
