# ResNet-34 -> ResNet-18 on ImageNet-1k without KL, from scratch, 8 x 256
# images.
#   bash tools/dist_train.sh \
#       configs/imagenet/tat_resnet34_resnet18_without_kl_from_scratch.py 8
# Deviation: the student begins with random weights. The authors published no
# result from scratch; everything else is their first recipe, 0.1 CE +
# 0.2 TaT.
_base_ = './tat_resnet34_resnet18_without_kl.py'
model = dict(architecture=dict(pretrained=None))
