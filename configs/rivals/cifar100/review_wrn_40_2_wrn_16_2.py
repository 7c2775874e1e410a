# ReviewKD, WRN-40-2 -> WRN-16-2 on CIFAR-100: what tat_wrn_40_2_wrn_16_2.py is
# compared with, by the same recipe, teacher and student.
#   python tools/train.py configs/rivals/cifar100/review_wrn_40_2_wrn_16_2.py
# Weight: the authors' for this pair. Deviations: no warm-up of 20 epochs; maps
# behind their ReLU.
_base_ = [
    '../../cifar100/tat_wrn_40_2_wrn_16_2.py',
    '../../_base_/distillers/review.py',
]
model = dict(
    distiller=dict(
        _delete_=True,
        **_base_.distiller,
        layers=[
            'backbone.layer1',
            'backbone.layer2',
            'backbone.final',
            'neck',
        ],
        loss_weight=5.0,
    ),
)
