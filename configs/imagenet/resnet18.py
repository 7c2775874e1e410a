# The student, alone: ResNet-18 on ImageNet-1k, from the zoo's weights and by
# the recipe of the distillations (AdamW, 100 epochs, 8 x 256 images).
#   bash tools/dist_train.sh configs/imagenet/resnet18.py 8
# From scratch: --cfg-options model.pretrained=None
_base_ = '../_base_/resnet18_in1k_adamw.py'
model = dict(head=dict(loss=dict(loss_weight=1.0)))
