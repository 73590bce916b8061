//! All routes, and what they need.
//!
//! A route says in its description who may use it (`security(("session" = ["viewer"]))`, nothing
//! for everybody). The build reads it from the description of all, `docs/openapi.json`, which a test
//! holds to the routes (`described.rs`); a route that says nothing is refused to all, so that none is
//! open by oversight.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

use super::access::{self, Role};
use super::{App, api, events, metrics, page};
use crate::web::described::Routes;

/// Where the API begins.
pub const BASE: &str = "/api/v1";
/// Bytes of a request's body, where the route does not say otherwise.
const BODY_BYTES_MAX: usize = 1 << 20;
/// Until an answer begins; a change of the configuration stops and starts units.
const ANSWER: Duration = Duration::from_secs(120);

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Everybody, signed in or not.
    Nothing,
    Role(Role),
}

/// What every route of the API needs, by method (`GET`) and path as the description has it.
pub type Needs = BTreeMap<(String, String), Need>;

include!(concat!(env!("OUT_DIR"), "/description.rs"));

/// The description of the API, as `docs/openapi.json` has it.
pub fn description() -> Vec<u8> {
    page::inflate(DESCRIPTION)
}

fn all() -> Routes {
    let api = api::audit::routes()
        .merge(api::certificate::routes())
        .merge(api::config::routes())
        .merge(api::draft::routes())
        .merge(api::mapping::routes())
        .merge(api::preview::routes())
        .merge(api::profiles::routes())
        .merge(api::demo::routes())
        .merge(api::session::routes())
        .merge(api::status::routes())
        .merge(api::tags::routes())
        .merge(api::users::routes())
        .merge(api::commands::routes())
        .merge(api::probe::routes())
        .merge(api::scan::routes())
        .merge(api::ports::routes())
        .merge(api::trace::routes())
        .merge(api::broker::routes())
        .merge(api::uplinks::routes())
        .merge(api::rehearsal::routes())
        .merge(api::store::routes())
        .merge(api::logs::routes())
        .merge(api::system::routes())
        .merge(api::diagnostics::routes())
        .merge(events::routes());
    Routes::default().nest(BASE, api).merge(metrics::routes())
}

/// Reads them from the table that the build made of the description.
pub fn needs() -> Needs {
    let known = NEEDS.iter().filter_map(|(method, path, role)| {
        let need = match role {
            None => Need::Nothing,
            Some(word) => Need::Role(Role::from_word(word)?),
        };
        Some((((*method).to_owned(), (*path).to_owned()), need))
    });
    known.collect()
}

/// The service behind every connection.
pub fn router(app: &App) -> Router {
    let guard = access::Guard::new(app.clone(), needs());
    all()
        .into_router()
        .fallback(page::serve)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn_with_state(guard, access::guard))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER))
        .layer(CompressionLayer::new())
        .with_state(app.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::Value;
    use utoipa::openapi::OpenApi;

    use super::*;
    use crate::web::openapi;

    fn described() -> OpenApi {
        openapi::finish(all().into_description())
    }

    /// `[{}]` is everybody, `[{"session": ["viewer"]}]` a role.
    fn need(security: &Value) -> Option<Need> {
        let first = security.as_array()?.first()?.as_object()?;
        match first.get("session") {
            None if first.is_empty() => Some(Need::Nothing),
            scopes => Some(Need::Role(Role::from_word(scopes?.get(0)?.as_str()?)?)),
        }
    }

    #[test]
    fn the_guard_asks_for_what_every_route_says() {
        let description = serde_json::to_value(described()).unwrap();
        let mut said = Needs::new();
        for (path, methods) in description["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                let need = need(&operation["security"]);
                let need = need.unwrap_or_else(|| panic!("{method} {path} says nothing"));
                said.insert((method.to_uppercase(), path.clone()), need);
            }
        }
        assert!(said.len() > 60, "{} found", said.len());
        assert_eq!(needs(), said, "build again, once docs/openapi.json is of these routes");
    }

    /// What programs of others are built on is not changed by oversight.
    #[test]
    fn the_committed_description_is_of_these_routes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        let text = described().to_pretty_json().unwrap() + "\n";
        if std::env::var_os("FIELDHOLD_WRITE_OPENAPI").is_some() {
            let mut file = std::fs::File::create(path).unwrap();
            std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            committed == text,
            "docs/openapi.json is of other routes: look at the difference after \
             FIELDHOLD_WRITE_OPENAPI=1 cargo test --lib web::routes"
        );
    }

    #[test]
    fn the_program_has_the_description() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/openapi.json");
        assert!(description() == std::fs::read(path).unwrap(), "build again");
    }

    #[test]
    fn only_these_are_open_to_everybody() {
        let open: Vec<_> = needs()
            .into_iter()
            .filter(|(_, need)| *need == Need::Nothing)
            .map(|((method, path), _)| format!("{method} {path}"))
            .collect();
        let expected = [
            "GET /api/v1/certificate",
            "GET /api/v1/openapi.json",
            "GET /api/v1/session",
            "GET /healthz",
            "GET /readyz",
            "POST /api/v1/session",
            "POST /api/v1/setup",
        ];
        assert_eq!(open, expected);
    }
}
