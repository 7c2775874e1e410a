# DeepLabV3+ R101 -> MobileNetV2 on VOC 2012 + SBD, with the zoo's teacher.
#   bash tools/dist_train.sh \
#     configs/voc/tat_deeplabv3plus_r101_mobilenetv2_zoo.py 4
# Without a network: --cfg-options model.architecture.pretrained=None
#   model.teacher_ckpt=FILE
_base_ = './deeplabv3plus_mobilenetv2_zoo.py'
model = dict(
    _delete_=True,
    type='mmtat.FrozenTeacherDistill',
    architecture=_base_.model,
    teacher='mmseg::deeplabv3plus/deeplabv3plus_r101-d8_4xb4-40k_voc12aug-512x512.py',
    teacher_ckpt='https://download.openmmlab.com/mmsegmentation/v0.5/deeplabv3plus/deeplabv3plus_r101-d8_512x512_40k_voc12aug/deeplabv3plus_r101-d8_512x512_40k_voc12aug_20200613_205333-faf03387.pth',
    distiller=dict(
        type='mmtat.TaTDistiller',
        # Before the ReLU of the decoder's second convolution, as the paper
        # taps it; 512 x 128 x 128.
        layers=['decode_head.sep_bottleneck.1.pointwise_conv.bn'],
        formulation='released',
        branches=dict(
            # The paper's cut. The released cross-entropy is divided by the
            # batch size of 12, so its weights 0.1 and 0.05 are times 12.
            patch_group=dict(patches=(32, 32), groups=1024, loss_weight=1.2),
            anchor_point=dict(anchors=(64, 64), loss_weight=0.6),
        ),
    ),
)
