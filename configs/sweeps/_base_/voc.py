# What the sweeps over VOC share: DeepLabV3+ R101 -> R18 as TaT's authors ran
# it, each run on one GPU with its whole batch of 16. The teacher first:
#   bash tools/dist_train.sh configs/voc/deeplabv3plus_r101.py 4
config = '{{ fileDirname }}/../../voc/tat_deeplabv3plus_r101_r18.py'
seeds = [0, 1, 2]
metric = 'mIoU'
options = {'train_dataloader.batch_size': 16}
