# CWD, DeepLabV3+ R101 -> R18 on VOC 2012 + SBD: what
# tat_deeplabv3plus_r101_r18_voc.py is compared with, by the same recipe,
# teacher and student.
#   bash tools/dist_train.sh \
#     configs/rivals/voc/cwd_deeplabv3plus_r101_r18_voc.py 4
# Weight: mmrazor's config for PSPNet on Cityscapes, 5 at temperature 1 on the
# logits; not tuned on VOC.
_base_ = [
    '../../tat_deeplabv3plus_r101_r18_voc.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        type='mmtat.FeatureDistiller',
        logits=dict(type='ChannelWiseDivergence', tau=1.0, loss_weight=5.0),
    ),
)
