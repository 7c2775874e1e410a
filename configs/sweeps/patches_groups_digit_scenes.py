# Patches of the map of 20 x 20, and the groups that they form, on the tuning
# scenes. A group has n*m/groups patches.
#   bash tools/demo.sh  # its scenes, teacher and student
#   python tools/sweep.py configs/sweeps/patches_groups_digit_scenes.py
_base_ = './_base_/digit_scenes.py'
_patch_group = 'model.distiller.branches.patch_group.'
grid = {
    _patch_group + 'patches': [(2, 2), (4, 4), (10, 10)],
    _patch_group + 'groups': [1, 2, 4],
}
