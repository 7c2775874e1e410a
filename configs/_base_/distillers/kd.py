# Knowledge distillation of the logits, softened by a temperature (Hinton et
# al., 2015), by mmrazor. A pixel is a sample.
distiller = dict(
    type='mmtat.FeatureDistiller',
    logits=dict(type='KLDivergence', tau=4.0),
)
