# DeepLabV3 R101 -> R18 on VOC 2012 + SBD, with the zoo's teacher.
#   bash tools/dist_train.sh configs/tat_deeplabv3_r101_r18_voc.py 4
# Without a network: --cfg-options model.architecture.pretrained=None
#   model.teacher_ckpt=FILE
_base_ = './deeplabv3_r18_voc.py'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='mmseg::deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py',
    teacher_ckpt='https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3/deeplabv3_r101-d8_512x512_40k_voc12aug/deeplabv3_r101-d8_512x512_40k_voc12aug_20200613_161432-0017d784.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        # Before the ReLU, as the paper taps its decoder; 512 x 64 x 64.
        layers=['decode_head.bottleneck.bn'],
        branches=dict(
            # Patches of 8x8 and 4 to a group, as the paper's on its larger
            # map. The released cross-entropy is divided by the batch size,
            # so its weights 0.1 and 0.04 are times 16 beside a plain one.
            patch_group=dict(patches=(8, 8), groups=16, loss_weight=1.6),
            anchor_point=dict(anchors=(32, 32), loss_weight=0.64),
        ),
    ),
)
