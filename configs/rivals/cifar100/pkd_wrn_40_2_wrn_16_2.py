# PKD, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/pkd_wrn_40_2_wrn_16_2.py
# Weight: mmrazor's config for Faster R-CNN; not tuned for CIFAR-100.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/pkd.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        layers=['backbone.final'],
        loss_weight=6.0,
    ),
)
