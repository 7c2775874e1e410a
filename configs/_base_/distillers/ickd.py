# ICKD: correlations between channels (Liu et al., ICCV 2021), rows of unit
# length.
distiller = dict(
    type='mmtat.FeatureDistiller',
    student_connector=dict(type='mmtat.EmbeddingConnector', norm='batch'),
    losses=dict(loss_ickd=dict(type='mmtat.ICKDLoss', normalize=True)),
)
