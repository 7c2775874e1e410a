# ResNet-34 -> ResNet-18 on ImageNet-1k with KL: the second released recipe,
# 0.5 CE + 0.5 KL + 0.1 TaT, from a pretrained student, 8 x 256 images.
#   bash tools/dist_train.sh configs/tat_resnet34_resnet18_in1k.py 8
# Without a network: --cfg-options model.architecture.pretrained=None
#   model.teacher_ckpt=FILE
_base_ = './_base_/resnet18_in1k_adamw.py'
_weights = 'https://download.openmmlab.com/mmclassification/v0/resnet/'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='mmpretrain::resnet/resnet34_8xb32_in1k.py',
    teacher_ckpt=_weights + 'resnet34_8xb32_in1k_20210831-f257d4e6.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        layers=['backbone.layer4'],
        # As released for ImageNet: 3x3 and a norm over the batch; the key is
        # the teacher's own map.
        query=dict(kernel_size=3, norm='batch'),
        key=None,
        value=dict(kernel_size=3, norm='batch'),
        branches=dict(whole=dict(loss_weight=0.1)),
        logits=dict(tau=1.0, loss_weight=0.5),
    ),
)
