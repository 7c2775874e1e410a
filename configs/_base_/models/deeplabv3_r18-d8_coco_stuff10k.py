# DeepLabV3 on ResNet-18 at output stride 8 for COCO-Stuff 10k: as for VOC.
_base_ = './deeplabv3_r18-d8_voc.py'
model = dict(
    decode_head=dict(num_classes=171), auxiliary_head=dict(num_classes=171)
)
