//! `lapdev audit`: exits 1 when anything is left behind or missing.

use crate::{
    args::{Format, ServerArgs},
    client::Client,
    exit::Failure,
    output::{Row, message, print},
};
use lapdev_api::view::{AuditReport, Finding};

/// Runs it.
pub async fn run(output: Format, server: &ServerArgs) -> Result<(), Failure> {
    let report: AuditReport = Client::new(server)?.patient().get(&["audit"]).await?;
    if output != Format::Table || !report.findings.is_empty() {
        print(output, &report, &report.findings)?;
    }
    message(format_args!("audit: {} environments looked at, {} findings", report.checked, report.findings.len()));
    if report.findings.is_empty() { Ok(()) } else { Err(Failure::NotFine(None)) }
}

impl Row for Finding {
    const HEAD: &'static [&'static str] = &["CLUSTER", "ENVIRONMENT", "FINDING", "MESSAGE"];

    fn cells(&self) -> Vec<String> {
        vec![self.cluster.to_string(), self.environment.clone(), self.kind.clone(), self.message.clone()]
    }
}
