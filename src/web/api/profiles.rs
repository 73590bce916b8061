//! Device profiles: those that are shipped, and the user's own beside the configuration.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::draft::off;
use crate::config::edit::{self, Value};
use crate::config::{file, profile};
use crate::web::App;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem, Query};
use crate::web::refusal::of_edit;

pub fn routes() -> Routes {
    routes!(profiles).merge(routes!(one))
}

#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Wanted {
    /// Only profiles in whose name, title, maker or models this stands.
    q: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Profiles {
    rows: Vec<Row>,
}

/// What a profile says about itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProfileRow)]
struct Row {
    name: String,
    title: String,
    vendor: Option<String>,
    /// The first of its models, and all of them.
    model: Option<String>,
    models: Vec<String>,
    /// `meter`, `inverter`, `drive`, `controller`, `io`, `sensor` or `other`.
    kind: &'static str,
    tags: usize,
    /// Whether it lies beside the configuration, and is not one of the shipped ones.
    own: bool,
}

/// The profiles by name; one of the user's own hides a shipped one.
#[utoipa::path(get, path = "/profiles", tag = "configuration", params(Wanted),
    security(("session" = ["viewer"])), responses((status = 200, body = Profiles)))]
async fn profiles(
    State(app): State<App>,
    Query(Wanted { q }): Query<Wanted>,
) -> Result<Json<Profiles>, Problem> {
    let path = app.setup().status().borrow().file.clone();
    let rows = off(move || {
        let texts = texts(&path);
        texts.into_iter().filter_map(|(name, (text, own))| row(&name, &text, own)).collect()
    });
    let mut rows: Vec<Row> = rows.await?;
    if let Some(q) = q {
        let q = q.to_lowercase();
        rows.retain(|row| row.has(&q));
    }
    Ok(Json(Profiles { rows }))
}

/// All texts by name, and whether they are the user's own.
fn texts(config: &FilePath) -> BTreeMap<String, (String, bool)> {
    let shipped = profile::SHIPPED.iter();
    let mut texts: BTreeMap<String, (String, bool)> =
        shipped.map(|(name, text)| ((*name).to_owned(), ((*text).to_owned(), false))).collect();
    let directory = config.parent().unwrap_or(FilePath::new("")).join(file::PROFILES_DIRECTORY);
    for name in file::profile_names(&directory).unwrap_or_default() {
        if let Ok(text) =
            file::read_text(&directory.join(format!("{name}{}", profile::FILE_SUFFIX)))
        {
            texts.insert(name, (text, true));
        }
    }
    texts
}

/// `None` for one of the user's own that has problems: whoever uses it is told by the check.
fn row(name: &str, text: &str, own: bool) -> Option<Row> {
    let (profile, _) = profile::check(text, name, name).ok()?;
    let head = profile.head;
    Some(Row {
        name: name.to_owned(),
        title: head.title,
        vendor: head.vendor,
        model: head.models.first().cloned(),
        models: head.models,
        kind: head.kind,
        tags: profile.device.tags.len(),
        own,
    })
}

impl Row {
    fn has(&self, q: &str) -> bool {
        let vendor = self.vendor.iter();
        let words = [&self.name, &self.title].into_iter().chain(vendor).chain(&self.models);
        words.into_iter().any(|word| word.to_lowercase().contains(q))
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct Profile {
    name: String,
    own: bool,
    /// The profile as JSON, in the order of its file.
    #[schema(value_type = Object)]
    profile: Value,
    text: String,
}

/// One profile.
#[utoipa::path(get, path = "/profiles/{name}", tag = "configuration",
    params(("name" = String, Path)), security(("session" = ["viewer"])),
    responses((status = 200, body = Profile)))]
async fn one(State(app): State<App>, Path(name): Path<String>) -> Result<Json<Profile>, Problem> {
    let path = app.setup().status().borrow().file.clone();
    let found = off(move || texts(&path).remove_entry(&name).ok_or(name)).await?;
    let (name, (text, own)) = found.map_err(|name| {
        Problem::not_found(format!("there is no profile {name:?}")).hint("GET /profiles lists all")
    })?;
    let profile = edit::read(&text).map_err(|refusal| of_edit(&refusal))?;
    Ok(Json(Profile { name, own, profile, text }))
}
