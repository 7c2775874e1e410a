# DeepLabV3+ R101 -> R18 on VOC 2012 + SBD, exact one-to-all: each of the
# 16641 positions of the teacher's map to all of the student's, without
# patches or anchors.
#   bash tools/dist_train.sh \
#     configs/voc/tat_deeplabv3plus_r101_r18_exact.py 4
# Not in the paper: the rest is tat_deeplabv3plus_r101_r18.py. The attention
# map is never kept, so memory grows with the positions, and not with their
# square; docs/performance.md has what it costs. In bfloat16, as that
# is what its kernels are made for. The weight is that of patch-group
# distillation there, untuned.
_base_ = './tat_deeplabv3plus_r101_r18.py'
model = dict(
    distiller=dict(
        branches=dict(_delete_=True, whole=dict(loss_weight=0.1)),
    ),
)
optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')
