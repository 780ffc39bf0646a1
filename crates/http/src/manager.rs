//! All metrics of a service.

use std::collections::HashMap;

use metricsjob_metrics::{is_label_name, is_metric_name};
use prometheus::Registry;
use prometheus::core::Collector;

use crate::{HttpMetrics, HttpMetricsBuilder, MetricsHandler};

/// All metrics of a service: a registry with a namespace, default labels and collectors, exposed at `/metrics`, and
/// pushed with the feature `push`. Its clones share the registry.
///
/// ```
/// use metricsjob_http::Manager;
/// use prometheus::IntCounter;
///
/// let manager = Manager::builder().namespace("shop").label("region", "eu").build()?;
/// let orders = manager.register(IntCounter::new("orders_total", "Orders.")?)?;
/// orders.inc();
/// let families = metricsjob_metrics::registry::gather(manager.registry());
/// let text = metricsjob_metrics::text::encode(&families);
/// assert!(text.ends_with("shop_orders_total{region=\"eu\"} 1\n"));
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Manager {
    registry: Registry,
    /// Names of the default labels.
    labels: Vec<String>,
}

impl Manager {
    /// Returns a builder of a manager without a namespace and default labels.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    /// Returns the registry. Its namespace and default labels apply to all that is registered there. It does not
    /// check the labels of what is registered without the manager.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Registers an instrument, and returns it. [`Registry::unregister`] undoes it.
    ///
    /// # Errors
    ///
    /// Fails if there is another instrument of the same name, or one of its labels is a default label.
    pub fn register<C: Collector + Clone + 'static>(&self, instrument: C) -> prometheus::Result<C> {
        self.add(Box::new(instrument.clone()))?;
        Ok(instrument)
    }

    /// Builds metrics of HTTP requests and registers them.
    ///
    /// # Errors
    ///
    /// Fails as [`HttpMetricsBuilder::register`] does, or if one of the labels is a default label.
    pub fn register_http(&self, builder: HttpMetricsBuilder) -> prometheus::Result<HttpMetrics> {
        let (metrics, collector) = builder.build()?;
        self.add(collector)?;
        Ok(metrics)
    }

    fn add(&self, collector: Box<dyn Collector>) -> prometheus::Result<()> {
        for description in collector.desc() {
            let constant = description.const_label_pairs.iter();
            let mut names = constant
                .map(|pair| pair.name())
                .chain(description.variable_labels.iter().map(String::as_str));
            // The registry would add it a second time.
            if let Some(label) = names.find(|&name| self.labels.iter().any(|known| known == name)) {
                return Err(prometheus::Error::Msg(format!(
                    "{} has the label {label}, which is a default label",
                    description.fq_name
                )));
            }
        }
        self.registry.register(collector)
    }

    /// Returns the tower service for `/metrics`.
    pub fn handler(&self) -> MetricsHandler {
        MetricsHandler::new(&self.registry)
    }
}

/// Builder of a [`Manager`].
#[derive(Default)]
#[must_use]
pub struct ManagerBuilder {
    namespace: Option<String>,
    labels: HashMap<String, String>,
    collectors: Vec<Box<dyn Collector>>,
}

impl std::fmt::Debug for ManagerBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ManagerBuilder")
            .field("namespace", &self.namespace)
            .field("labels", &self.labels)
            .field("collectors", &self.collectors.len())
            .finish()
    }
}

impl ManagerBuilder {
    /// Sets the prefix of all names, without the underscore that follows it.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Adds a label that all series get.
    pub fn label(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(name.into(), value.into());
        self
    }

    /// Adds a collector.
    pub fn collector(mut self, collector: impl Collector + 'static) -> Self {
        self.collectors.push(Box::new(collector));
        self
    }

    /// Builds the manager.
    ///
    /// # Errors
    ///
    /// Fails if the namespace or the name of a label is invalid, or a collector cannot be registered.
    pub fn build(self) -> prometheus::Result<Manager> {
        let invalid =
            |what: &str, name: &str| Err(prometheus::Error::Msg(format!("{name:?} is no {what}")));
        if let Some(namespace) = &self.namespace
            && !is_metric_name(namespace)
        {
            return invalid("namespace", namespace);
        }
        let reserved = |name: &str| name.starts_with("__") || ["le", "quantile"].contains(&name);
        let mut names = self.labels.keys();
        if let Some(name) = names.find(|name| !is_label_name(name) || reserved(name)) {
            return invalid("label name", name);
        }
        let labels = self.labels.keys().cloned().collect();
        let manager = Manager {
            registry: Registry::new_custom(self.namespace, Some(self.labels))?,
            labels,
        };
        for collector in self.collectors {
            manager.add(collector)?;
        }
        Ok(manager)
    }
}
