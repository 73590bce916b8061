//! One file for whoever helps from afar: status, configuration, log and counters of the traces,
//! without secrets.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::redact;
use super::system;
use super::trace::{all, download};
use crate::codec::tar::Tar;
use crate::runtime::LogLine;
use crate::web::App;
use crate::web::problem::Problem;

pub fn routes() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(diagnostics))
}

/// What somebody who helps needs to know; passwords and keys are left out.
#[utoipa::path(get, path = "/diagnostics", tag = "system", security(("session" = ["admin"])),
    responses((status = 200, content_type = "application/gzip", body = Vec<u8>)))]
async fn diagnostics(State(app): State<App>) -> Result<Response, Problem> {
    let system = serde_json::to_value(system::facts(&app).await?).unwrap_or_default();
    // Without it the rest is worth as much.
    let configuration = app.setup().text().await.unwrap_or_else(|why| format!("# {why}\n"));
    let name = format!("fieldhold-{}-diagnostics.tar.gz", app.gateway().plan().gateway.name);
    let made = tokio::task::spawn_blocking(move || bundle(&app, system, &configuration));
    let bytes = made.await.map_err(|_| Problem::unavailable("putting it together broke off"))?;
    Ok(download(&name, "application/gzip", bytes))
}

fn bundle(app: &App, system: Value, configuration: &str) -> Vec<u8> {
    let status = serde_json::to_value(app.gateway().status()).unwrap_or_default();
    let now = app.clock().wall().0;
    let mut tar = Tar::new(u64::try_from(now / 1000).unwrap_or(0));
    let mut document = |name: &str, value: Value| {
        let text = serde_json::to_string_pretty(&redact::json(value)).unwrap_or_default();
        tar.file(name, text.as_bytes());
    };
    document("status.json", status);
    document("system.json", system);
    document("traces.json", traces(app));
    tar.file("configuration.yaml", redact::text(configuration).as_bytes());
    let lines: String = app.logs().since(0).lines.iter().map(written).collect();
    tar.file("log.txt", redact::text(&lines).as_bytes());
    tar.gzip()
}

fn written(line: &LogLine) -> String {
    let time = u64::try_from(line.at_wall_ms).ok().and_then(crate::codec::registers::utc);
    let time = time.unwrap_or_default();
    format!("{time} {:5} {}: {}\n", line.level, line.target, line.text)
}

/// Of every bus: what its last exchanges came to, and how long they took.
fn traces(app: &App) -> Value {
    let mut buses = serde_json::Map::new();
    for bus in app.gateway().plan().buses {
        let Some((page, exchanges)) = all(app, bus.name.as_str()) else { continue };
        let mut verdicts: BTreeMap<String, u64> = BTreeMap::new();
        let mut purposes: BTreeMap<String, u64> = BTreeMap::new();
        let mut took: Vec<u64> = exchanges.iter().map(|exchange| exchange.took_us).collect();
        for exchange in &exchanges {
            *verdicts.entry(exchange.verdict.to_string()).or_default() += 1;
            let purpose = serde_json::to_value(exchange.purpose).unwrap_or_default();
            *purposes.entry(purpose.as_str().unwrap_or_default().to_owned()).or_default() += 1;
        }
        took.sort_unstable();
        let middle = took.get(took.len() / 2);
        buses.insert(
            bus.name.to_string(),
            json!({
                "link": page.link, "exchanges": exchanges.len(), "verdicts": verdicts,
                "purposes": purposes, "took_us_p50": middle, "took_us_max": took.last(),
            }),
        );
    }
    Value::Object(buses)
}
