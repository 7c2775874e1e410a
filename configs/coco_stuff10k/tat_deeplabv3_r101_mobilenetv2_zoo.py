# DeepLabV3 R101 -> MobileNetV2 on COCO-Stuff 10k, with the zoo's teacher.
# Not DeepLabV3+, which the zoo has not for this data.
#   bash tools/dist_train.sh \
#     configs/coco_stuff10k/tat_deeplabv3_r101_mobilenetv2_zoo.py 4
# Without a network: --cfg-options model.architecture.pretrained=None
#   model.teacher_ckpt=FILE
_base_ = './deeplabv3_mobilenetv2_zoo.py'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_coco-stuff10k-512x512.py',
    teacher_ckpt='https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x512_4x4_40k_coco-stuff10k/deeplabv3_r101-d8_512x512_4x4_40k_coco-stuff10k_20210821_043305-636cb433.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        # Before the ReLU, as the paper taps its decoder; 512 x 64 x 64.
        layers=['decode_head.bottleneck.bn'],
        formulation='released',
        branches=dict(
            # Patches of 8x8 and 4 to a group, as the paper's on its larger
            # map. The released cross-entropy is divided by the batch size of
            # 12, so its weights 0.4 and 0.4 are times 12 beside a plain one.
            patch_group=dict(patches=(8, 8), groups=16, loss_weight=4.8),
            anchor_point=dict(anchors=(32, 32), loss_weight=4.8),
        ),
    ),
)
