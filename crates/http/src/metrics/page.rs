//! Writes metric families: a name, a sentence, and a value for each set of labels.

use std::{collections::HashMap, fmt};

use dayreel_pipeline::{DURATION_CLASSES_S, Durations};
use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
    },
    metrics::{MetricType, exemplar::Exemplar},
};

/// No labels.
pub(super) const ALONE: [(&str, &str); 0] = [];

/// The page that is written.
pub(super) struct Page<'a>(DescriptorEncoder<'a>);

impl<'a> Page<'a> {
    pub(super) const fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// What goes up and down.
    pub(super) fn gauge<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let gauge = MetricType::Gauge;
        let mut family = self.0.encode_descriptor(name, help, None, gauge)?;
        for (labels, value) in values {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }

    /// What only grows; `_total` is added to its name.
    pub(super) fn counter<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        const NO_EXEMPLAR: Option<&Exemplar<NoLabelSet, u64>> = None;
        let counter = MetricType::Counter;
        let mut family = self.0.encode_descriptor(name, help, None, counter)?;
        for (labels, value) in values {
            let mut one = family.encode_family(&labels)?;
            one.encode_counter(&value, NO_EXEMPLAR)?;
        }
        Ok(())
    }

    /// How long something took.
    pub(super) fn durations<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, Durations)>,
    ) -> fmt::Result {
        const NO_EXEMPLARS: Option<&HashMap<usize, Exemplar<NoLabelSet, f64>>> = None;
        let histogram = MetricType::Histogram;
        let mut family = self.0.encode_descriptor(name, help, None, histogram)?;
        for (labels, Durations { times, sum_s }) in values {
            let ends = DURATION_CLASSES_S.into_iter().chain([f64::INFINITY]);
            let buckets: Vec<_> = ends.zip(times).collect();
            let mut one = family.encode_family(&labels)?;
            one.encode_histogram(sum_s, times.iter().sum(), &buckets, NO_EXEMPLARS)?;
        }
        Ok(())
    }
}
