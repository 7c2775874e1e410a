# The teacher: all 2000 training scenes with their labels.
#   python tools/train.py configs/demo/digit_scenes_teacher.py
_base_ = [
    '../_base_/models/deeplabv3plus_r18_digit_scenes.py',
    '../_base_/datasets/digit_scenes.py',
    '../_base_/schedules/demo.py',
    'mmseg::_base_/default_runtime.py',
]
