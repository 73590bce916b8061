//! Signing in and out, the first account, one's own password.

use axum::Extension;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::App;
use crate::web::access::{AtMachine, Role, SignedIn, Who, cookie};
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Problem};
use crate::web::server::Caller;

pub fn routes() -> Routes {
    routes!(session, sign_in, sign_out).merge(routes!(set_up)).merge(routes!(change_password))
}

/// Where somebody stands who opens the page.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
    /// `setup` while there is no account, `signed-out` or `signed-in`.
    state: &'static str,
    user: Option<String>,
    role: Option<Role>,
    /// Whether the setup asks for its code.
    needs_code: bool,
    gateway: GatewayName,
    /// A demonstration, which lets everyone in.
    demo: bool,
}

#[derive(Debug, Serialize, ToSchema)]
struct GatewayName {
    name: String,
    site: Option<String>,
    version: &'static str,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct First {
    /// From the log or `fieldhold setup-code`; not needed on the machine itself.
    code: Option<String>,
    user: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Login {
    user: String,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    old: String,
    new: String,
}

fn standing(app: &App, who: Option<(&str, Role)>, at_machine: bool) -> Standing {
    let setup = !app.demo() && app.access().needs_setup();
    let plan = app.gateway().plan().gateway;
    Standing {
        state: match (setup, who) {
            (true, _) => "setup",
            (false, None) => "signed-out",
            (false, Some(_)) => "signed-in",
        },
        user: who.map(|(name, _)| name.to_owned()),
        role: who.map(|(_, role)| role),
        needs_code: setup && !at_machine,
        gateway: GatewayName {
            name: plan.name.to_string(),
            site: plan.site.map(|site| site.to_string()),
            version: env!("CARGO_PKG_VERSION"),
        },
        demo: app.demo(),
    }
}

fn signed_in(app: &App, caller: Caller, signed: &SignedIn) -> Response {
    let standing = standing(app, Some((&signed.name, signed.role)), false);
    let cookie = cookie::set(&signed.token, caller.encrypted).map(|cookie| (SET_COOKIE, cookie));
    (AppendHeaders(cookie), Json(standing)).into_response()
}

/// Where one stands: to set up, signed out, or signed in.
#[utoipa::path(get, path = "/session", tag = "session", security(()),
    responses((status = 200, body = Standing)))]
async fn session(
    State(app): State<App>,
    Extension(AtMachine(at_machine)): Extension<AtMachine>,
    who: Option<Extension<Who>>,
) -> Json<Standing> {
    let who = who.as_ref().map(|Extension(who)| (who.name.as_str(), who.role));
    Json(standing(&app, who, at_machine))
}

/// Makes the first account, an administrator's, and signs in.
#[utoipa::path(post, path = "/setup", tag = "session", security(()), request_body = First,
    responses(
        (status = 200, body = Standing, description = "Signed in; sets the cookie"),
        (status = 403, content_type = "application/problem+json", body = Problem, description = "`wrong-code`"),
        (status = 409, content_type = "application/problem+json", body = Problem, description = "`set-up`: an account exists"),
        (status = 429, content_type = "application/problem+json", body = Problem, description = "`wait`, with retry_after_ms"),
    ))]
async fn set_up(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Extension(AtMachine(at_machine)): Extension<AtMachine>,
    Json(first): Json<First>,
) -> Result<Response, Problem> {
    if app.demo() {
        return Err(Problem::conflict("set-up", "The setup is done", "this is a demonstration"));
    }
    let First { code, user, password } = first;
    let from = caller.address.ip();
    let made = app.access().set_up(from, at_machine, code.as_deref(), &user, &password).await?;
    Ok(signed_in(&app, caller, &made))
}

/// Signs in.
#[utoipa::path(post, path = "/session", tag = "session", security(()), request_body = Login,
    responses(
        (status = 200, body = Standing, description = "Signed in; sets the cookie"),
        (status = 401, content_type = "application/problem+json", body = Problem, description = "`wrong-login`"),
        (status = 429, content_type = "application/problem+json", body = Problem, description = "`wait`, with retry_after_ms"),
    ))]
async fn sign_in(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    Json(login): Json<Login>,
) -> Result<Response, Problem> {
    let signed = app.access().sign_in(caller.address.ip(), &login.user, &login.password).await?;
    Ok(signed_in(&app, caller, &signed))
}

/// Signs out.
#[utoipa::path(delete, path = "/session", tag = "session", security(("session" = ["viewer"])),
    responses((status = 204, description = "Signed out; ends the cookie")))]
async fn sign_out(
    State(app): State<App>,
    Extension(caller): Extension<Caller>,
    who: Who,
) -> Result<Response, Problem> {
    app.access().sign_out(&who).await?;
    let gone = cookie::set("", caller.encrypted).map(|cookie| (SET_COOKIE, cookie));
    Ok((StatusCode::NO_CONTENT, AppendHeaders(gone)).into_response())
}

/// Changes one's own password, and ends one's other sessions.
#[utoipa::path(post, path = "/session/password", tag = "session", security(("session" = ["viewer"])),
    request_body = NewPassword,
    responses(
        (status = 204, description = "Changed"),
        (status = 401, content_type = "application/problem+json", body = Problem, description = "`wrong-login`: the old one is wrong"),
        (status = 422, content_type = "application/problem+json", body = Problem, description = "The new one is not taken"),
    ))]
async fn change_password(
    State(app): State<App>,
    who: Who,
    Json(passwords): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    app.access().change_password(&who, &passwords.old, &passwords.new).await?;
    Ok(StatusCode::NO_CONTENT)
}
