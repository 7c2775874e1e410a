# Contrastive representation distillation (Tian et al., ICLR 2020),
# by mmrazor's loss and connectors, on pooled features. The config that uses it
# names the number of training images.
distiller = dict(
    type='mmtat.FeatureDistiller',
    pool=True,
    student_connector=dict(type='CRDConnector', dim_out=128),
    teacher_connector=dict(type='CRDConnector', dim_out=128),
    losses=dict(
        loss_crd=dict(type='mmtat.CRDLoss', images=50000, negatives=16384)
    ),
)
