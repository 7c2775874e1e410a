# DKD, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/dkd_wrn_40_2_wrn_16_2.py
# Weights: the authors' config for this pair, alpha 1, beta 6, temperature 4.
# Deviation: no warm-up of 20 epochs.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/dkd.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
    ),
)
