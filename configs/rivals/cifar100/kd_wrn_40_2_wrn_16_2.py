# KD, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/kd_wrn_40_2_wrn_16_2.py
# Weights: RepDistiller's script, 0.1 CE + 0.9 KL at temperature 4.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/kd.py',
]
model = dict(
    architecture=dict(head=dict(loss=dict(loss_weight=0.1))),
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        loss_weight=0.9,
    ),
)
