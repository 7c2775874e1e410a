# The student alone.
#   bash tools/dist_train.sh configs/deeplabv3plus_r18_voc.py 4
_base_ = [
    '_base_/models/deeplabv3plus_r18-d8_voc.py',
    '_base_/voc12_aug_512_40k.py',
]
