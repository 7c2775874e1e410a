# OFD, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/ofd_wrn_40_2_wrn_16_2.py
# Weight: mmrazor's config for the last stage on CIFAR-10; 1e-3 of the sum.
# Before the ReLU, as the method asks; last map only.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/ofd.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        layers=['backbone.final.0'],
        loss_weight=1.0,
    ),
)
