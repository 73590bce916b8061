//! A value for a tag, under the same rules as a command that comes over MQTT.

use axum::extract::State;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::runtime::NoAnswer;
use crate::web::App;
use crate::web::access::Who;
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem};

pub fn routes() -> Routes {
    routes!(set)
}

#[derive(Debug, Deserialize, ToSchema)]
#[schema(as = ValueWanted)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// A number, a text, or true or false, as the tag takes it.
    value: Value,
}

#[derive(Debug, Serialize, ToSchema)]
struct Answer {
    /// `done`, `acknowledged`, `sent`, or the code of the refusal.
    outcome: String,
    /// Why it was refused.
    reason: Option<String>,
    /// What the device holds now, as far as it was looked at; else what was asked for.
    value: Value,
}

/// Writes a value to a device; answered when it is known what became of it.
#[utoipa::path(post, path = "/tags/{device}/{tag}/value", tag = "field",
    security(("session" = ["operator"])),
    params(("device" = String, Path), ("tag" = String, Path)), request_body = Wanted,
    responses((status = 200, body = Answer, description = "Carried out or refused")))]
async fn set(
    State(app): State<App>,
    who: Who,
    Path((device, tag)): Path<(String, String)>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Answer>, Problem> {
    let answer = app.gateway().set_tag(&device, &tag, &wanted.value, &who.name).await;
    let answer = answer.map_err(|error| {
        let reason = error.to_string();
        match error {
            NoAnswer::NoTag { .. } => Problem::not_found(reason),
            NoAnswer::Busy => Problem::busy(reason).hint("try again in a moment"),
            NoAnswer::Late => Problem::unavailable(reason),
        }
    })?;
    let told = told(&answer);
    let detail = format!("{device}/{tag} = {}: {}", wanted.value, told.outcome);
    app.audit(&who, "tag-set", &detail).await?;
    Ok(Json(told))
}

/// The answer that a client of MQTT gets, in the words of this API.
fn told(answer: &Value) -> Answer {
    let is = |key: &str| answer.get(key).and_then(Value::as_bool).unwrap_or(false);
    let text = |key: &str| answer.get(key).and_then(Value::as_str).map(str::to_owned);
    let outcome = match (is("ok"), is("verified"), is("sent")) {
        (true, true, _) => "done".to_owned(),
        (true, false, true) => "sent".to_owned(),
        (true, false, false) => "acknowledged".to_owned(),
        (false, ..) => text("code").unwrap_or_else(|| "refused".to_owned()),
    };
    Answer { outcome, reason: text("reason"), value: answer.get("v").cloned().unwrap_or_default() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_has_one_word_and_a_reason() {
        let rows = [
            (json!({ "ok": true, "v": 42.5, "verified": true }), "done", None),
            (json!({ "ok": true, "v": 1, "verified": false }), "acknowledged", None),
            (json!({ "ok": true, "v": 1, "sent": true, "verified": false }), "sent", None),
            (json!({ "ok": false, "code": "busy", "reason": "so" }), "busy", Some("so")),
        ];
        for (answer, outcome, reason) in rows {
            let told = told(&answer);
            assert_eq!((told.outcome.as_str(), told.reason.as_deref()), (outcome, reason));
        }
    }
}
