# ResNet-34 -> ResNet-18 on ImageNet-1k without KL: the first released recipe,
# 0.1 CE + 0.2 TaT, from a pretrained student, 8 x 256 images.
#   bash tools/dist_train.sh \
#       configs/imagenet/tat_resnet34_resnet18_without_kl.py 8
# Deviation: both models begin with mmpretrain's weights. Its teacher has
# 73.62 top-1 (reported, mmpretrain), the authors' 73.31 (reported, the paper).
# With KL, the second released recipe: configs/tat_resnet34_resnet18_in1k.py
_base_ = '../tat_resnet34_resnet18_in1k.py'
model = dict(
    architecture=dict(head=dict(loss=dict(loss_weight=0.1))),
    distiller=dict(
        branches=dict(whole=dict(loss_weight=0.2)),
        logits=None,
    ),
)
