# DIST, correlations of the predictions within and between classes (Huang et
# al., NeurIPS 2022), by mmrazor. A pixel is a sample.
distiller = dict(
    type='mmtat.FeatureDistiller',
    logits=dict(type='DISTLoss', tau=1.0),
)
