# Anchor points along each side of the map of 20 x 20, on the tuning scenes.
#   bash tools/demo.sh  # its scenes, teacher and student
#   python tools/sweep.py configs/sweeps/anchors_digit_scenes.py
_base_ = './_base_/digit_scenes.py'
_anchors = 'model.distiller.branches.anchor_point.anchors'
_sides = (4, 5, 10, 20)
grid = {'anchors': {side: {_anchors: (side, side)} for side in _sides}}
