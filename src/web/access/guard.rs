//! What every request passes first: by which name it calls us, who sent it, who makes it, and
//! whether the route is for them. And what every answer takes along for the browser.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{
    ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::role::{AtMachine, Role, Who, signed_out};
use super::{cookie, door, names};
use crate::config::WebTls;
use crate::web::App;
use crate::web::problem::Problem;
use crate::web::routes::{BASE, Need, Needs};
use crate::web::server::Caller;

/// Of those who are not known yet: a body, and how long it may take.
const STRANGERS_BODY_BYTES_MAX: usize = 16 << 10;
const STRANGERS_BODY: Duration = Duration::from_secs(10);

/// The page runs its own scripts and styles and nothing else, in no frame, and asks nobody else.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'; trusted-types 'none'";
const FEATURES: &str = "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), \
    usb=(), serial=(), hid=()";
const HEADERS: [(HeaderName, &str); 6] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("permissions-policy"), FEATURES),
];

/// Writes that change nothing but a draft or a view, and those that tell of themselves with more words.
/// Every other one that is carried out is in the audit, also of a route that is yet to be written.
const UNNOTED: [&str; 19] = [
    "/session",
    "/session/password",
    "/setup",
    "/users",
    "/users/{name}",
    "/tokens",
    "/tokens/{id}",
    "/certificate",
    "/tags/{device}/{tag}/value",
    "/broker/password",
    "/check",
    "/draft",
    "/draft/edits",
    "/mapping/import",
    "/preview",
    "/probe",
    "/probe/find",
    "/probe/identify",
    "/probe/test",
];

#[derive(Clone)]
pub struct Guard {
    app: App,
    needs: Arc<Needs>,
}

impl Guard {
    pub fn new(app: App, needs: Needs) -> Self {
        Self { app, needs: Arc::new(needs) }
    }

    /// Who shows what: a token of a program, or else that of a session.
    async fn who(&self, headers: &HeaderMap, caller: Caller) -> Option<Who> {
        let address = caller.address.ip();
        if self.app.demo() {
            return Some(Who::everyone(address));
        }
        let access = self.app.access();
        if let Some(value) = headers.get(AUTHORIZATION) {
            let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
            return match scheme.eq_ignore_ascii_case("bearer") {
                true => access.of_token(secret.trim(), address).await,
                false => None,
            };
        }
        access.of_session(cookie::token(headers, caller.encrypted)?, address).await
    }

    /// How a route can be asked.
    fn methods(&self, path: &str) -> Option<HeaderValue> {
        let of_path = self.needs.keys().filter(|(_, known)| known == path);
        let methods: Vec<&str> = of_path.map(|(method, _)| method.as_str()).collect();
        HeaderValue::from_str(&methods.join(", ").replace("GET", "GET, HEAD")).ok()
    }

    /// Lets a request through to its route, with what is known of who makes it.
    async fn admit(&self, mut request: Request) -> Result<Request, Problem> {
        let caller = *request.extensions().get::<Caller>().ok_or_else(signed_out)?;
        let at_machine = self.check_names(&request, caller.address.ip())?;
        request.extensions_mut().insert(AtMachine(at_machine));
        // Only routes of the API have a matched path; the rest are the files of the page.
        let Some(path) = request.extensions().get::<MatchedPath>() else { return Ok(request) };
        // Whoever may get something may ask for its head.
        let method = match request.method() {
            &Method::HEAD => Method::GET.as_str(),
            method => method.as_str(),
        };
        let need = self.needs.get(&(method.to_owned(), path.as_str().to_owned())).copied();
        let who = self.who(request.headers(), caller).await;
        match (need, &who) {
            (None, _) => return Err(no_such_method(method)),
            (Some(Need::Role(_)), None) => return Err(signed_out()),
            (Some(Need::Role(needed)), Some(who)) if who.role < needed => {
                return Err(forbidden(needed));
            }
            (Some(Need::Nothing | Need::Role(_)), _) => {}
        }
        let is_known = who.is_some();
        if let Some(who) = who {
            request.extensions_mut().insert(who);
        }
        if is_known { Ok(request) } else { of_a_stranger(request).await }
    }

    /// Answers a request, and notes before that what it changed.
    async fn carry_out(&self, request: Request, next: Next) -> Response {
        let deed = deed(&request).zip(request.extensions().get::<Who>().cloned());
        let asked = request.uri().to_string();
        let response = next.run(request).await;
        if let Some((deed, who)) = deed.filter(|_| response.status().is_success()) {
            let noted = self.app.access().audit(&who, &deed, &asked).await;
            if let Err(error) = noted {
                return Problem::from(error).into_response();
            }
        }
        response
    }

    /// Whether it calls us by a name of ours and was sent by our own page or a program; and whether
    /// it was sent on this machine.
    fn check_names(&self, request: &Request, from: IpAddr) -> Result<bool, NotOurs> {
        let (headers, plan) = (request.headers(), self.app.plan());
        let authority = door::authority(request.uri(), headers);
        let host = authority.and_then(door::host);
        let (Some(authority), Some(host)) = (authority, host) else {
            return Err(NotOurs::Unnamed);
        };
        // The machine's own name is looked up where it decides.
        let is_ours = door::is_ours(host, None, &plan.hosts)
            || door::is_ours(host, names::host_name().as_deref(), &[]);
        if !is_ours {
            return Err(NotOurs::Name(host.to_owned()));
        }
        let is_api = request.uri().path().starts_with(BASE);
        if is_api && !door::is_of_ours(request.method(), authority, headers) {
            return Err(NotOurs::Page);
        }
        // Without TLS there is a proxy, or may be, whose address is that of everybody.
        Ok(plan.tls != WebTls::Off && door::is_at_machine(from, host, headers))
    }
}

/// What a write does, as a word made of its route: `config-rollback`, `delete-broker-retained`.
fn deed(request: &Request) -> Option<String> {
    let path = request.extensions().get::<MatchedPath>()?.as_str().strip_prefix(BASE)?;
    let method = request.method();
    if matches!(*method, Method::GET | Method::HEAD) || UNNOTED.contains(&path) {
        return None;
    }
    let removes = (*method == Method::DELETE).then_some("delete");
    let named = path.split('/').filter(|part| !part.is_empty() && !part.starts_with('{'));
    Some(removes.into_iter().chain(named).collect::<Vec<_>>().join("-"))
}

/// The body of somebody unknown is taken whole before anybody waits for it.
async fn of_a_stranger(request: Request) -> Result<Request, Problem> {
    let (parts, body) = request.into_parts();
    let taken = tokio::time::timeout(STRANGERS_BODY, to_bytes(body, STRANGERS_BODY_BYTES_MAX));
    match taken.await {
        Ok(Ok(bytes)) => Ok(Request::from_parts(parts, Body::from(bytes))),
        Ok(Err(_)) => Err(Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too-large",
            "The request is too large",
            format!("without an account it may have {STRANGERS_BODY_BYTES_MAX} bytes"),
        )),
        Err(_) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "too-slow",
            "The request was too slow",
            format!("it did not arrive within {} seconds", STRANGERS_BODY.as_secs()),
        )),
    }
}

pub async fn guard(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let is_api = request.uri().path().starts_with(BASE);
    let route = request.extensions().get::<MatchedPath>().cloned();
    let mut response = match guard.admit(request).await {
        Ok(request) => guard.carry_out(request, next).await,
        Err(problem) => problem.into_response(),
    };
    let allowed = match response.status() {
        StatusCode::METHOD_NOT_ALLOWED => route.and_then(|route| guard.methods(route.as_str())),
        _ => None,
    };
    let headers = response.headers_mut();
    if let Some(allowed) = allowed {
        headers.insert(ALLOW, allowed);
    }
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if is_api && !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

/// Why a request is not for us, or not of ours.
enum NotOurs {
    Unnamed,
    Name(String),
    Page,
}

impl From<NotOurs> for Problem {
    fn from(why: NotOurs) -> Self {
        let reason = match why {
            NotOurs::Unnamed => "it does not say which host it is for".to_owned(),
            NotOurs::Name(host) => format!("{host} is no name of this gateway"),
            NotOurs::Page => {
                let title = "This was sent by another page";
                let reason = "only the gateway's own page, and programs, may ask this";
                return Self::new(StatusCode::FORBIDDEN, "cross-site", title, reason);
            }
        };
        let title = "The gateway is not called like this";
        Self::new(StatusCode::MISDIRECTED_REQUEST, "wrong-host", title, reason)
            .hint("call it by its address, or add the name to web: { hosts: [ … ] }")
    }
}

fn no_such_method(method: &str) -> Problem {
    let title = "This is not asked like that";
    let reason = format!("it takes no {method}");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", title, reason)
}

fn forbidden(role: Role) -> Problem {
    let reason = format!("it is for the role {}", role.word());
    Problem::new(StatusCode::FORBIDDEN, "forbidden", "This is not for your account", reason)
        .hint("ask an administrator of this gateway")
}
