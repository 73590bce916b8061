//! What every request passes first: who makes it, and whether the route is for them.

use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::role::{Role, Who, signed_out};
use crate::web::App;
use crate::web::problem::Problem;
use crate::web::routes::{Need, Needs};
use crate::web::server::Caller;

#[derive(Clone)]
pub struct Guard {
    app: App,
    needs: Arc<Needs>,
}

impl Guard {
    pub fn new(app: App, needs: Needs) -> Self {
        Self { app, needs: Arc::new(needs) }
    }

    fn who(&self, request: &Request) -> Option<Who> {
        let caller = request.extensions().get::<Caller>()?;
        let address = caller.address.ip();
        self.app.demo().then(|| Who { name: "demo".to_owned(), role: Role::Admin, address })
    }
}

pub async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    // Only routes of the API have a matched path; the rest are the files of the page.
    let Some(path) = request.extensions().get::<MatchedPath>() else {
        return next.run(request).await;
    };
    let method = request.method().as_str();
    let need = guard.needs.get(&(method.to_owned(), path.as_str().to_owned()));
    match (need, guard.who(&request)) {
        (Some(Need::Nothing), _) => {}
        (None, _) => return forbidden("nobody").into_response(),
        (Some(Need::Role(_)), None) => return signed_out().into_response(),
        (Some(Need::Role(needed)), Some(who)) => {
            if who.role < *needed {
                return forbidden(needed.word()).into_response();
            }
            request.extensions_mut().insert(who);
        }
    }
    next.run(request).await
}

fn forbidden(role: &str) -> Problem {
    let reason = format!("it is for the role {role}");
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "This is not for your account", reason)
}
