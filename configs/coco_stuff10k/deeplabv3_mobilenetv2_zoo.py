# The student alone, as a user of the zoo would: DeepLabV3 MobileNetV2 at
# output stride 8 on COCO-Stuff 10k, by the recipe of the zoo's teacher.
#   bash tools/dist_train.sh \
#     configs/coco_stuff10k/deeplabv3_mobilenetv2_zoo.py 4
_base_ = [
    '../_base_/models/deeplabv3_mobilenetv2-d8_coco_stuff10k.py',
    '../_base_/coco_stuff10k_512_40k.py',
]
