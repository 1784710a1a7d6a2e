//! What a person sees: a progress bar on a terminal, plain lines elsewhere.

use std::{
    cell::RefCell,
    io::{IsTerminal as _, Write as _},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::Value;

use super::folder::DevRecord;

/// One line on standard output. A reader that has gone is no reason to stop.
pub(super) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// The demo job, live.
pub(super) struct JobProgressView {
    bar: Option<ProgressBar>,
    last: RefCell<String>,
}

impl JobProgressView {
    pub(super) fn new(job_id: &str) -> Self {
        line(&format!("provisioning tenant acme-corp, job {job_id}"));
        let bar = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::new(100);
            if let Ok(style) = ProgressStyle::with_template("  [{bar:40}] {pos:>3} %  {msg}") {
                bar.set_style(style.progress_chars("=> "));
            }
            bar
        });
        Self {
            bar,
            last: RefCell::default(),
        }
    }

    /// Shows the job as it is now; the same state twice is shown once.
    pub(super) fn update(&self, status: &str, job: &Value) {
        let percent = job
            .pointer("/progress/percent")
            .and_then(Value::as_u64)
            .unwrap_or(0);
        let message = job
            .pointer("/progress/message")
            .and_then(Value::as_str)
            .unwrap_or(status);
        let now = format!("{status:>9} {percent:>3} %  {message}");
        if *self.last.borrow() == now {
            return;
        }
        match &self.bar {
            Some(bar) => {
                bar.set_position(percent);
                bar.set_message(message.to_owned());
            }
            None => line(&format!("  {now}")),
        }
        self.last.replace(now);
    }

    pub(super) fn done(&self, status: &str) {
        if let Some(bar) = &self.bar {
            bar.set_position(if status == "succeeded" {
                100
            } else {
                bar.position()
            });
            bar.finish_with_message(status.to_owned());
        }
    }
}

/// Where everything is, and three calls to try.
pub(super) fn ready(record: &DevRecord, once: bool) {
    let DevRecord {
        api_url,
        ops_url,
        kubeconfig,
        mail_folder,
        admin_api_key,
        demo,
        ..
    } = record;
    line("");
    line(&format!(
        "API            {api_url}   (reference: {api_url}/docs)"
    ));
    line(&format!(
        "health         {ops_url}/readyz   metrics: {ops_url}/metrics"
    ));
    line(&format!(
        "cluster        kubectl --kubeconfig {} get namespaces",
        kubeconfig.display()
    ));
    line(&format!(
        "settings       {}   (join with: unity worker --config FILE)",
        record.config.display()
    ));
    if let Some(folder) = mail_folder {
        line(&format!("mail           {}", folder.display()));
    }
    line(&format!("admin key      {admin_api_key}"));
    if let Some(demo) = demo {
        line(&format!(
            "tenant key     {}   (acme-corp, tenant-admin)",
            demo.api_key
        ));
        line("");
        let bearer = format!("-H 'Authorization: Bearer {}'", demo.api_key);
        line(&format!(
            "curl -s {bearer} {api_url}/api/v1/tenants/{}",
            demo.tenant_id
        ));
        line(&format!(
            "curl -s {bearer} {api_url}/api/v1/jobs/{}",
            demo.job_id
        ));
        line(&format!(
            "curl -s {bearer} -H 'Content-Type: application/json' -d '{{\"kind\":\"provision_namespace\",\"payload\":{{}}}}' {api_url}/api/v1/jobs"
        ));
    } else {
        line("");
        line(&format!(
            "curl -s -H 'Authorization: Bearer {admin_api_key}' {api_url}/api/v1/tenants"
        ));
    }
    if !once {
        line("");
        line("Ctrl-C stops everything.");
    }
}
