# MGD, DeepLabV3+ R101 -> R18 on VOC 2012 + SBD: what
# tat_deeplabv3plus_r101_r18_voc.py is compared with, by the same recipe,
# teacher and student.
#   bash tools/dist_train.sh \
#     configs/rivals/voc/mgd_deeplabv3plus_r101_r18_voc.py 4
# Weight: 2e-5 on the sum over a map, mmrazor's config for detectors; not tuned
# on VOC.
_base_ = [
    '../../tat_deeplabv3plus_r101_r18_voc.py',
    '../../_base_/distillers/mgd.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        layers=['decode_head.sep_bottleneck.1.pointwise_conv.bn'],
        loss_weight=1.0,
    ),
)
