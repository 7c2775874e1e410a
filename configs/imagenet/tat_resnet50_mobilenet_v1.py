# ResNet-50 -> MobileNetV1 on ImageNet-1k: 0.5 CE + 0.5 KL + 0.1 TaT, from
# scratch, 8 x 32 images.
#   bash tools/dist_train.sh configs/imagenet/tat_resnet50_mobilenet_v1.py 8
# The authors released no recipe for this pair. Ours: mmpretrain's schedule of
# 100 epochs with SGD, and the weights and embeddings that they released for
# ResNet-34 -> ResNet-18 with KL, not tuned for this pair.
_base_ = './_base_/mobilenet_v1_in1k_half_ce.py'
_weights = 'https://download.openmmlab.com/mmclassification/v0/resnet/'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='mmpretrain::resnet/resnet50_8xb32_in1k.py',
    teacher_ckpt=_weights + 'resnet50_8xb32_in1k_20210831-ea4938fc.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        # 1024 x 7 x 7 and 2048 x 7 x 7: each 3x3 embedding, trained and then
        # thrown away, has 18.9M parameters, the student 4.2M.
        layers=[dict(student='backbone.layer5', teacher='backbone.layer4')],
        query=dict(kernel_size=3, norm='batch'),
        key=None,
        value=dict(kernel_size=3, norm='batch'),
        branches=dict(whole=dict(loss_weight=0.1)),
        logits=dict(tau=1.0, loss_weight=0.5),
    ),
)
