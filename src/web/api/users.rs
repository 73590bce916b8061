//! Accounts of people, and tokens of programs.

use axum::extract::State;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::web::App;
use crate::web::access::{Role, Who};
use crate::web::described::{Routes, routes};
use crate::web::problem::{Json, Path, Problem};

pub fn routes() -> Routes {
    routes!(users, add_user)
        .merge(routes!(change_user, remove_user))
        .merge(routes!(tokens, add_token))
        .merge(routes!(remove_token))
}

#[derive(Debug, Serialize, ToSchema)]
struct Users {
    rows: Vec<UserRow>,
    /// There is never more.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct UserRow {
    name: String,
    role: Role,
    created_wall_ms: i64,
    /// To the hour.
    last_seen_wall_ms: Option<i64>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewUser {
    name: String,
    role: Role,
    password: String,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct UserChange {
    role: Option<Role>,
    /// Ends the account's sessions.
    password: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct Tokens {
    rows: Vec<TokenRow>,
    /// There is never more.
    next: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
struct TokenRow {
    id: String,
    name: String,
    role: Role,
    created_wall_ms: i64,
    expires_wall_ms: Option<i64>,
    /// To the hour.
    last_used_wall_ms: Option<i64>,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewToken {
    name: String,
    role: Role,
    /// How long it holds; without, until it is removed.
    #[schema(minimum = 1, maximum = 3650)]
    days: Option<u32>,
}

#[derive(Debug, Serialize, ToSchema)]
struct MadeToken {
    id: String,
    /// For `Authorization: Bearer …`; it is shown this once.
    token: String,
}

/// Longest life of a token.
const DAYS_MAX: u32 = 3_650;

/// All accounts.
#[utoipa::path(get, path = "/users", tag = "users", security(("session" = ["admin"])),
    responses((status = 200, body = Users)))]
async fn users(State(app): State<App>) -> Json<Users> {
    let row = |user: crate::web::access::User| UserRow {
        name: user.name,
        role: user.role,
        created_wall_ms: user.created_wall_ms,
        last_seen_wall_ms: user.last_seen_wall_ms,
    };
    Json(Users { rows: app.access().users().into_iter().map(row).collect(), next: None })
}

/// Makes an account.
#[utoipa::path(post, path = "/users", tag = "users", security(("session" = ["admin"])),
    request_body = NewUser,
    responses(
        (status = 201, description = "Made"),
        (status = 409, content_type = "application/problem+json", body = Problem, description = "`taken`, `too-many`"),
        (status = 422, content_type = "application/problem+json", body = Problem, description = "The name or the password is not taken"),
    ))]
async fn add_user(
    State(app): State<App>,
    who: Who,
    Json(new): Json<NewUser>,
) -> Result<StatusCode, Problem> {
    app.access().add_user(&who, &new.name, new.role, &new.password).await?;
    Ok(StatusCode::CREATED)
}

/// Gives an account another role, or another password.
#[utoipa::path(patch, path = "/users/{name}", tag = "users", security(("session" = ["admin"])),
    params(("name" = String, Path, description = "The account")), request_body = UserChange,
    responses(
        (status = 204, description = "Changed"),
        (status = 404, content_type = "application/problem+json", body = Problem),
        (status = 409, content_type = "application/problem+json", body = Problem, description = "`last-admin`"),
        (status = 422, content_type = "application/problem+json", body = Problem, description = "The password is not taken"),
    ))]
async fn change_user(
    State(app): State<App>,
    who: Who,
    Path(name): Path<String>,
    Json(change): Json<UserChange>,
) -> Result<StatusCode, Problem> {
    if let Some(password) = change.password {
        app.access().set_password(&who, &name, &password).await?;
    }
    if let Some(role) = change.role {
        app.access().set_role(&who, &name, role).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Removes an account, and ends its sessions.
#[utoipa::path(delete, path = "/users/{name}", tag = "users", security(("session" = ["admin"])),
    params(("name" = String, Path, description = "The account")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, content_type = "application/problem+json", body = Problem),
        (status = 409, content_type = "application/problem+json", body = Problem, description = "`last-admin`"),
    ))]
async fn remove_user(
    State(app): State<App>,
    who: Who,
    Path(name): Path<String>,
) -> Result<StatusCode, Problem> {
    app.access().remove_user(&who, &name).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// All tokens, without their secrets.
#[utoipa::path(get, path = "/tokens", tag = "users", security(("session" = ["admin"])),
    responses((status = 200, body = Tokens)))]
async fn tokens(State(app): State<App>) -> Json<Tokens> {
    let row = |token: crate::web::access::Token| TokenRow {
        id: token.id,
        name: token.name,
        role: token.role,
        created_wall_ms: token.created_wall_ms,
        expires_wall_ms: token.expires_wall_ms,
        last_used_wall_ms: token.last_used_wall_ms,
    };
    Json(Tokens { rows: app.access().tokens().into_iter().map(row).collect(), next: None })
}

/// Makes a token for a program.
#[utoipa::path(post, path = "/tokens", tag = "users", security(("session" = ["admin"])),
    request_body = NewToken,
    responses(
        (status = 201, body = MadeToken),
        (status = 409, content_type = "application/problem+json", body = Problem, description = "`taken`, `too-many`"),
        (status = 422, content_type = "application/problem+json", body = Problem, description = "The name or the days are not taken"),
    ))]
async fn add_token(
    State(app): State<App>,
    who: Who,
    Json(new): Json<NewToken>,
) -> Result<(StatusCode, Json<MadeToken>), Problem> {
    if new.days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        let reason = format!("a token holds for 1 to {DAYS_MAX} days");
        return Err(Problem::refused(reason).field("days"));
    }
    let made = app.access().add_token(&who, &new.name, new.role, new.days).await?;
    Ok((StatusCode::CREATED, Json(MadeToken { id: made.id, token: made.secret })))
}

/// Ends a token.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "users", security(("session" = ["admin"])),
    params(("id" = String, Path, description = "The token")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, content_type = "application/problem+json", body = Problem),
    ))]
async fn remove_token(
    State(app): State<App>,
    who: Who,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    app.access().remove_token(&who, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}
