# The weight of both branches, on the tuning scenes of the demo.
#   bash tools/demo.sh  # its scenes, teacher and student
#   python tools/sweep.py configs/sweeps/weight_digit_scenes.py
_base_ = './_base_/digit_scenes.py'
_branches = 'model.distiller.branches.'
grid = {
    'loss_weight': {
        weight: {
            _branches + 'patch_group.loss_weight': weight,
            _branches + 'anchor_point.loss_weight': weight,
        }
        for weight in (0.3, 1.0, 3.0, 10.0, 30.0)
    },
}
