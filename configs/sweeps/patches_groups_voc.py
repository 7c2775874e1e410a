# Patches of the map of 129 x 129, and the groups that they form, on VOC. A
# group has n*m/groups patches. The paper's: 16 x 16 patches in 64 groups.
#   python tools/sweep.py configs/sweeps/patches_groups_voc.py --gpus 0,1,2,3
# Needs the teacher that _base_/voc.py names.
_base_ = './_base_/voc.py'
_patch_group = 'model.distiller.branches.patch_group.'
grid = {
    _patch_group + 'patches': [(8, 8), (16, 16), (32, 32)],
    _patch_group + 'groups': [4, 16, 64],
}
