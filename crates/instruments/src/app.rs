//! Collectors that tell about the program itself.

use std::time::{Instant, SystemTime};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Gauge, Opts};

/// Collector of `app_info`, which is 1 and has name and version of the program as labels.
///
/// ```
/// use metricsjob_instruments::AppInfo;
/// use prometheus::{Registry, TextEncoder};
///
/// let registry = Registry::new();
/// let info = AppInfo::new("shop", env!("CARGO_PKG_VERSION"), &[("region", "eu")])?;
/// registry.register(Box::new(info))?;
/// let text = TextEncoder::new().encode_to_string(&registry.gather())?;
/// assert!(text.contains(r#"app_info{name="shop",region="eu",version="#));
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct AppInfo {
    info: Gauge,
}

impl AppInfo {
    /// Creates the collector, with further labels.
    ///
    /// # Errors
    ///
    /// Fails if the name of a label is invalid.
    pub fn new(name: &str, version: &str, labels: &[(&str, &str)]) -> prometheus::Result<Self> {
        let mut opts = Opts::new("app_info", "Name and version of the program.");
        for (label, value) in labels.iter().chain(&[("name", name), ("version", version)]) {
            opts = opts.const_label(*label, *value);
        }
        let info = Gauge::with_opts(opts)?;
        info.set(1.0);
        Ok(AppInfo { info })
    }
}

impl Collector for AppInfo {
    fn desc(&self) -> Vec<&Desc> {
        self.info.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.info.collect()
    }
}

/// Collector of `app_start_timestamp_seconds`, the time at which the program began, and of `app_uptime_seconds`, which is read
/// when it is collected. Setting the system's clock does not change the uptime.
///
/// ```
/// use metricsjob_instruments::Uptime;
/// use prometheus::Registry;
///
/// let registry = Registry::new();
/// registry.register(Box::new(Uptime::new()?))?;
/// assert_eq!(registry.gather()[1].name(), "app_uptime_seconds");
/// # Ok::<(), prometheus::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Uptime {
    began: Instant,
    start: Gauge,
    uptime: Gauge,
}

impl Uptime {
    /// Creates the collector; the program begins now.
    ///
    /// # Errors
    ///
    /// Never fails; it is the `prometheus` crate that checks the names.
    pub fn new() -> prometheus::Result<Self> {
        let start = Gauge::new(
            "app_start_timestamp_seconds",
            "Time at which the program began, since the Unix epoch.",
        )?;
        let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        start.set(since_epoch.unwrap_or_default().as_secs_f64());
        Ok(Uptime {
            began: Instant::now(),
            start,
            uptime: Gauge::new("app_uptime_seconds", "Time since the program began.")?,
        })
    }

    fn collect_at(&self, now: Instant) -> Vec<MetricFamily> {
        let elapsed = now.saturating_duration_since(self.began);
        self.uptime.set(elapsed.as_secs_f64());
        [self.start.collect(), self.uptime.collect()].concat()
    }
}

impl Collector for Uptime {
    fn desc(&self) -> Vec<&Desc> {
        [self.start.desc(), self.uptime.desc()].concat()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.collect_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use prometheus::{Registry, TextEncoder};

    use super::*;

    #[test]
    fn info_is_a_constant() {
        let info = AppInfo::new("a \"b\"", "1.0", &[("commit", "c")]).unwrap();
        let text = TextEncoder::new().encode_to_string(&info.collect());
        assert!(
            text.unwrap()
                .ends_with("app_info{commit=\"c\",name=\"a \\\"b\\\"\",version=\"1.0\"} 1\n")
        );
        assert!(AppInfo::new("a", "1", &[("no label", "")]).is_err());
        // The arguments have the last word.
        let info = AppInfo::new("a", "1", &[("name", "b")]).unwrap();
        let text = TextEncoder::new().encode_to_string(&info.collect());
        assert!(text.unwrap().contains("{name=\"a\",version=\"1\"}"));
    }

    #[test]
    fn uptime_grows() {
        let uptime = Uptime::new().unwrap();
        let value = |seconds: u64| {
            uptime.collect_at(uptime.began + Duration::from_secs(seconds));
            uptime.uptime.get()
        };
        assert!(uptime.start.get() > 1.6e9);
        assert_eq!(value(0), 0.0);
        assert_eq!(value(3600), 3600.0);
        let registry = Registry::new();
        registry.register(Box::new(uptime.clone())).unwrap();
        assert_eq!(registry.gather().len(), 2);
        registry.unregister(Box::new(uptime)).unwrap();
        assert_eq!(registry.gather().len(), 0);
    }
}
