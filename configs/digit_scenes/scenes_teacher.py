# The teacher: all 2000 training scenes with their labels. The data, here
# and in the other configs of this folder, is made by
#   python -c "from mmtat.datasets import write_digit_scenes as write; \
#       write('data/digit_scenes', labelled=200)"
#   python tools/train.py configs/digit_scenes/scenes_teacher.py
_base_ = [
    '../_base_/models/deeplabv3plus_r18_digit_scenes.py',
    '../_base_/datasets/digit_scenes.py',
    '../_base_/schedules/digit_scenes.py',
    'mmseg::_base_/default_runtime.py',
]
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=210),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=210, end=700),
]
train_cfg = dict(max_iters=700)
