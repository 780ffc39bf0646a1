//! The report of a run.

use super::JobError;
use super::destination::{Destination, ReportFamilies};
use crate::{PushRequest, Stop};

/// The metrics of a run that is over, and where they go.
#[derive(Debug)]
#[must_use = "a report is not pushed by itself"]
pub struct Report {
    destination: Destination,
    families: ReportFamilies,
}

impl Report {
    pub(super) fn new(destination: Destination, families: ReportFamilies) -> Self {
        Report {
            destination,
            families,
        }
    }

    /// Pushes the report to each gateway, or hands it to the `metricsjob` that runs this program. Returns as soon as that
    /// is done, and after the [deadline](super::Job::deadline) at the latest. Blocks the thread.
    ///
    /// # Errors
    ///
    /// Fails with the first gateway that did not take the report; other failures are logged. Problems of the settings have
    /// been logged when the run began, and are no errors here.
    pub fn push(self) -> Result<(), JobError> {
        let method = self.destination.method;
        self.destination
            .deliver(method, self.families, &Stop::never())
    }

    /// Pushes the report as [`push`](Self::push) does, in the caller's tokio runtime, which must have I/O and time enabled.
    ///
    /// # Errors
    ///
    /// Fails as [`push`](Self::push) does.
    pub async fn push_async(self) -> Result<(), JobError> {
        let method = self.destination.method;
        let stop = Stop::never();
        let delivery = self.destination.deliver_async(method, self.families, &stop);
        delivery.await
    }

    /// Returns the report as requests, one for each gateway, for programs that send them by an HTTP client of their own.
    /// There are none under `metricsjob run` and `metricsjob exec`.
    ///
    /// ```
    /// # use metricsjob_client::Job;
    /// let run = Job::new("import").gateway("http://pushgateway:9091").start();
    /// run.gauge("import_rows", "Rows.", &[]).set(42.0);
    /// for request in run.finish(true).requests()? {
    ///     assert_eq!(request.method, "POST");
    ///     assert_eq!(request.url, "http://pushgateway:9091/metrics/job/import");
    ///     assert!(String::from_utf8(request.body).unwrap().contains("\nimport_rows 42\n"));
    /// }
    /// # Ok::<(), metricsjob_client::JobError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Fails if credentials cannot be used.
    pub fn requests(self) -> Result<Vec<PushRequest>, JobError> {
        self.destination.requests(self.families)
    }
}
