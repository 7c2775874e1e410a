# The student alone, as a user of the zoo would: DeepLabV3+ MobileNetV2 at
# output stride 8 on VOC 2012 + SBD, by the recipe of the zoo's teachers.
#   bash tools/dist_train.sh configs/voc/deeplabv3plus_mobilenetv2_zoo.py 4
_base_ = [
    '../_base_/models/deeplabv3plus_mobilenetv2-d8_voc.py',
    '../_base_/voc12_aug_512_40k.py',
]
