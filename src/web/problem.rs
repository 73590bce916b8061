//! Answers that say no: `application/problem+json` (RFC 9457), in words a person can act on.
//!
//! Every error of the API is a [`Problem`]: a stable `code` for programs, a `title`, the `reason` in
//! this case and a `hint` at what to do next. Nothing of the inside is shown.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use utoipa::ToSchema;

/// Why something was not done.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// For programs; never changes its meaning.
    pub code: &'static str,
    /// What went wrong, in general.
    pub title: &'static str,
    /// What went wrong here.
    pub reason: String,
    /// What to do next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Which field of the request is meant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The HTTP status.
    pub status: u16,
    /// What a program needs to know besides, by code.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub more: Box<serde_json::Map<String, Value>>,
}

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        title: &'static str,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            code,
            title,
            reason: reason.into(),
            hint: None,
            field: None,
            status: status.as_u16(),
            more: Box::default(),
        }
    }

    /// The request can't be understood.
    pub fn bad(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "The request can't be understood", reason)
    }

    /// The request is understood, and what it asks for can't be.
    pub fn refused(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "This can't be done", reason)
    }

    pub fn not_found(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "There is no such thing", reason)
    }

    pub fn conflict(code: &'static str, title: &'static str, reason: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, code, title, reason)
    }

    /// Somebody else is at it.
    pub fn busy(reason: impl Into<String>) -> Self {
        Self::conflict("busy", "This is in use now", reason)
    }

    /// It is not there now, and may be later.
    pub fn unavailable(reason: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "This is not there now", reason)
    }

    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub fn field(mut self, field: impl Into<String>) -> Self {
        self.field = Some(field.into());
        self
    }

    /// One more member of the answer.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more.insert(name.to_owned(), value.into());
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let text = serde_json::to_vec(&self).unwrap_or_default();
        let kind = HeaderValue::from_static("application/problem+json");
        (status, [(header::CONTENT_TYPE, kind)], text).into_response()
    }
}

/// JSON in and out; what comes in wrong is a [`Problem`].
pub struct Json<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if !is_json(request.headers()) {
            return Err(Problem::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "not-json",
                "The request is not JSON",
                "the header Content-Type has to be application/json",
            ));
        }
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|broken| rejected(broken.status(), broken.body_text()))?;
        // A list would do for a structure, field after field: nobody means that.
        if bytes.trim_ascii_start().first() == Some(&b'[') {
            return Err(Problem::bad("the body is a list, and has to be an object"));
        }
        axum::Json::from_bytes(&bytes)
            .or_else(|refused| with_whole_numbers(&bytes).ok_or(refused))
            .map(|axum::Json(value)| Self(value))
            .map_err(|refused| rejected(refused.status(), refused.body_text()))
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.and_then(|kind| kind.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
}

/// For JSON 12.0 is the same number as 12, and some programs write it so.
fn with_whole_numbers<T: DeserializeOwned>(bytes: &[u8]) -> Option<axum::Json<T>> {
    let mut value: Value = serde_json::from_slice(bytes).ok()?;
    make_whole(&mut value);
    serde_json::from_value(value).ok().map(axum::Json)
}

/// Beyond this not every whole number is a float.
const WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

fn make_whole(value: &mut Value) {
    match value {
        Value::Number(number) => {
            let float = number.as_f64().filter(|float| float.fract() == 0.0);
            // By its digits: a cast would be one more way to be wrong.
            let whole = float.filter(|float| float.abs() <= WHOLE_MAX);
            let whole = whole.and_then(|whole| format!("{whole:.0}").parse::<i64>().ok());
            if let Some(whole) = whole {
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(make_whole),
        Value::Object(entries) => entries.values_mut().for_each(make_whole),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// What stands in the path; what is wrong there is a [`Problem`].
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Self(value))
            .map_err(|rejection: PathRejection| rejected(rejection.status(), rejection.body_text()))
    }
}

/// The words behind `?`; wrong ones are a [`Problem`].
pub struct Query<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let query = axum::extract::Query::from_request_parts(parts, state).await;
        query.map(|axum::extract::Query(value)| Self(value)).map_err(|rejection: QueryRejection| {
            rejected(rejection.status(), rejection.body_text())
        })
    }
}

/// How many rows of a page are wanted; all that it may have unless that is said.
pub fn rows_of_page(limit: Option<usize>, most: usize) -> Result<usize, Problem> {
    match limit {
        None => Ok(most),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(_) => Err(Problem::refused(format!("a page has 1 to {most} rows")).field("limit")),
    }
}

fn rejected(status: StatusCode, reason: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Problem::new(status, "too-large", "The request is too large", reason)
        }
        _ => Problem::bad(reason),
    }
}
