# A student, alone: MobileNetV1 on ImageNet-1k, from scratch, 8 x 32 images.
#   bash tools/dist_train.sh configs/imagenet/mobilenet_v1.py 8
# With another number of processes add --auto-scale-lr.
_base_ = './_base_/mobilenet_v1_in1k.py'
