# DIST, DeepLabV3+ R101 -> R18 on VOC 2012 + SBD: what
# tat_deeplabv3plus_r101_r18_voc.py is compared with, by the same recipe,
# teacher and student.
#   bash tools/dist_train.sh \
#     configs/rivals/voc/dist_deeplabv3plus_r101_r18_voc.py 4
# Weight: the best of three on digit scenes with few labels
# (docs/evidence/digit_scenes_few_tuning.csv), whose cross-entropy is a plain
# mean as here; not tuned on VOC.
_base_ = [
    '../../tat_deeplabv3plus_r101_r18_voc.py',
    '../../_base_/distillers/dist.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        loss_weight=10.0,
    ),
)
