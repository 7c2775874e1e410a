# Anchor points along each side of the map of 129 x 129, on VOC. The paper's
# are 32; the others are those that 129 can be pooled to.
#   python tools/sweep.py configs/sweeps/anchors_voc.py --gpus 0,1,2,3
# Needs the teacher that _base_/voc.py names.
_base_ = './_base_/voc.py'
_anchors = 'model.distiller.branches.anchor_point.anchors'
grid = {
    'anchors': {side: {_anchors: (side, side)} for side in (8, 16, 32, 43, 64)}
}
