# Correlation congruence of the samples of a batch (Peng et al., ICCV 2019), on
# pooled features, without an embedding of its own.
distiller = dict(
    type='mmtat.FeatureDistiller',
    pool=True,
    losses=dict(loss_cc=dict(type='mmtat.CCLoss')),
)
