# ResNet-34 -> ResNet-18 on ImageNet-1k with KL, from scratch, 8 x 256 images.
#   bash tools/dist_train.sh \
#       configs/imagenet/tat_resnet34_resnet18_from_scratch.py 8
# Deviation: the student begins with random weights. The authors published no
# result from scratch; everything else is their second recipe, 0.5 CE + 0.5 KL
# + 0.1 TaT.
_base_ = '../tat_resnet34_resnet18_in1k.py'
model = dict(architecture=dict(pretrained=None))
