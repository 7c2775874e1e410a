# Variational information distillation: the teacher's map as a Gaussian whose
# mean the student predicts (Ahn et al., CVPR 2019).
distiller = dict(
    type='mmtat.FeatureDistiller',
    losses=dict(loss_vid=dict(type='mmtat.VIDLoss')),
)
