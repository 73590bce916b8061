//! Configuration: text → [`Plan`], with all problems at once.
//!
//! `raw` reads the YAML into a located tree, `check` turns the tree into a plan or into problems,
//! `file` is the disk; `wire` and `blocks` know what requests cost and which are cheapest. A text never panics the gateway and never costs more than the bounds of
//! `raw` and `defaults`. Knows no tokio and no clock, and the file system only in `file`.

mod access;
pub mod alone;
pub mod blocks;
mod broker;
mod check;
pub mod clouds;
mod defaults;
pub mod edit;
mod effects;
pub mod file;
mod home_assistant;
pub mod import;
mod keys;
mod kinds;
mod link;
pub mod mapping;
pub mod paste;
mod plan;
mod problem;
pub mod profile;
mod raw;
mod remote;
mod section;
mod share;
mod sparkplug;
mod template;
#[cfg(test)]
mod tests;
mod values;
mod variables;
mod web;
pub mod wire;
mod write_rule;

pub use access::{Grant, Identity, PasswordHash, Pattern, Rule, UserPlan};
pub use broker::{BrokerLimits, BrokerPlan, ListenerPlan, Place, QueueDrops, ServerTlsPlan};
pub use defaults::{
    DEFAULT_RECONNECT_MAX, WRITE_AND_READ_MAX, WRITE_BITS_MAX, WRITE_REGISTERS_MAX,
};
pub use effects::effects;
pub use file::load;
pub use home_assistant::{Described, Entity, HomeAssistantPlan, Part};
pub use kinds::show_kind;
pub use link::*;
pub use plan::*;
pub use problem::{PROBLEMS_MAX, Problem, Problems, Severity, TlsFiles, TlsUser};
pub use remote::{RemoteGroup, RemoteKey, RemotePlan};
pub use share::{Network, ShareMode, SharePlan, ShareWrite, Writable};
pub use sparkplug::{NAMESPACE, SparkplugDevice, SparkplugMetric, SparkplugPlan};
pub use template::{LiveTopic, TopicPattern};
pub use values::{parse_duration, show_duration, show_size};
pub use web::{WebPlan, WebTls};
pub use write_rule::{Allowed, SafeValue, Verify, WriteRule, WriteWith};

use problem::{Complaint, Findings, Spot};
use profile::{Own, Profiles, Wanted};

/// A configuration that can be used.
#[derive(Debug, Clone, PartialEq)]
pub struct Loaded {
    pub plan: Plan,
    /// What is allowed but probably not meant, in the order of the file.
    pub warnings: Vec<Problem>,
    /// The device profiles it uses.
    pub profiles: Vec<profile::Used>,
    /// Where the broker's listeners and the web page name certificates.
    pub tls_files: Vec<TlsFiles>,
    /// The text it came from.
    pub text: String,
}

/// A sensor as its preset describes it, on a port without a name.
pub fn sensor_preset(name: &str) -> Result<SensorLink, String> {
    check::sensor::preset(name).map_err(|complaint| match complaint.hint {
        Some(hint) => format!("{}; {hint}", complaint.message),
        None => complaint.message,
    })
}

/// The names of all presets of sensors.
pub fn sensor_presets() -> impl Iterator<Item = &'static str> {
    check::sensor::preset_names()
}

/// Checks a configuration that has only the shipped profiles. `name` is how problems call the file.
pub fn parse(text: &str, name: &str) -> Result<Loaded, Problems> {
    parse_with(text, name, &Alone)
}

/// What lies beside a configuration and belongs to it.
trait Beside {
    /// The user's own profiles that it wants.
    fn profiles(&self, wanted: &Wanted<'_>) -> Own;
    /// The text of a file that it names, and how problems call that.
    fn text(&self, name: &str) -> (String, Result<String, (raw::Place, Complaint)>);
    /// A variable of the environment.
    fn environment(&self, name: &str) -> Option<String>;
}

/// Nothing does.
struct Alone;

impl Beside for Alone {
    fn profiles(&self, _: &Wanted<'_>) -> Own {
        Own::default()
    }

    fn text(&self, name: &str) -> (String, Result<String, (raw::Place, Complaint)>) {
        let complaint = Complaint::new("no file belongs to this text");
        (name.to_owned(), Err((raw::Place::default(), complaint)))
    }

    fn environment(&self, _: &str) -> Option<String> {
        None
    }
}

/// What can be told of a text, sound or not.
#[derive(Debug)]
pub struct Looked {
    /// As far as it can be read; what is wrong is left out, or at its default.
    pub plan: Option<Plan>,
    /// Errors and warnings, in the order of the file.
    pub problems: Vec<Problem>,
    profiles: Vec<profile::Used>,
    tls_files: Vec<TlsFiles>,
}

impl Looked {
    /// Whether the gateway would take it.
    pub fn is_sound(&self) -> bool {
        self.plan.is_some() && self.problems.iter().all(|p| p.severity == Severity::Warning)
    }
}

fn parse_with(text: &str, name: &str, beside: &dyn Beside) -> Result<Loaded, Problems> {
    let looked = look_with(text, name, beside);
    let is_sound = looked.is_sound();
    let Looked { plan, problems, profiles, tls_files } = looked;
    let text = text.to_owned();
    match plan.filter(|_| is_sound) {
        Some(plan) => Ok(Loaded { plan, warnings: problems, profiles, tls_files, text }),
        None => Err(Problems(problems)),
    }
}

fn look_with(text: &str, name: &str, beside: &dyn Beside) -> Looked {
    let mut out = Findings::new(name);
    let mut used = Vec::new();
    let plan = match raw::tree(text) {
        Ok(mut root) => {
            let known = variables::known(&root, beside, &mut out);
            variables::fill(&mut root, &known, &|name: &str| beside.environment(name), &mut out);
            let wanted = Wanted::of(&root);
            let own = beside.profiles(&wanted);
            let profiles = Profiles::gather(&wanted.names, own);
            used = profiles.used();
            check::check(&root, &profiles, &mut out)
        }
        Err(error) => {
            out.error(&Spot::at(error.at), error.message);
            None
        }
    };
    let tls_files = out.take_tls_files();
    Looked { plan, problems: out.into_problems(), profiles: used, tls_files }
}
