# A student, alone: DeepLabV3+ MobileNetV2 at output stride 16 on VOC 2012 +
# SBD, as TaT's authors train it.
#   bash tools/dist_train.sh configs/voc/deeplabv3plus_mobilenetv2.py 4
# Recipe: lr 0.004, 12 images a step, 100 epochs; the rest is in the bases.
# Deviations (in the bases): validated at each image's own size, no batch
# dropped; mmpretrain's weights and mmsegmentation's dilations.
_base_ = [
    '../_base_/models/deeplabv3plus_mobilenetv2-d16.py',
    '../_base_/datasets/voc12_aug_513.py',
    '../_base_/schedules/sgd_nesterov_cosine.py',
]
work_dir = 'work_dirs/voc/{{ fileBasenameNoExtension }}'
model = dict(
    decode_head=dict(num_classes=21, loss_decode=dict(loss_weight=1 / 12)),
)
train_dataloader = dict(batch_size=3)
optim_wrapper = dict(optimizer=dict(lr=0.004))
# 100 epochs of 10582 // 12 = 881 iterations.
param_scheduler = dict(T_max=88100)
train_cfg = dict(max_iters=88100)
auto_scale_lr = dict(enable=False, base_batch_size=12)
