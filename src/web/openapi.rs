//! What the description of the API says of every route alike: how it says no, and how one signs in.

use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Info, OpenApi, Ref, RefOr, ResponseBuilder, ResponsesBuilder,
};

use super::problem::Problem;

/// The scheme of sessions; the roles of routes are its scopes.
const SESSION: &str = "session";
const TOKEN: &str = "token";
/// Where every route's way to say no is kept.
const PROBLEM: &str = "Problem";

/// Completes what the routes say of themselves.
pub fn finish(mut api: OpenApi) -> OpenApi {
    let mut info = Info::new("Fieldhold", env!("CARGO_PKG_VERSION"));
    info.description = Some("What the page of a gateway uses, for everyone.".to_owned());
    api.info = info;
    let components = api.components.get_or_insert_default();
    let mut schemas = vec![(PROBLEM.to_owned(), <Problem as utoipa::PartialSchema>::schema())];
    <Problem as ToSchema>::schemas(&mut schemas);
    components.schemas.extend(schemas);
    let cookie = ApiKeyValue::with_description("fieldhold", "Set by POST /session.");
    components.add_security_scheme(SESSION, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    let token = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    for item in api.paths.paths.values_mut() {
        operations(item).for_each(say_no);
    }
    api
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let all = [&mut item.get, &mut item.put, &mut item.post, &mut item.delete, &mut item.patch];
    all.into_iter().flatten()
}

/// Whatever is not said of a route is a problem.
fn say_no(operation: &mut Operation) {
    let schema = RefOr::Ref(Ref::from_schema_name(PROBLEM));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    let problem = ResponseBuilder::new()
        .description("Why it was not done")
        .content("application/problem+json", content)
        .build();
    let said = std::mem::take(&mut operation.responses);
    let all = ResponsesBuilder::from(said).response("default", problem);
    operation.responses = all.build();
}
