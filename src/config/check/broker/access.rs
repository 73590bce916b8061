//! Users of the LAN broker and their roles.

use std::collections::BTreeMap;

use super::hash;
use crate::config::access::{Grant, Pattern, Rule, UserPlan};
use crate::config::defaults::{ACCESS_FILTERS_MAX, ROLES_MAX, USER_BYTES_MAX, USERS_MAX};
use crate::config::keys;
use crate::config::problem::{Complaint, Findings, Spot, closest};
use crate::config::section::{Field, Section};
use crate::config::values::{self, quoted};
use crate::model::Qos;

/// Roles that need not be written.
const BUILT_IN: [&str; 3] = ["read", "write", "admin"];
const SAYS_NOTHING: &str = "says nothing that it may do";

/// What each role grants, by name.
pub(super) struct Roles {
    written: BTreeMap<String, Option<Grant>>,
}

impl Roles {
    pub(super) fn of(broker: &Section<'_>, out: &mut Findings) -> Self {
        let mut written = BTreeMap::new();
        let Some(field) = broker.get("roles") else { return Self { written } };
        let named = field.named(out);
        if named.len() > ROLES_MAX {
            out.error(&field.key_spot(), format!("more than {ROLES_MAX} roles"));
        }
        for (name, field) in named {
            let section = field.section(&keys::ROLE, out);
            if BUILT_IN.contains(&name.as_str()) {
                let complaint = Complaint::new(format!("the role {name} is built in"));
                out.error(&field.key_spot(), complaint.hint("give it another name"));
            }
            let grant = rule(&section, out);
            if grant.is_none() && section.lacks(&["publish", "subscribe"]) {
                let hint = "write publish: [ filters ], subscribe: [ filters ], or both";
                out.error(&field.key_spot(), Complaint::new(SAYS_NOTHING).hint(hint));
            }
            written.insert(name.to_string(), grant);
        }
        Self { written }
    }

    /// The grants of a role; none of one whose mistakes were reported.
    pub(super) fn grants(&self, name: &str) -> Result<Vec<Grant>, Complaint> {
        if let Some(grant) = self.written.get(name) {
            return Ok(grant.iter().cloned().collect());
        }
        match name {
            "read" => Ok(vec![built_in(false)]),
            "write" => Ok(vec![built_in(true)]),
            "admin" => Ok(vec![Grant::Everything]),
            _ => {
                let known = || BUILT_IN.into_iter().chain(self.written.keys().map(String::as_str));
                let complaint = Complaint::new(format!("there is no role {}", quoted(name)));
                Err(match closest(name, known()) {
                    Some(close) => complaint.hint(format!("did you mean {close}?")),
                    None => {
                        complaint.hint(format!("one of {}", known().collect::<Vec<_>>().join(", ")))
                    }
                })
            }
        }
    }
}

/// Everything may be read; with `write` everything but commands may be published, too.
fn built_in(write: bool) -> Grant {
    let all = || Pattern::new("#").into_iter().collect::<Vec<_>>();
    let sys = Pattern::new("$SYS/#").into_iter();
    Grant::Only(Rule {
        publish: if write { all() } else { Vec::new() },
        retain: if write { all() } else { Vec::new() },
        subscribe: all().into_iter().chain(sys).collect(),
        qos_max: Qos::ExactlyOnce,
        commands: false,
    })
}

/// The users; `certificates` says whether a listener asks for those.
pub(super) fn users(
    broker: &Section<'_>,
    roles: &Roles,
    certificates: bool,
    out: &mut Findings,
) -> Vec<UserPlan> {
    let Some(field) = broker.get("users") else { return Vec::new() };
    let entries = field.entries(out);
    if entries.len() > USERS_MAX {
        out.error(&field.key_spot(), format!("more than {USERS_MAX} users"));
    }
    let users = entries.into_iter();
    users.filter_map(|(name, field)| user(name, &field, roles, certificates, out)).collect()
}

/// `None` only after something was reported.
fn user(
    name: &str,
    field: &Field<'_>,
    roles: &Roles,
    certificates: bool,
    out: &mut Findings,
) -> Option<UserPlan> {
    let spot = field.key_spot();
    let name = match values::text(USER_BYTES_MAX)(name) {
        Ok(name) => Some(name),
        Err(complaint) => {
            out.error(&spot, complaint);
            None
        }
    };
    let section = field.section(&keys::USER, out);
    let password = section.scalar("password", out, hash::read);
    if password.as_ref().is_some_and(|(_, weak)| *weak) {
        out.warning(&section.spot_of("password"), hash::weak());
    }
    if section.lacks(&["password"]) && !certificates {
        let complaint = Complaint::new("has no password, and no listener asks for certificates");
        out.error(&spot, complaint.hint("fieldhold broker password makes the line"));
    }
    let mut grants: Vec<Grant> = rule(&section, out).into_iter().collect();
    for item in section.get("roles").map(Field::items).unwrap_or_default() {
        grants.extend(item.scalar(out, |name| roles.grants(name)).unwrap_or_default());
    }
    if section.lacks(&["roles", "publish", "subscribe"]) {
        out.error(&spot, Complaint::new(SAYS_NOTHING).hint("write roles: [ read ]"));
    }
    Some(UserPlan { name: name?, password: password.map(|(hash, _)| hash), grants })
}

/// What stands in a user or a role itself; `None` if nothing does.
fn rule(section: &Section<'_>, out: &mut Findings) -> Option<Grant> {
    let patterns =
        |key: &str, out: &mut Findings| section.get(key).map(|field| patterns(field, out));
    let (publish, subscribe) = (patterns("publish", out), patterns("subscribe", out));
    let retain = patterns("retain", out);
    let words = [("0", Qos::AtMostOnce), ("1", Qos::AtLeastOnce), ("2", Qos::ExactlyOnce)];
    let qos_max = section.scalar("qos-max", out, values::word(&words));
    if publish.is_none() && section.has("retain") {
        let complaint = Complaint::new("retain without publish allows nothing");
        out.error(&section.spot_of("retain"), complaint.hint("write publish beside it"));
    }
    if publish.is_none() && subscribe.is_none() {
        section.refuse(&["qos-max"], "limits the filters beside it, and there are none", out);
        return None;
    }
    let publish = publish.unwrap_or_default();
    Some(Grant::Only(Rule {
        retain: retain.unwrap_or_else(|| publish.clone()),
        publish,
        subscribe: subscribe.unwrap_or_default(),
        qos_max: qos_max.unwrap_or(Qos::ExactlyOnce),
        commands: true,
    }))
}

fn patterns(field: &Field<'_>, out: &mut Findings) -> Vec<Pattern> {
    let items = field.items();
    if items.len() > ACCESS_FILTERS_MAX {
        out.error(&field.key_spot(), format!("more than {ACCESS_FILTERS_MAX} filters"));
    }
    let read =
        |item: &Field<'_>| item.scalar(out, |text| Pattern::new(text).map_err(Complaint::from));
    items.iter().filter_map(read).collect()
}

/// What a client may do that names no user: `true`, `false` or the name of a role.
pub(super) fn anonymous(
    field: &Field<'_>,
    roles: &Roles,
    out: &mut Findings,
) -> Option<Vec<Grant>> {
    field.scalar(out, |text| match text {
        "true" => Ok(Some(vec![Grant::Everything])),
        "false" => Ok(None),
        name => roles.grants(name).map(Some),
    })?
}

/// Reports a listener that lets nobody in.
pub(super) fn is_useless(spot: &Spot, out: &mut Findings) {
    let complaint = Complaint::new("nobody can connect: there are no users");
    let hint = "write users, or anonymous: true for everybody, or anonymous: read";
    out.error(spot, complaint.hint(hint));
}
