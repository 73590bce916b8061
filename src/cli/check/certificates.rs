//! What is in the certificates that a configuration names.

use std::time::Duration;

use crate::config::{Loaded, Problem, ServerTlsPlan, Severity, TlsFiles, TlsUser, WebPlan, WebTls};
use crate::model::{Clock, Wall};
use crate::runtime::SystemClock;
use crate::tls::{self, TlsError};

/// A certificate that ends sooner is worth a word.
const SOON: Duration = Duration::from_secs(30 * 86_400);

/// Says what is wrong on standard error; whether all can be used.
pub fn say(loaded: &Loaded) -> bool {
    let now = SystemClock::new().wall();
    let listeners = loaded.plan.broker.iter().flat_map(|broker| &broker.listeners);
    let listeners: Vec<_> = listeners.collect();
    let mut good = true;
    for files in &loaded.tls_files {
        let plan = match (files.user, &loaded.plan.web) {
            (TlsUser::Listener(n), _) => listeners.get(n).and_then(|listener| listener.tls.clone()),
            (TlsUser::Web, Some(WebPlan { tls: WebTls::Files(plan), .. })) => Some(plan.clone()),
            (TlsUser::Web, _) => None,
        };
        let Some(plan) = plan else { continue };
        for problem in look(&plan, files, now) {
            eprintln!("{problem}");
            good &= problem.severity != Severity::Error;
        }
    }
    good
}

fn look(plan: &ServerTlsPlan, files: &TlsFiles, now: Wall) -> Vec<Problem> {
    let wrong = match tls::inspect(plan) {
        Ok(valid_until) => {
            return valid_until.and_then(|end| ending(end, files, now)).into_iter().collect();
        }
        Err(wrong) => wrong,
    };
    let problem = |error: &TlsError| Problem {
        message: error.to_string(),
        ..match error {
            TlsError::Read { what: "key", .. }
            | TlsError::Pem { what: "key", .. }
            | TlsError::Mismatch { .. } => files.key.clone(),
            TlsError::Read { what: "CA file", .. } | TlsError::Pem { what: "CA file", .. } => {
                files.client_ca.clone()
            }
            _ => files.certificate.clone(),
        }
    };
    wrong.iter().map(problem).collect()
}

/// A certificate that is not valid any more, or not for long.
fn ending(end: Wall, files: &TlsFiles, now: Wall) -> Option<Problem> {
    let left = end.0.saturating_sub(now.0);
    let soon = i64::try_from(SOON.as_millis()).unwrap_or(i64::MAX);
    let (severity, message) = match left {
        ..=0 => (Severity::Error, "the certificate is no longer valid".to_owned()),
        left if left < soon => {
            let days = left / 86_400_000;
            (Severity::Warning, format!("the certificate is valid for {days} more days"))
        }
        _ => return None,
    };
    Some(Problem { severity, message, ..files.certificate.clone() })
}
